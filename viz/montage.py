"""All fields of the last snapshot in a section through the centre of the tumour, each with its own colour map."""

import sys

import matplotlib.pyplot as plt

from gpusim.record import Result
from gpusim.viz.moment import moment_of_result
from gpusim.viz.palette import THEMES

moment = moment_of_result(Result(sys.argv[1]), -1)
names = list(moment.document.fields)
figure, panels = plt.subplots(1, len(names), figsize=(2.4 * len(names), 2.6), layout="constrained", squeeze=False)
for panel, name in zip(panels[0], names, strict=True):
    plane = moment.values(name)[moment.tissue.shape[0] // 2]
    image = panel.imshow(plane, origin="lower", cmap=moment.map(name, THEMES["paper"]), vmin=0)
    panel.set_title(f"{moment.label(name)}, {moment.unit(name)}", fontsize=8)
    panel.set_axis_off()
    figure.colorbar(image, ax=panel, shrink=0.7)
figure.savefig("montage.png", dpi=200)
