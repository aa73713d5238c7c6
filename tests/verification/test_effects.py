"""Secretions and losses that depend on something."""

import numpy as np
import pytest

BOX = """
grid: {{shape: [6, 6, 6]}}
time: {{until: 10 h, step: {{field: 1 min, rules: 1 min}}}}
record: {{every: 10 h}}
fields:
  a: {{unit: ng/mL, initial: 3 {more}}}
  b: {{unit: ng/mL, initial: 3}}
states:
  cell: {state}
  guest: {{layer: immune}}
tissue:
  background: cell
  shapes:
    guest: {{kind: box, state: guest, lower: [0 um, 0 um, 0 um], upper: [60 um, 120 um, 120 um]}}
"""


def test_a_secretion_follows_another_field_and_the_contact(simulate):
    state = "{secretion: {a: {rate: 0.2 ng/mL/min, modulators: [{field: b, half: 1 ng/mL}, {contact: guest}]}}}"
    simulation = simulate(BOX.format(state=state, more=""))
    simulation.step(10)
    found = simulation.field("a")
    assert found[:, :, :3] == pytest.approx(np.full((6, 6, 3), 3 + 10 * 0.2 * 0.75), rel=1e-5)
    assert np.array_equal(found[:, :, 3:], np.full((6, 6, 3), 3, np.float32))


def test_a_clearance_without_bound_is_implicit(simulate):
    more = ", clearance: {trap: {rate: 0.5 /min, modulators: [{field: b, per: 1 ng/mL}]}}"
    simulation = simulate(BOX.format(state="{}", more=more))
    simulation.step(4)  # of two passes, as nothing bounds the loss
    assert simulation.field("a") == pytest.approx(np.full((6, 6, 6), 3 / (1 + 0.75) ** 8), rel=1e-5)


def test_an_uptake_with_a_modulator_is_by_state(simulate):
    state = "{uptake: {a: {rate: 0.1 /min, modulators: [{contact: guest}]}}}"
    simulation = simulate(BOX.format(state=state, more=""))
    simulation.step(4)
    heun = (1 - 0.05 + 0.05**2 / 2) ** 8  # two steps a minute
    assert simulation.field("a")[:, :, :3] == pytest.approx(np.full((6, 6, 3), 3 * heun), rel=1e-5)
    assert simulation.field("a")[:, :, 3:] == pytest.approx(np.full((6, 6, 3), 3), rel=1e-6)
