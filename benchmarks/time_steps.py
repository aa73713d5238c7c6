"""What the default time step costs in accuracy: fields of shipped scenarios against a tenth of the step.

    python benchmarks/time_steps.py [SCENARIO ...] [--hours 0 24 72] [--follow 6] [--backend cpu]

A scenario runs to each of some hours. There its cells and its body are held as they are, and the fields alone go on
for some hours: by the steps of the scenario, and by a tenth of them. The table has the largest difference, at the end
of any hour, of the mean over the lattice and of the highest voxel, each against the finer one. What is below a
millionth of a field's highest value so far counts as nothing.
"""

import argparse

import numpy as np

import gpusim

SCENARIOS = ("cold-to-hot", "combination", "armed", "delivery", "paradox", "stroma", "safety", "natural")
FINER = 10


def follow(simulation, hours):
    """Means and peaks of all fields, [hours, fields], of which cells and body stay as they are."""
    stepper = simulation._stepper
    stepper.circulation.foresee(simulation.model.step * simulation.model.rules_every)
    steps, found = round(60 / simulation.model.step), []
    for hour in range(hours):
        for step in range(steps):
            for stack in stepper.stacks:
                stack.transport(hour * steps + step)
        fields = simulation.fields
        found.append([(values.mean(dtype=float), values.max()) for values in fields.values()])
    return np.array(found, float)


def compared(scenario, start, hours, backend):
    """Names of the fields, and relative differences of their means and peaks from a start (hours) on.

    Of each field four: the largest of mean and of peak at the end of any hour, and both at the end of the last.
    """
    with gpusim.Simulation(scenario, backend) as simulation:
        if start:
            simulation.run(f"{start} h")
        arrays, numbers = dict(simulation.arrays()), {**simulation.numbers, "steps": 0}
        names, step = simulation.model.fields.names, simulation.model.step
        simulation.restore(numbers, arrays)
        default = follow(simulation, hours)
    fine = f"{step / FINER:g} min"
    finer = scenario.with_(time={"step": {"field": fine, "rules": f"{step:g} min", "motion": None}})
    with gpusim.Simulation(finer, backend) as simulation:
        simulation.restore(numbers, arrays)
        exact = follow(simulation, hours)
    highest = np.maximum.accumulate(exact, axis=0)
    scale = np.where(exact > 1e-6 * highest, exact, np.inf)
    differences = np.abs(default - exact) / np.maximum(scale, 1e-30)
    return names, np.concatenate([differences.max(axis=0), differences[-1]], axis=1)


def main():
    """Print a row a scenario, hour and field."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenarios", nargs="*", default=SCENARIOS)
    parser.add_argument("--hours", type=int, nargs="+", default=[0, 24, 72])
    parser.add_argument("--follow", type=int, default=6)
    parser.add_argument("--backend", default="cpu")
    arguments = parser.parse_args()
    print(f"{'scenario':14} {'hour':>4} {'field':12} {'mean':>8} {'peak':>8} {'at last':>8} {'peak':>8}")
    worst = np.zeros(4)
    for name in arguments.scenarios:
        scenario = gpusim.Scenario.load(name).with_(trial=None)
        for start in arguments.hours:
            fields, errors = compared(scenario, start, arguments.follow, arguments.backend)
            worst = np.maximum(worst, errors.max(axis=0))
            for field, each in zip(fields, errors, strict=True):
                print(f"{name:14} {start:4} {field:12}", *(f"{error:8.2%}" for error in each), flush=True)
    print(f"{'worst':32}", *(f"{error:8.2%}" for error in worst))


if __name__ == "__main__":
    main()
