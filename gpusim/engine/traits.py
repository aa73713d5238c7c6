"""Traits and clones of cells that no rule has made: at the start, and put in by therapies."""

from collections.abc import Iterator

import numpy as np

from gpusim.backends.numpy.random import Draw
from gpusim.backends.numpy.traits import Traits
from gpusim.engine.lineage import FOUNDERS
from gpusim.engine.purpose import Purpose
from gpusim.model import Model
from gpusim.model.tables import members


def initial_traits(model: Model) -> Iterator[np.ndarray]:
    """Values at time 0 of each trait: float32 [z, y, x]."""
    draw = Draw(model.seed, 0, Purpose.START)
    names = {number: name for name, number in model.traits.named.items()}
    for number in range(len(model.traits)):
        layer = model.initial.tissue if number < model.traits.of_tissue else model.initial.immune
        values = begun(model, number, layer.reshape(-1), np.arange(layer.size), draw)
        column = model.initial.columns.get(names.get(number, ""))
        if column is not None:
            given = _traits(model).held(number, column.reshape(-1))
            has = _traits(model).has(number, layer.reshape(-1))
            values = np.where(has & ~np.isnan(column.reshape(-1)), given, values)
        yield values.reshape(layer.shape)


def initial_clones(model: Model) -> np.ndarray:
    """Labels at time 0: uint64 [z, y, x]; 0 of cells that belong to no clone."""
    layer = model.initial.immune if model.clones.immune else model.initial.tissue
    each = np.arange(1, layer.size + 1, dtype=np.uint64).reshape(layer.shape)
    has = members(model.clones.rows["states"][0])[layer] > 0
    return np.where(has, each if model.clones.each else FOUNDERS, np.uint64(0))


def founders(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the clones of time 0, in their order, uint64 [n], and traits of their first cells, float32 [n, traits].

    The traits of all founders of one clone are not numbers.
    """
    clones = initial_clones(model).reshape(-1)
    if not model.clones.each:
        labels = clones[clones > 0][:1]
        return labels, np.full((labels.size, len(model.traits)), np.nan, np.float32)
    at = np.flatnonzero(clones)
    newborn = np.zeros((at.size, len(model.traits)), np.float32)
    own = range(*model.traits.of_layer(immune=model.clones.immune))
    for number, values in enumerate(initial_traits(model)):
        if number in own:
            newborn[:, number] = values.reshape(-1)[at]
    return clones[at], newborn


def begun(model: Model, number: int, states: np.ndarray, voxels: np.ndarray, draw: Draw) -> np.ndarray:
    """Initial values of a trait of cells in some states, at flat indices: float32 [cells]; 0 of those without it."""
    traits = _traits(model)
    has = traits.has(number, states)
    found = np.zeros(states.size, np.float32)
    found[has] = traits.initial(number, traits.drawn(number, draw, voxels[has])[0])
    return found


def states_with(model: Model, number: int) -> np.ndarray:
    """Which states have a trait: bool [states]."""
    return _traits(model).has(number, np.arange(len(model.states.names)))


def _traits(model: Model) -> Traits:
    return Traits(model.traits.rows, model.traits.quantiles, np.zeros((0, 0), np.float32), range(0))
