"""The present state as an xarray dataset, and how results and datasets describe their arrays."""

from typing import TYPE_CHECKING, Any

import numpy as np

from gpusim.engine.traits import states_with
from gpusim.model import Model
from gpusim.scenario import Scenario

if TYPE_CHECKING:
    import xarray

    from gpusim.engine.site import Site

LAYERS = ("tissue", "immune")
CLONES = "clones"
"""Name of the array of labels of clones."""
TIMES = {"step": "1", "time": "min"}
"""Units of the coordinates of time. As attribute "unit": "units" would make xarray take minutes for a date."""


def attributes(model: Model) -> dict[str, dict[str, Any]]:
    """Attributes of fields, layers, traits and clones, by name: unit, meaning, states of numbers or with the trait."""
    names = model.states.names
    flags = {"flag_values": list(range(len(names))), "flag_meanings": " ".join(names)}
    fields = {
        name: {"units": u, "long_name": name} for name, u in zip(model.fields.names, model.fields.units, strict=True)
    }
    layers = {layer: {"long_name": f"state of the {layer} cell", **flags} for layer in LAYERS}
    traits = {
        name: {
            "units": unit,
            "long_name": name,
            "states": " ".join(np.array(names)[states_with(model, number)]),
        }
        for (name, number), unit in zip(model.traits.named.items(), model.traits.units, strict=True)
    }
    clones = {CLONES: {"long_name": "label of the clone; 0: none"}} if len(model.clones) else {}
    return fields | layers | traits | clones


def centres(model: Model) -> dict[str, tuple[np.ndarray, dict[str, str]]]:
    """Voxel centres along each axis, float64, um, with their attributes."""
    return {
        axis: ((np.arange(size) + 0.5) * model.spacing, {"units": "um", "long_name": f"{axis} of voxel centres"})
        for axis, size in zip("zyx", model.shape, strict=True)
    }


def of(site: "Site", scenario: Scenario, steps: int) -> "xarray.Dataset":
    """Copies of all arrays of a site after so many steps."""
    import xarray

    model = site.model
    data = {name: (("z", "y", "x"), site.array(name), told) for name, told in attributes(model).items()}
    now = {"step": steps, "time": steps * model.step}
    coordinates: dict[str, Any] = {axis: (axis, *told) for axis, told in centres(model).items()}
    coordinates |= {
        name: ((), now[name], {"unit": unit, "long_name": f"simulated {name}"}) for name, unit in TIMES.items()
    }
    about = {"title": model.name, "seed": str(scenario.document.seed), "site": site.name, "spacing_um": model.spacing}
    return xarray.Dataset(data, coordinates, about)
