"""A movie of a run with a rotating camera."""

import sys
from functools import partial
from pathlib import Path

from gpusim.record import Result
from gpusim.viz import film
from gpusim.viz.moment import moment_of_result
from gpusim.viz.palette import THEMES
from gpusim.viz.scene import Look

SIZE, SECONDS, RATE = (1280, 720), 8, 24

result = Result(sys.argv[1])
moments = [partial(moment_of_result, result, i) for i in range(len(result.times))]
pictures = film.frames(moments, Look(theme=THEMES["dark"]), SIZE, SECONDS * RATE, turn=50)
film.save_mp4(pictures, Path("film.mp4"), SIZE, RATE)
