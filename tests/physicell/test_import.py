"""`gpusim import physicell`: each element, as a scenario that checks and runs; hostile files."""

import math
import re

import numpy as np
import pytest
from commands import run
from physicell.projects import RESTING, TUMOUR, project

pytest.importorskip("lxml", reason="lxml is not installed")

import gpusim
from gpusim.physicell import import_project
from gpusim.physicell.cells import drift
from gpusim.physicell.layers import layers
from gpusim.physicell.settings import read

T = "tumour cell"
SHARE = 2494 / (13.56**2 * 20)
"""Of a cell in what it exchanges with: a voxel of the section, which is as deep as PhysiCell's mesh."""


def of(rate):
    """The number of a rate per minute."""
    return float(rate.removesuffix(" /min"))


def imported(folder, rules="", **more):
    """The document of an imported project, the scenario, and the rows of the report by element."""
    found = import_project(project(folder, rules, **more), "scenario")
    (folder / "scenario.yaml").write_text(found.text)
    for name, text in found.tables.items():
        (folder / name).write_text(text)
    scenario = gpusim.Scenario.load(str(folder / "scenario.yaml"))
    return scenario.document, scenario, {(row.kind, row.element): row for row in found.report.rows}


def test_a_project_becomes_a_scenario(tmp_path):
    document, scenario, rows = imported(tmp_path)
    # The cube root of 2494 um^3.
    assert document.grid.spacing == "13.56 um"
    assert document.grid.shape == (8, 8, 1)
    assert (document.time.until, document.time.step.rules, document.time.step.motion) == ("120 min", "6 min", "0.1 min")
    assert document.seed == 7
    assert document.record.every == "60 min"
    oxygen, factor = document.fields["oxygen"], document.fields["pro_inflammatory_factor"]
    assert (oxygen.unit, oxygen.decay, oxygen.initial, factor.label) == (
        "mmHg",
        "0.1 /min",
        38,
        "pro-inflammatory factor",
    )
    sides = oxygen.boundary.sides()  # z low, z high, y low, y high, x low, x high
    assert [side.value for side in sides] == [None, None, None, 38, 38, 38]
    tumour = document.states["tumour_cell"]
    assert of(tumour.uptake["oxygen"].rate) == pytest.approx(10 * SHARE, rel=1e-5)
    exchange = tumour.exchange["pro_inflammatory_factor"]
    assert of(exchange.permeability) == pytest.approx(2 * SHARE, rel=1e-5)
    assert exchange.blood == 5
    dead = document.states["tumour_cell_apoptotic"]
    assert of(dead.uptake["oxygen"].rate) == pytest.approx(SHARE, rel=1e-5)  # a tenth, in PhysiCell
    assert dead.role == "dead"
    assert (tumour.motility.speed, tumour.motility.persistence) == ("0.5 um/min", "10 min")
    assert rows["user_parameters", "colour (red)"].fate == "lost"
    simulation = gpusim.Simulation(scenario, "numpy")
    simulation.run(until="12 min")
    assert simulation.counts["tumour_cell"] + simulation.counts["tumour_cell_necrotic"] >= 1


def test_rules_of_a_type_become_rules_of_its_states(tmp_path):
    document, _, rows = imported(
        tmp_path,
        f"{T},oxygen,increases,cycle entry,0.004,21.5,4,0\n{T},oxygen,decreases,necrosis,0,3.75,8,0\n"
        f"{T},pressure,decreases,cycle entry,0,1,4,0\n{T},dead,increases,pro-inflammatory factor secretion,3,0.5,10,1\n"
        f"{T},damage,increases,apoptosis,0.1,5,8.5,0\n{T},time,decreases,transform to resting,0,60,16,0\n"
        f"{T},contact with CD8 T cell,decreases,migration speed,0.1,0.5,8,0\n"
        f"{T},oxygen,increases,migration bias,1,5,2,0\n",
    )
    division, necrosis = document.rules["tumour_cell_division"], document.rules["tumour_cell_necrosis"]
    assert (division.transition, division.rate) == ("tumour_cell -> tumour_cell + tumour_cell", "0.004 /min")
    by_oxygen, by_pressure = division.modulators
    assert (by_oxygen.field, by_oxygen.half, by_oxygen.power, by_oxygen.at_zero) == ("oxygen", 21.5, 4, 0.25)
    assert by_pressure.half == 11
    assert by_pressure.effect == "inhibits"
    (low,) = necrosis.modulators
    assert (low.half, low.power, low.effect, necrosis.rate) == (3.75, 8, "inhibits", "0.003 /min")
    # Of a dead cell the signal is 1: 0 + 3 (1 / 0.5)^10 / (1 + (1 / 0.5)^10); of a living one, the base of 2.
    dead = document.states["tumour_cell_apoptotic"].exchange["pro_inflammatory_factor"]
    alive = document.states["tumour_cell"].exchange["pro_inflammatory_factor"]
    assert of(dead.permeability) == pytest.approx(3 * 1024 / 1025 * SHARE, rel=1e-5)
    assert of(alive.permeability) == pytest.approx(2 * SHARE, rel=1e-5)
    assert document.rules["tumour_cell_apoptosis"].modulators[0].trait == "damage"
    assert document.rules["tumour_cell_to_resting"].modulators[0].body == "clock"
    (contact,) = document.states["tumour_cell"].motility.modulators
    assert set(contact.neighbours) >= {"CD8_T_cell"}
    fates = [row.fate for (kind, _), row in rows.items() if kind == "rule"]
    assert fates == ["exact", "exact", "approximate", "exact", "exact", "exact", "exact", "approximate"]


