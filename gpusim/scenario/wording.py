"""Parts of a scenario in words: modulators, schedules of therapies, outcomes, expected orders."""

from collections.abc import Mapping, Sequence

from gpusim.scenario.schema import (
    Box,
    Cylinder,
    Modulator,
    Order,
    Outcome,
    Shape,
    Signal,
    Sphere,
    Therapy,
    TraitRelease,
    Vessels,
)


def amount(value: float | str) -> str:
    """A quantity as written, without trailing zeros."""
    return f"{value:g}" if isinstance(value, int | float) else value


def amounts(given: Mapping[str, float | str | TraitRelease]) -> str:
    """Amounts by name: "virus 150 PFU, damp 1 cell"."""
    return ", ".join(f"{name} {_released(each)}" for name, each in given.items())


def _released(given: float | str | TraitRelease) -> str:
    return f"{amount(given.each)} for each {given.trait}" if isinstance(given, TraitRelease) else amount(given)


def argument(of: Signal | Modulator) -> str:
    """What a modulator or a signal depends on: "virus", "neighbours ctl/nk", "body drug"."""
    if of.field is not None:
        return of.field
    if of.room:
        return "room"
    for word, named in (("body", of.body), ("trait", of.trait)):
        if named is not None:
            return f"{word} {named}"
    if of.neighbours is not None:
        near = "" if of.neighbourhood == 26 else f" of {of.neighbourhood}"
        return f"neighbours{near} {'/'.join(of.neighbours)}"
    if of.connected is not None:
        return f"connected {'/'.join(of.connected)} to {'/'.join(of.to or ())}"
    return f"contact {'/'.join(of.contact or ())}"


def modulator(given: Modulator) -> str:
    """A modulator with its numbers: "ifn1 inhibits, half 0.05 ng/mL, power 2"."""
    if given.signals:
        kinds = (("increased by", given.increases), ("decreased by", given.decreases))
        said = [f"{how} {', '.join(map(_signal, signals))}" for how, signals in kinds if signals]
        return "; ".join([*said, *_limits(given)])
    said = [argument(given)]
    if given.half is not None:
        said = [f"{said[0]} {given.effect}", f"half {amount(given.half)}"]
        said += [f"power {given.power:g}"] if given.power != 1 else []
    for word, number in (("per", given.per), ("above", given.above), ("below", given.below)):
        said = [f"{said[0]} {word} {amount(number)}"] if number is not None else said
    return ", ".join([*said, *_limits(given)])


def _signal(given: Signal) -> str:
    power = f", power {given.power:g}" if given.power != 1 else ""
    return f"{argument(given)} (half {amount(given.half)}{power})"


def _limits(given: Modulator) -> list[str]:
    kinds = ("at_zero", "at_saturation", "at_inhibition")
    return [
        f"factor {getattr(given, key):g} {key.replace('_', ' ')}" for key in kinds if getattr(given, key) is not None
    ]


def gives(therapy: Therapy) -> str:
    """What one dose gives: "inject virus 300 PFU"."""
    if therapy.resect is not None:
        left = f", leaves {therapy.leaves}" if therapy.leaves else ""
        return f"resect {'/'.join(therapy.resect)}{left}"
    verb, what = ("inject", therapy.inject) if therapy.inject else ("infuse", therapy.infuse)
    targets = f" for each {'/'.join(therapy.targets)}" if therapy.targets else ""
    infused = f" in {therapy.volume} over {therapy.duration}" if therapy.volume else ""
    return f"{verb} {what} {amount(therapy.amount or 0.0)}{targets}{infused}"


def route(therapy: Therapy) -> str:
    """Where a dose goes: "body", or a region of a site."""
    if therapy.infuse is not None:
        return "body"
    where = " to ".join(_point(each) for each in (therapy.at, therapy.to) if each)
    site = f"{therapy.site}: " if therapy.site else ""
    into = f", into {'/'.join(therapy.into)}" if therapy.into else ""
    return f"{site}{where}, radius {therapy.radius}{into}"


def region(shape: Shape) -> str:
    """Where a shape is: "sphere at centre, radius 300 um"."""
    if isinstance(shape, Sphere):
        return f"sphere at {_point(shape.centre)}, radius {shape.radius}"
    if isinstance(shape, Box):
        return f"box, {_point(shape.lower)} to {_point(shape.upper)}"
    if isinstance(shape, Cylinder):
        return f"cylinder, {_point(shape.start)} to {_point(shape.end)}, radius {shape.radius}"
    if isinstance(shape, Vessels):
        return f"vessels, distance {shape.distance}, radius {shape.radius}"
    return "everywhere"


def _point(at: str | Sequence[float | str]) -> str:
    return at if isinstance(at, str) else f"({', '.join(map(amount, at))})"


def schedule(therapy: Therapy) -> str:
    """When doses are due: "3 doses, every 14 day from 1 day"."""
    if therapy.doses == 1:
        return f"once, at {therapy.start}"
    return f"{therapy.doses} doses, every {therapy.every} from {therapy.start}"


def outcome(given: Outcome) -> str:
    """What an outcome measures: "count tumour/infected, at 3 day"."""
    value = getattr(given, given.kind)
    said = [f"{given.kind} {'/'.join(value) if isinstance(value, tuple) else value}"]
    for key in ("of", "quantile", "above", "within", "site"):
        found = getattr(given, key)
        if found is not None:
            said.append(f"{key} {'/'.join(found) if isinstance(found, tuple) else amount(found)}")
    said += ["in a box"] if given.box else []
    said += [given.take] if given.take != "last" else []
    return ", ".join([*said, f"at {', '.join(given.at) or 'the end'}"])


def order(given: Order) -> str:
    """An expected order: "virus < control, at 3 day"."""
    ends = given.at if len(given.arms) == 1 else given.arms
    where = given.arms[0] if len(given.arms) == 1 else ", ".join(given.at)
    suspended = f" (suspended: {given.suspended})" if given.suspended else ""
    return " < ".join(ends) + (f", {'in' if len(given.arms) == 1 else 'at'} {where}" if where else "") + suspended
