"""A scenario with no field at all: its launches of 0 blocks must not be made."""

import os

import gpusim

SCENARIO = """
name: no-fields
grid: {shape: [4, 4, 4]}
states: {one: {}, two: {}}
rules: {turn: {transition: one -> two, rate: 0.1 /min}}
tissue: {shapes: {all: {kind: everywhere, state: one}}}
time: {until: 10 min, step: {field: 1 min, rules: 1 min}}
record: {every: 10 min}
"""


def main():
    """Run on both, and compare."""
    ends = []
    for backend in (os.environ.get("B", "cuda"), "numpy"):
        simulation = gpusim.Simulation(gpusim.Scenario.parse(SCENARIO), backend)
        simulation.run()
        ends.append(simulation.digest())
    assert ends[0] == ends[1], ends
    print("without fields: the same bits,", simulation.counts)


if __name__ == "__main__":
    main()