def test_inheritance_damage_death_and_cycles(tmp_path):
    document, _, _ = imported(tmp_path)
    assert document.states["resting"].motility is None
    assert document.states["resting"].uptake == document.states["tumour_cell"].uptake
    law = document.traits["damage"].changes
    assert law["harm_to_tumour_cell"].gain == "0.5 /min"
    assert law["repair_of_tumour_cell"].rate == "0.1 /min"
    assert document.rules["tumour_cell_apoptotic_ends"].after == "516 min"
    assert document.rules["tumour_cell_necrotic_ends"].after == "86400 min"
    assert document.groups["cycling"] == tuple(f"cycling_{phase}" for phase in ("g0g1", "s", "g2", "m"))
    assert document.rules["cycling_g0g1_leaves"].rate == "0.003 /min"
    assert [document.rules[f"cycling_{p}"].after for p in ("s_leaves", "g2_leaves", "m_division")] == [
        "480 min",
        "240 min",
        "60 min",
    ]
    assert document.rules["cycling_m_division"].transition == "cycling_m -> cycling_g0g1 + cycling_g0g1"


def test_attackers_and_their_targets_share_voxels(tmp_path):
    path = project(tmp_path)
    types = read(path).types
    assert layers(types, []) == {T: "tissue", "resting": "tissue", "CD8 T cell": "immune", "cycling": "tissue"}
    document, _, rows = imported(tmp_path)
    attack = document.rules["CD8_T_cell_attacks_tumour_cell"]
    assert (attack.rate, attack.after, attack.partner) == ("0.2 /min", "30 min", "tumour_cell")
    assert attack.add == {"damage": 30}  # 1 /min over 30 min
    eats = document.rules["CD8_T_cell_eats_apoptotic"]
    assert eats.partners == {"tumour_cell_apoptotic": "empty", "resting_apoptotic": "empty"}
    # A cell of 1000 um^3 in a voxel of 2494 um^3.
    assert rows["cell definition", "CD8 T cell: volume"].fate == "approximate"


def test_cells_enter_the_voxels_of_those_that_interact_with_them_alone(tmp_path):
    document, _, rows = imported(tmp_path)
    killer, tumour = document.states["CD8_T_cell"].motility, document.states["tumour_cell"].motility
    assert killer.enters == ("empty", "tumour_cell", "tumour_cell_apoptotic", "resting_apoptotic")
    assert tumour.enters == ("none", "CD8_T_cell")
    assert "of cells that interact with it" in rows["cell definition", "CD8 T cell: motility"].note


def test_an_attacker_that_stops_at_its_target_meets_it(tmp_path):
    """Targets beside it do not stop it, as an attack takes place in one voxel."""
    ring = "".join(f"{x},{y},0,{T}\n" for x in (-14, 0, 14) for y in (-14, 0, 14) if x or y)
    document, scenario, _ = imported(
        tmp_path,
        f"CD8 T cell,contact with {T},decreases,migration speed,0,0.5,8,0\n",
        cells=f"x,y,z,type\n{ring}0,0,0,CD8 T cell\n",
    )
    (stop,) = document.states["CD8_T_cell"].motility.modulators
    assert stop.contact == ("tumour_cell",)
    running = gpusim.Simulation(scenario, "numpy", seed=range(8))
    running.run(until="2 h")
    assert sum(each.fired["CD8_T_cell_attacks_tumour_cell"] for each in running.replicates) > 0


