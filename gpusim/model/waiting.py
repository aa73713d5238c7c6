"""Rules that wait for more steps than the 16 bits of a cell's clock count.

Each state that such rules leave has a trait that counts steps, which no output shows, and the rules have a threshold on
it. Kernels know nothing of it. They wait as those with a clock do, but for an immune cell whose state changed as the
partner of a tissue cell: its clock begins one step earlier.
"""

import math

from gpusim import units
from gpusim.errors import ScenarioError
from gpusim.scenario import Document
from gpusim.scenario.schema import Law, Modulator, Rule, Trait

MOST_OF_CLOCK = 65_534
"""Steps of `after` that a cell's clock tells."""
MOST_STEPS = 2**24 - 2
"""Steps of `after` that a trait tells: float32 counts to 2^24 one by one."""
_COUNTER = "steps in "
"""Begins the names of these traits; no name in a scenario has a space."""


def is_counter(trait: str) -> bool:
    """Whether a trait counts steps."""
    return trait.startswith(_COUNTER)


def counter(state: str) -> str:
    """Name of the trait that counts the steps of cells in a state."""
    return _COUNTER + state


def steps_after(name: str, rule: Rule, step: float) -> int:
    """Applications of the rules, each `step` min, that a rule waits for. Raises `ScenarioError`."""
    steps = math.ceil(units.number(rule.after, "min") / step - 1e-9)
    if steps > MOST_STEPS:
        raise ScenarioError(
            f"rules.{name}.after: {rule.after} is {steps} steps of {step:g} min; expected at most {MOST_STEPS} steps"
        )
    return steps


def with_counters(document: Document, step: float) -> Document:
    """A scenario with the traits that its rules need; itself where they need none.

    `step`: between two applications of the rules, min. Raises `ScenarioError`.
    """
    # Per step; laws are in 1/min.
    law = Law(gain=f"{1 / step!r} /min")
    counted = {
        counter(state): Trait(of=(state,), most=2.0**24, at_division="reset", changes={"waiting": law})
        for name, rule in document.rules.items()
        if steps_after(name, rule, step) > MOST_OF_CLOCK
        for state in rule.leaves
    }
    return document.model_copy(update={"traits": document.traits | counted}) if counted else document


def waited(state: str, steps: int) -> Modulator:
    """A factor of 1 after so many steps in a state, 0 before."""
    # Laws come before rules: the counter is 1 where the clock is 0.
    return Modulator.model_construct(trait=counter(state), above=steps + 1.0)
