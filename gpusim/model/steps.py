"""Step sizes, chosen from the scenario's own rates where it does not give them."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from gpusim import units
from gpusim.errors import ScenarioError
from gpusim.scenario import Document

ROUND_MINUTES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 6.0)
"""Steps that divide an hour."""

_FINEST_PARTS = 1_000_000
"""Of a minute; finer ones of a user's times are rounding."""
_MOST_SHORTER = 100
"""Times that a step may be shorter than the rates allow, to divide a user's times."""
_SHORTEST = 1e-6
"""Shortest step, min."""
MOST_HAZARD = 0.1
"""Largest hazard of a rule over a step: two events of one cell then rarely fall into one step."""
MOST_HAZARD_OF_DIVISION = 0.02
"""The same of a division: of the mothers whose ways for room meet, one divides in a step, so that few may wait."""
MOST_CHANGE = 0.25
"""Largest rate of change of a trait, times the step: the error of a step is then 1e-6 of the value."""
MOST_TRANSFER = 0.25
"""Largest rate of a transfer between a trait and a field, times the step x: what is taken up has then diffused for
x^2 / 12 longer than in truth, relative to the time until uptake: 0.5%."""
ROUNDING = 1e-6
"""Of a bound that float32 numbers are in, relative to it."""


@dataclass(frozen=True)
class HighestRate:
    """The largest rate of a rule, or at which a trait changes.

    Attributes:
        what: in words, as in "rule 'infection'".
        rate: 1/min; what has no upper bound is not in it.
        limit: of the hazard, or of the change, over a step.
        bounded: whether every modulator has an upper bound.
        where: in words, when the rate is that high; may be empty.
    """

    what: str
    rate: float
    limit: float
    bounded: bool
    where: str = ""


def choose(document: Document, rates: Iterable[HighestRate], longest_field: float = math.inf) -> tuple[float, int]:
    """Step in minutes, and steps between two applications of the rules.

    Args:
        rates: of all rules of the scenario.
        longest_field: the longest step, min, over which rates may take fields as they were at its beginning.
    """
    given = document.time.step
    fitting = longest(rates)
    field = units.number(given.field, "min") if given.field else None
    if given.rules:
        rules = units.number(given.rules, "min")
    elif field:
        rules = field * max(1, int(fitting / field + 1e-9))
    else:
        rules = dividing(fitting, given_times(document))
    field = rules / max(1, math.ceil(rules / longest_field - 1e-9)) if field is None else field
    for name, value in (("rules", rules), ("field", field)):
        if value < _SHORTEST:
            raise ScenarioError(f"time.step.{name}: expected {_SHORTEST:g} min or more, found {value:g} min")
    return field, whole(rules, field, "time.step.rules", "time.step.field")


def longest(rates: Iterable[HighestRate]) -> float:
    """The longest round step, min, over which no rule's hazard passes its limit."""
    highest = max((each.rate * MOST_HAZARD / each.limit for each in rates), default=0.0)
    fitting = [step for step in ROUND_MINUTES if step * highest <= MOST_HAZARD * (1 + ROUNDING)]
    return fitting[-1] if fitting else ROUND_MINUTES[0]


_REACHES = {
    MOST_HAZARD: ("its hazard reaches", "two events of one cell often fall into one step"),
    MOST_HAZARD_OF_DIVISION: ("its hazard reaches", "cells that divide or close up often wait for each other"),
    MOST_CHANGE: ("the rate times the step reaches", "values have an error"),
}


def too_large(rates: Iterable[HighestRate], rules_step: float) -> Iterator[str]:
    """Notes on a rule step, min, over which hazards pass their limits: the largest of each limit."""
    by_limit: dict[float, HighestRate] = {}
    for each in rates:
        if each.rate * rules_step > each.limit * (1 + ROUNDING):
            by_limit[each.limit] = max(each, by_limit.get(each.limit, each), key=lambda one: one.rate)
    for limit, each in by_limit.items():
        yield (
            f"the rule step of {rules_step:g} min is too large for {each.what}: {_REACHES[limit][0]} "
            f"{each.rate * rules_step:.3g} per step{each.where}; above {limit:g}, {_REACHES[limit][1]}"
        )