def test_cells_are_placed_one_a_voxel(tmp_path):
    _, scenario, rows = imported(tmp_path)
    row = rows["initial_conditions", "cells.csv: positions"]
    assert "1 of 4 are moved" in row.note
    assert "1 outside the domain" in row.note
    tissue = gpusim.Simulation(scenario, "numpy").tissue
    # -40 um is in the first voxel of 13.56 um from -50 um on; its twin goes to a voxel beside it.
    places = np.argwhere(tissue[0] == 1)
    assert len(places) == 2
    assert [0, 0] in places.tolist()


def test_initial_substrates_are_those_of_the_nearest_voxels(tmp_path):
    options = '<initial_condition type="csv" enabled="true"><filename>./config/ic.csv</filename></initial_condition>'
    path = project(tmp_path, options=options)
    nodes = [-40, -20, 0, 20, 40]
    rows = [f"{x},{y},0,{100 + x}" for x in nodes for y in nodes]
    (path.parent / "ic.csv").write_text("x,y,z,oxygen\n" + "\n".join(rows) + "\n")
    found = import_project(path, "s")
    (tmp_path / "s.yaml").write_text(found.text)
    for name, text in found.tables.items():
        (tmp_path / name).write_text(text)
    oxygen = gpusim.Simulation(gpusim.Scenario.load(str(tmp_path / "s.yaml")), "numpy").field("oxygen")
    centres = (np.arange(8) + 0.5) * 13.56 - 50
    nearest = [min(nodes, key=lambda node: abs(node - x)) for x in centres]
    assert np.allclose(oxygen[0], 100 + np.array(nearest)[None, :])


def test_the_command_prints_a_row_for_each_element(tmp_path):
    path = project(tmp_path, f"{T},oxygen,decreases,necrosis,0,3.75,8,0\n")
    done = run("import", "physicell", str(path), "-o", "made.yaml", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"rules: 1 exact, 0 approximate, 0 lost", done.stdout)
    assert (tmp_path / "made-cells.csv").exists()
    done = run("check", "made.yaml", folder=tmp_path)
    assert done.returncode == 0
    assert "tumour_cell_necrosis" in done.stdout
    done = run("import", "physicell", str(path), "-o", "made.yaml", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--overwrite" in done.stderr
    done = run("import", "physicell", str(path), "-o", "strict.yaml", "--strict", folder=tmp_path)
    assert done.returncode == 2
    assert "lost" in done.stderr
    assert not (tmp_path / "strict.yaml").exists()


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {new} "{10 * f"&{old};"}">' for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (BOMB + "]><PhysiCell_settings>&i;</PhysiCell_settings>", "document type|not XML"),
        (
            '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><PhysiCell_settings>&a;</PhysiCell_settings>',
            "document type",
        ),
        ('<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd"><PhysiCell_settings/>', "document type"),
        ("<PhysiCell_settings><domain>", "not XML"),
        ("<other/>", "expected the element <PhysiCell_settings>, found <other>"),
        ("<PhysiCell_settings/>", "expected the element <domain>"),
        ("", "not XML"),
        ("\0\1\2", "not XML"),
        ("<PhysiCell_settings>" * 400, "not XML"),
    ],
)
def test_hostile_settings_give_one_line(tmp_path, xml, message):
    (tmp_path / "bad.xml").write_bytes(xml.encode())
    done = run("import", "physicell", "bad.xml", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert not done.stdout
    assert re.search(message, done.stderr), done.stderr
    assert not (tmp_path / "scenario.yaml").exists()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"rules": f"{T},oxygen,decreases,necrosis,0,1,2,0\n" * 2}, "the same signal, behaviour and direction"),
        ({"rules": "".join(f"c,s{i},decreases,b,0,1,2,0\n" for i in range(10_001))}, "more than 10,000 rules"),
        ({"rules": "\0"}, "not a table of text"),
        ({"cells": "0,0,0,9\n"}, "no cell definition '9'"),
        ({"cells": "0,0,0\n"}, "expected columns x, y, z and type"),
        ({"cells": "x,y,z,type\n0,zero,0,resting\n"}, "expected a number, found 'zero'"),
        ({"definitions": RESTING}, "unknown parent_type 'tumour cell'"),
        ({"definitions": TUMOUR * 2}, "a name of its own"),
        ({"definitions": TUMOUR.replace("<total>2494", "<total>-1")}, "total volume above 0"),
        ({"definitions": TUMOUR.replace("<speed>0.5", "<speed>fast")}, "<speed>: expected a number, found 'fast'"),
    ],
)
def test_contradictions_give_one_line_with_their_place(tmp_path, what, message):
    path = project(tmp_path, **what)
    done = run("import", "physicell", str(path), folder=tmp_path)
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, ""), done.stderr
    assert message in done.stderr


