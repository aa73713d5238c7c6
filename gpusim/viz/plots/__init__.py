"""Figures for papers, on matplotlib: each function draws and gives back axes, or a figure of several.

Lengths in um, times in days.
"""

from gpusim.viz.plots.curves import curves
from gpusim.viz.plots.planes import PAGE, Cut, panels, plane, planes
from gpusim.viz.plots.results import (
    counts,
    depth_in_tumour,
    kymograph,
    muller,
    profile,
    radial_profiles,
    section,
    summary,
)
from gpusim.viz.plots.sections import clustering, infiltration
from gpusim.viz.plots.studies import (
    by_parameter,
    corner,
    dose_response,
    effects,
    fit,
    phase_map,
    phase_maps,
    sensitivity,
    variance,
)
from gpusim.viz.plots.tracks import mean_square_displacement
from gpusim.viz.plots.trials import arms, spider, survival, volcano, waterfall

__all__ = [
    "PAGE",
    "Cut",
    "arms",
    "by_parameter",
    "clustering",
    "corner",
    "counts",
    "curves",
    "depth_in_tumour",
    "dose_response",
    "effects",
    "fit",
    "infiltration",
    "kymograph",
    "mean_square_displacement",
    "muller",
    "panels",
    "phase_map",
    "phase_maps",
    "plane",
    "planes",
    "profile",
    "radial_profiles",
    "section",
    "sensitivity",
    "spider",
    "summary",
    "survival",
    "variance",
    "volcano",
    "waterfall",
]
