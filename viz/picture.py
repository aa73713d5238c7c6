"""The start, the peak and the end of a run side by side."""

import sys

from gpusim.record import Result

result = Result(sys.argv[1])
result.plot(at="start, peak, end", theme="light", size=(2400, 720)).save("picture.png")