def given_times(document: Document) -> dict[str, float]:
    """Times above 0 that a scenario names and that a step must end at, min, by their place in it."""
    time, record = document.time, document.record
    until = units.number(time.until, "min")
    texts = {"time.until": time.until} | {f"time.at[{i}]": text for i, text in enumerate(time.at)}
    if "every" in record.model_fields_set or units.number(record.every, "min") < until:
        texts["record.every"] = record.every
    if record.tracks is not None:
        texts["record.tracks.every"] = record.tracks.every
    for name, therapy in document.therapies.items():
        texts[f"therapies.{name}.start"] = therapy.start
        if therapy.every is not None and therapy.doses > 1:
            texts[f"therapies.{name}.every"] = therapy.every
        if therapy.duration is not None:
            texts[f"therapies.{name}.duration"] = therapy.duration
    times = {place: units.number(text, "min") for place, text in texts.items()}
    return {place: minutes for place, minutes in times.items() if minutes > 0}


def require_divided(document: Document, step: float) -> None:
    """Raise `ScenarioError` where a step, min, does not end at a time that the scenario names."""
    for place, minutes in given_times(document).items():
        whole(minutes, step, place)


def dividing(most: float, times: Mapping[str, float]) -> float:
    """The longest step of at most `most` min that divides all times, or a round one of three quarters of it or more.

    Raises `ScenarioError` where that would be under a hundredth of it, and of the shortest of the times.
    """
    least = min(most, *times.values()) / _MOST_SHORTER if times else 0.0
    if all(_multiple(minutes, most) for minutes in times.values()):
        return most
    common = Fraction(0)
    for place, minutes in times.items():
        exact = Fraction(minutes).limit_denominator(_FINEST_PARTS)
        common = Fraction(
            math.gcd(common.numerator * exact.denominator, exact.numerator * common.denominator),
            common.denominator * exact.denominator,
        )
        step = float(common / math.ceil(common / Fraction(most))) if common else 0.0
        if step < least or not _multiple(minutes, step):
            raise ScenarioError(
                f"{place}: no step of {least:g} min or more divides {minutes:.10g} min and the other "
                "times of the scenario; expected a rounder time, or a 'time.step'"
            )
    rounded = [each for each in ROUND_MINUTES if each <= most and _multiple(float(common), each)]
    return rounded[-1] if rounded and rounded[-1] >= 0.75 * step else step


def _multiple(time: float, step: float) -> bool:
    count = round(time / step)
    return count >= 1 and math.isclose(count * step, time, rel_tol=1e-9)


def whole(time: float, step: float, name: str, step_name: str = "the step") -> int:
    """`time` / `step` as a whole number of 1 or more; raises `ScenarioError` where it is none."""
    if not _multiple(time, step):
        raise ScenarioError(f"{name}: expected a multiple of {step_name} ({step:g} min), found {time:g} min")
    return round(time / step)


def between_snapshots(document: Document, step: float) -> int:
    """Steps between two snapshots; what the scenario leaves open, and is longer than the run, fits any step."""
    every = units.number(document.record.every, "min")
    if "record.every" in given_times(document):
        return whole(every, step, "record.every")
    return max(1, round(every / step))


_MOST_HOP = 0.5
"""Most voxels that a cell covers in a move, on average; two moves of one step then seldom collide."""


def moves(document: Document, step: float, fastest: float) -> int:
    """Moves a step; `fastest` is the highest speed of a cell, voxels a minute."""
    if document.time.step.motion is None:
        return max(1, math.ceil(fastest * step / _MOST_HOP - ROUNDING))
    given = units.number(document.time.step.motion, "min")
    if given < _SHORTEST:
        raise ScenarioError(f"time.step.motion: expected {_SHORTEST:g} min or more, found {given:g} min")
    return whole(step, given, "time.step.field", "time.step.motion")
