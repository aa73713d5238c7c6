"""Traits as numbers: their values at the start, at divisions and mutations, and the laws of their change."""

import math
from collections.abc import Callable, Iterable
from statistics import NormalDist

import numpy as np

from gpusim import units
from gpusim.errors import ScenarioError
from gpusim.model.model import Clones, States, Traits
from gpusim.model.modulators import Modulators, greatest, numbered
from gpusim.model.tables import (
    LAW,
    LINEAGE,
    QUANTILE_STEPS,
    TRAIT,
    TRANSFER,
    AtDivision,
    Mutation,
    TransferKind,
    begins,
    state_set,
)
from gpusim.model.waiting import is_counter
from gpusim.scenario import Document, schema
from gpusim.scenario.checks import ratio_unit

_MOST_VOXELS = 2**30
"""That the label of a clone tells apart; see kernels/clones.cuh."""
_PROBABILITIES = np.arange(QUANTILE_STEPS + 1).clip(0.5, QUANTILE_STEPS - 0.5) / QUANTILE_STEPS
"""Of the quantiles of a table; its ends are half a step from 0 and 1, where quantiles may be infinite."""
_DIGITS = 6
"""Of quantiles, so that the last bit of a function, which differs between machines, changes nothing."""


def build_traits(
    document: Document, states: States, volume: float, step: float, rules_step: float, modulators: Modulators
) -> Traits:
    """The traits of a scenario; the steps of transport and of the rules in min."""
    names = numbered(document)
    specs = [document.traits[name] for name in names]
    rows = np.array([_row(spec, states, volume) for spec in specs], TRAIT)
    quantiles = np.zeros((len(names), 2, QUANTILE_STEPS + 1), np.float32)
    for table, spec in zip(quantiles, specs, strict=True):
        table[0], table[1] = _rounded(_initial(spec, volume)), _rounded(_mutations(spec, volume))
    laws, law_begin = _laws(specs, states, volume, rules_step, modulators)
    transfers, transfer_begin = _transfers(document, specs, states, volume, step, modulators)
    tissue = sum(states.number(spec.of[0]) < states.none for spec in specs)
    columns = [each.initial.column if isinstance(each.initial, schema.InitialTrait) else None for each in specs]
    return Traits(
        names=tuple(name for name in names if not is_counter(name)),
        units=tuple(document.traits[name].unit for name in names if not is_counter(name)),
        numbers=tuple(number for number, name in enumerate(names) if not is_counter(name)),
        of_tissue=tissue,
        rows=rows,
        quantiles=quantiles,
        laws=laws,
        law_begin=law_begin,
        transfers=transfers,
        transfer_begin=transfer_begin,
        columns=tuple(columns),
    )


def threshold(probability: float) -> int:
    """What a random word of 32 bits must be below."""
    return min(round(probability * 2**32), 2**32 - 1)


def build_clones(document: Document, states: States, voxels: int) -> Clones:
    """The clones of a scenario. Raises `ScenarioError` where labels cannot tell so many voxels apart."""
    clones = document.clones
    if clones is None:
        return Clones(np.zeros(0, LINEAGE), immune=False, each=False)
    if voxels >= _MOST_VOXELS:
        raise ScenarioError(f"grid: {voxels:,} voxels; expected fewer than {_MOST_VOXELS:,} where cells have clones")
    numbers = [states.number(state) for state in clones.of]
    rows = np.array([(state_set(numbers), threshold(clones.mutation))], LINEAGE)
    return Clones(rows, immune=numbers[0] >= states.none, each=clones.founders == "each")


def _row(spec: schema.Trait, states: States, volume: float) -> tuple[object, ...]:
    mutation = spec.mutation
    kind = Mutation.ADDED
    if mutation is not None and mutation.spread is None:
        kind = Mutation.REPLACED if mutation.fold is None else Mutation.MULTIPLIED
    probability = mutation.probability if mutation is not None else 0.0
    numbers = [states.number(state) for state in spec.of]
    mutates = threshold(probability)
    founds = mutation is not None and mutation.clone is not None
    return greatest(spec, volume), AtDivision[spec.at_division.upper()], kind, mutates, founds, state_set(numbers)


def _normal() -> np.ndarray:
    """Quantiles of the standard normal distribution."""
    return np.array([NormalDist().inv_cdf(p) for p in _PROBABILITIES.tolist()])


def _rounded(quantiles: np.ndarray) -> list[float]:
    return [float(f"{value:.{_DIGITS}g}") for value in quantiles.tolist()]


def _initial(spec: schema.Trait, volume: float) -> np.ndarray:
    """Quantiles of the initial value."""

    def value(given: float | str) -> float:
        return units.number(given, spec.unit, volume)

    initial = spec.initial
    if not isinstance(initial, schema.InitialTrait):
        return np.full(_PROBABILITIES.shape, value(initial))
    if initial.normal is not None:
        return value(initial.normal.mean) + value(initial.normal.sd) * _normal()
    if initial.lognormal is not None:
        return value(initial.lognormal.median) * initial.lognormal.fold ** _normal()
    if initial.uniform is not None:
        low, high = value(initial.uniform.low), value(initial.uniform.high)
        return low + (high - low) * np.linspace(0, 1, QUANTILE_STEPS + 1)
    return np.full(_PROBABILITIES.shape, value(initial.otherwise or 0.0))


