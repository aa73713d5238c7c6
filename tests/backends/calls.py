"""Calls from the host to a device in time steps of a scenario, by kind, counted on the played device.

PYTHONPATH=tests python tests/backends/calls.py cold-to-hot benchmarks/full.yaml
"""

import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from backends.played import PlayedDevice

import gpusim

KINDS = {
    "explicit passes": ("explicit_step", "walled_step", "count_exchange"),
    "multigrid": (
        "combine", "smooth_finest", "smooth_coarse", "restrict_finest", "restrict_coarse", "restrict_mass",
        "restrict_coupling", "restrict_mean", "prolong", "cycle_coarse", "average_coarse",
    ),
    "rates of exchange": ("exchange_rates",),
    "moves": ("propose_moves", "move", "mark_members", "count_members"),
    "rules": ("apply_rules",),
    "divisions": ("begin_room", "spread_room", "bid_for_room", "settle_bids", "divide"),
    "traits": ("transfer", "change_traits"),
    "body": ("circulate", "exchange_with_body", "foresee"),
    "output": ("sum_fields", "note_tally"),
}  # fmt: skip
"""Kernels by what they are for."""


def of_a_step(scenario, device=None):
    """Launches by kind and other calls in a time step with rules, without output; launches do nothing."""
    device = device or PlayedDevice()
    device.working = False
    simulation = gpusim.Simulation(scenario, device.backend())
    simulation.step(4)
    device.reset()
    simulation.step(4)
    return {name: count / 4 for name, count in _calls(device).items()}


def of_a_recorded_step(scenario, hours, device=None):
    """The same for `gpusim.run` with a result folder, over `hours`, which are to be whole intervals of its record."""
    device = device or PlayedDevice()
    device.working = True
    with TemporaryDirectory() as folder:
        simulation = gpusim.Simulation(scenario, device.backend())
        begun = []

        def count(simulation):
            begun.append(simulation.steps)
            if len(begun) == 1:
                device.reset()

        period = f"{simulation.model.record_every * simulation.model.step:g} min"
        gpusim.run(simulation, Path(folder) / "out", until=f"{hours} h", every={period: count})
        return _calls(device), simulation.steps - begun[0]


def _calls(device):
    by_kernel, kinds = Counter(device.launched), Counter()
    for kind, kernels in KINDS.items():
        kinds[kind] = sum(by_kernel.pop(kernel, 0) for kernel in kernels)
    kinds["other launches"] = sum(by_kernel.values())
    return (
        dict(kinds)
        | {"launches": device.counts["launches"]}
        | {name: device.counts[name] for name in ("graphs", "to device", "to host", "on device", "waits")}
    )


def main():
    """Print a table."""
    device = PlayedDevice()
    found = [of_a_step(each if "." not in each else gpusim.Scenario.load(each), device) for each in sys.argv[1:]]
    print("|", " | ".join(["", *sys.argv[1:]]), "|")
    for kind in found[0]:
        print("|", " | ".join([kind, *(f"{each[kind]:g}" for each in found)]), "|")


if __name__ == "__main__":
    main()