def test_text_that_is_not_utf8_gives_one_line(tmp_path):
    path = project(tmp_path)
    (path.parent / "cell_rules.csv").write_bytes(b"\xff\xfe\x00c")
    done = run("import", "physicell", str(path), folder=tmp_path)
    assert done.returncode == 2
    assert "not text in UTF-8" in done.stderr
    assert done.stderr.count("\n") == 1


def test_numbers_of_types_and_tables_without_header_are_read(tmp_path):
    _, scenario, _ = imported(tmp_path, cells="0,0,0,0\n20,0,0,2.0\n")
    counts = gpusim.Simulation(scenario, "numpy").counts
    assert (counts["tumour_cell"], counts["CD8_T_cell"]) == (1, 1)


def test_a_signal_that_a_dead_cell_does_not_have_is_lost(tmp_path):
    rules = (
        f"{T},damage,increases,pro-inflammatory factor secretion,3,5,2,1\n{T},oxygen,decreases,oxygen export,-1,5,2,0\n"
    )
    _, _, rows = imported(tmp_path, rules)
    notes = [(row.fate, row.note) for (kind, _), row in rows.items() if kind == "rule"]
    assert notes == [("lost", "'damage' of a dead cell"), ("lost", "a rate below 0")]


MOVING = """
<cell_definition name="mover" ID="0"><phenotype>
  <motility><speed>2</speed><persistence_time>5</persistence_time><migration_bias>0.5</migration_bias>
    <options><enabled>true</enabled><use_2D>true</use_2D>
      <advanced_chemotaxis><enabled>true</enabled><normalize_each_gradient>NORMALISED</normalize_each_gradient>
        <chemotactic_sensitivities>
          <chemotactic_sensitivity substrate="oxygen">-2</chemotactic_sensitivity>
          <chemotactic_sensitivity substrate="pro-inflammatory factor">0.5</chemotactic_sensitivity>
        </chemotactic_sensitivities></advanced_chemotaxis></options></motility>
</phenotype></cell_definition>
"""
RULES_OF_MOVING = """mover,oxygen,increases,migration persistence time,20,10,4,0
mover,oxygen,decreases,migration bias,0,10,4,0
mover,pro-inflammatory factor,increases,chemotactic response to pro-inflammatory factor,3,1,2,0
mover,pro-inflammatory factor,increases,chemotactic response to oxygen,3,1,2,0
"""


@pytest.mark.parametrize("normalised", [True, False])
def test_chemotaxis_along_several_fields_is_kept(tmp_path, normalised):
    definition = MOVING.replace("NORMALISED", str(normalised).lower())
    document, _, rows = imported(
        tmp_path, rules=RULES_OF_MOVING, definitions=definition, cells="x,y,z,type\n0,0,0,mover\n"
    )
    motility = document.states["mover"].motility
    assert motility.turns == "20 min"
    assert (motility.turns_modulated[0].at_zero, motility.turns_modulated[0].at_saturation) == (0.25, 1)
    along = motility.chemotaxis.along
    assert (along["oxygen"].weight, along["pro_inflammatory_factor"].weight) == (-2, 3)
    assert {part.per for part in along.values()} == {None if normalised else 1}
    # The mean of cos(angle / 2) over a half circle is 2 / pi.
    assert motility.chemotaxis.bias.value == pytest.approx(2 / math.pi, rel=1e-5)
    assert motility.chemotaxis.bias.modulators[0].effect == "inhibits"
    fates = [row.fate for (kind, _), row in rows.items() if kind == "rule"]
    assert fates == ["exact", "approximate", "exact", "lost"]
    assert rows["cell definition", "mover: chemotaxis"].fate == "exact"


@pytest.mark.parametrize(("flat", "half"), [(True, 2 / math.pi), (False, 2 / 3)])
def test_a_bias_is_the_drift_of_a_mean(flat, half):
    assert [drift(each, flat) for each in (0, 1)] == [0, 1]
    # Half of a unit vector and half of one at random: cos(angle / 2), on a circle and on a sphere.
    assert drift(0.5, flat) == pytest.approx(half, rel=1e-5)
    assert drift(0.2, flat) < drift(0.4, flat) < drift(0.6, flat)