def _mutations(spec: schema.Trait, volume: float) -> np.ndarray:
    """Quantiles of what is drawn for a mutation."""
    mutation = spec.mutation
    if mutation is None:
        return np.zeros(_PROBABILITIES.shape)
    if mutation.fold is not None:
        factors: np.ndarray = mutation.fold ** _normal()
        return factors
    if mutation.spread is not None:
        return units.number(mutation.spread, spec.unit, volume) * _normal()
    assert mutation.becomes is not None, "checked on loading"
    return np.full(_PROBABILITIES.shape, units.number(mutation.becomes, spec.unit, volume))


def _laws(
    specs: list[schema.Trait], states: States, volume: float, step: float, modulators: Modulators
) -> tuple[np.ndarray, np.ndarray]:
    by_state: list[list[tuple[int | float, ...]]] = [[] for _ in states.names]
    for number, spec in enumerate(specs):
        for law in spec.changes.values():
            gain, loss = law_rates(spec, law, volume)
            row = (number, gain * step, loss * step, *modulators.add(law.modulators))
            for state in law.of or spec.of:
                by_state[states.number(state)].append(row)
    return _sorted(by_state, LAW)


def _sorted(by_state: list[list[tuple[int | float, ...]]], dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Rows by state as a table, and int32 [states + 1], the first of each state."""
    return np.array([row for of_state in by_state for row in of_state], dtype), begins(by_state)


def _transfers(
    document: Document,
    specs: list[schema.Trait],
    states: States,
    volume: float,
    step: float,
    modulators: Modulators,
) -> tuple[np.ndarray, np.ndarray]:
    by_state: list[list[tuple[int | float, ...]]] = [[] for _ in states.names]
    fields = list(document.fields)
    for number, spec in enumerate(specs):
        for kind, key, transfers in (
            (TransferKind.UPTAKE, "uptake", spec.uptake),
            (TransferKind.RELEASE, "secretion", spec.secretion),
        ):
            for field, transfer in transfers.items():
                turnover = units.number(transfer.rate, "1/min") * step / 2
                ratio = _ratio(document, spec, key, field, transfer, volume)
                row = (kind, number, fields.index(field), turnover, ratio, *modulators.add(transfer.modulators))
                for state in spec.of:
                    by_state[states.number(state)].append(row)
    return _sorted(by_state, TRANSFER)


def _ratio(
    document: Document, spec: schema.Trait, key: str, field: str, transfer: schema.Transfer, volume: float
) -> float:
    """What one unit of the source of a transfer becomes: of a concentration in a voxel, or of the trait."""
    if transfer.ratio is not None:
        return units.number(transfer.ratio, ratio_unit(document, spec, key, field), volume)
    amount = f"{document.fields[field].unit} * voxel"
    ends = (amount, spec.unit) if key == "uptake" else (spec.unit, amount)
    return units.number(f"1 {ends[0]}", ends[1], volume)


def fastest_transfer(document: Document, factor: Callable[[schema.Trait, Iterable[schema.Modulator]], float]) -> float:
    """Highest bounded rate of a transfer, 1/min; `factor`: the most that its modulators multiply by."""
    rates = (
        units.number(transfer.rate, "1/min") * factor(spec, transfer.modulators)
        for spec in document.traits.values()
        for transfer in (*spec.uptake.values(), *spec.secretion.values())
    )
    return max(rates, default=0.0)


def law_rates(spec: schema.Trait, law: schema.Law, volume: float) -> tuple[float, float]:
    """Gain, in the trait's unit / min, and loss, 1/min, of a law without its modulators; growth is a loss below 0."""
    if law.gain is not None:
        return units.number(law.gain, f"({spec.unit}) / min", volume), 0.0
    if law.growth is not None:
        return 0.0, -units.number(law.growth, "1/min")
    assert law.rate is not None, "checked on loading"
    assert law.towards is not None, "checked on loading"
    rate = units.number(law.rate, "1/min")
    return rate * units.number(law.towards, spec.unit, volume), rate


def fastest_law(spec: schema.Trait, factor: Callable[[schema.Trait, Iterable[schema.Modulator]], float]) -> float:
    """Highest bounded rate at which laws change a trait in proportion to its value, 1/min.

    `factor`: the most that a law's modulators multiply by.
    """
    highest = 0.0
    for state in spec.of:
        here = [law for law in spec.changes.values() if law.gain is None and state in (law.of or spec.of)]
        highest = max(
            highest, math.fsum(abs(law_rates(spec, law, 1.0)[1]) * factor(spec, law.modulators) for law in here)
        )
    return highest
