"""Fields at time 0 that depend on position."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpusim
from gpusim import Scenario, ScenarioError, units
from gpusim.model import build
from gpusim.record import provenance
from gpusim.scenario import expressions

TEXT = """
grid: {spacing: 20 um, shape: [6, 5, 4]}
time: {until: 6 min, step: {field: 3 min}}
fields: {oxygen: {unit: mmHg, diffusion: 100 um^2/min}}
states: {vessel: {}}
"""
X, Y, Z = (a.transpose(2, 1, 0) for a in np.meshgrid(*((np.arange(n) + 0.5) * 20.0 for n in (6, 5, 4)), indexing="ij"))
R = np.sqrt((X - 60) ** 2 + (Y - 50) ** 2 + (Z - 40) ** 2)


def scenario(initial, **changes):
    return Scenario.parse(TEXT).with_(fields={"oxygen": {"initial": initial}}, **changes)


def start(initial, **changes):
    return build(scenario(initial, **changes)).fields.initial[0]


# Expressions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("38 mmHg * exp(-(r / (40 um))^2)", 38 * np.exp(-((R / 40) ** 2))),
        ("38 mmHg * exp(-(r/40 um)^2)", 38 * np.exp(-((R / 40) ** 2))),  # a number belongs to the unit behind it
        ("1 mmHg + 0.1 mmHg/um * x - 20 um * 0.01 mmHg / um", 1 + 0.1 * X - 0.2),
        ("max(3 mmHg, 0.2 mmHg/um * y, 0.1 mmHg/um*z) * 2", 2 * np.maximum(np.maximum(3, 0.2 * Y), 0.1 * Z)),
        ("min(x, 0.03 mm)^2 / (1 um)**2 * 1 mmHg", np.minimum(X, 30) ** 2),
        ("4 mmHg * (r < 35 um) + 1 mmHg*(x>=70um)", 4.0 * (R < 35) + (X >= 70)),
        ("2 mmHg * sqrt(x * y / z / (1 um))", 2 * np.sqrt(X * Y / Z)),
        ("abs(x - 3 * 20 um) * 1 mmHg/um", np.abs(X - 60)),
        ("mmHg * (2 - --cos(pi * x / (20 um)) - sin(0))", 2 - np.cos(np.pi * X / 20)),
        ("5 mmHg - 1 mmHg * tanh((r - 50 um) / (5 um)) + log(2) * 1 mmHg", 5 - np.tanh((R - 50) / 5) + np.log(2)),
        ("2^3^0.5 * 1 kPa", np.full(R.shape, 2**3**0.5 * 1e3 / 133.322387415)),
        ("-2^2 * -1 mmHg", np.full(R.shape, 4.0)),
    ],
)
def test_an_expression_is_what_it_says_at_the_centres_of_the_voxels(text, expected):
    found = start({"expression": text})
    assert found.dtype == np.float32
    assert found.shape == (4, 5, 6)
    assert found == pytest.approx(expected, rel=1e-6)


def test_an_expression_knows_voxels_and_titres():
    text = TEXT.replace("mmHg", "PFU/voxel") + "units: {vp: 0.05 PFU}\n"
    fields = {"oxygen": {"initial": {"expression": "100 vp/voxel * (x < 50 um) + 1e6 PFU/mL"}}}
    found = build(Scenario.parse(text).with_(fields=fields)).fields.initial[0]
    assert found == pytest.approx(5.0 * (X < 50) + 1e6 * 8e-9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x + 1", "takes '[+]' of a quantity in 'um' and a number"),
        ("38 * exp(-r/(9 um))", "expected a quantity in 'mmHg', .* is not a quantity in 'mmHg'"),
        ("exp(r) * 1 mmHg", "takes 'exp' of a quantity in 'um'"),
        ("2^r * 1 mmHg", "takes '\\^' of a number and a quantity in 'um'"),
        ("x^(x/(1 um)) / 1 um * mmHg", "takes '\\^'"),
        ("2 ng/mL", "is not a quantity in 'mmHg'"),
        ("2 blub", "has 'blub', which .*unknown unit 'blub'"),
        ("1 mmHg +", "expected a number, a variable"),
        ("cos(1) mmHg", "expected an operator, found 'mmHg' at character 8"),
        ("1 mmHg )", "expected an operator, found '\\)' at character 8"),
        ("foo(3) mmHg", "unknown function 'foo' .known: exp, log"),
        ("exp(1, 2)", "'exp' takes one argument, found 2"),
        ("min(1 mmHg)", "'min' takes two or more, found 1"),
        ("1 mmHg; 2", "';' at character 7 is not allowed in an expression"),
        ("(" * 100, "nested deeper than 40"),
        ("-" * 100 + "2^" * 100, "nested deeper than 40"),
        ("1 mmHg " + "+ 1 mmHg" * 99, "at most 500 characters"),
        ("__import__('os').system('id')", "unknown function '__import__'|is not allowed in an expression"),
        ("x.real * 1 mmHg", "'.' at character 2 is not allowed in an expression"),
        ("1 mmHg / 0", "divides by 0"),
        ("9^9^9^9 mmHg", "is too large|takes"),
        ("", "expected a number, a variable"),
    ],
)
def test_an_expression_that_is_none_is_refused_in_a_line(text, message):
    with pytest.raises(ScenarioError, match=f"fields.oxygen.initial.expression: .*({message})") as error:
        start({"expression": text})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.1 mmHg/um * (x - 40 um)", "-3 at x = 10 um, y = 10 um, z = 10 um .and 39 more voxels."),
        ("1 mmHg * log(x / (40 um))", "-1.38629 at x = 10 um"),
        ("1e16 mmHg * (y > 20 um)", "1e.16 at x = 10 um, y = 30 um"),
    ],
)
def test_a_value_that_is_no_concentration_is_refused_with_its_place(text, message):
    with pytest.raises(ScenarioError, match=f"fields.oxygen.initial: {message}"):
        start({"expression": text})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 mmHg * r / (r - r)", "divides by 0 at x = 10 um, y = 10 um, z = 10 um"),
        ("min(1 mmHg, 20 mmHg*um / (x - 30 um))", "divides by 0 at x = 30 um, y = 10 um, z = 10 um"),
        ("max(1 mmHg, 1 mmHg * ((z - 30 um) / (1 um))^-2)", "divides by 0 at x = 10 um, y = 10 um, z = 30 um"),
        ("1 mmHg * (log((y - 10 um) / (1 um)) < 2)", "takes 'log' of a number that is not above 0 at x = 10 um"),
        ("1 mmHg * (sqrt(-x / (40 um)) < 2)", "takes 'sqrt' of a number below 0 at x = 10 um, y = 10 um, z = 10 um"),
        ("1 mmHg * ((x / (40 um) - 1)^0.5 < 2)", "takes a root of a number below 0 at x = 10 um"),
    ],
)
def test_an_operation_without_a_value_is_refused_with_its_place(text, message):
    with pytest.raises(ScenarioError) as error:
        start({"expression": text})
    assert f"fields.oxygen.initial.expression: {text!r} {message}" in str(error.value)


@settings(deadline=None, max_examples=200)
@given(st.text("xyzr()+-*/^<>=,.0123456789 eummHgexpsqrtlog%", max_size=60))
def test_no_text_does_more_than_be_refused(text):
    try:
        expression = expressions.parse(text)
    except ValueError:
        return
    with contextlib.suppress(units.UnitError):
        expression.require("mmHg")


# Tables


def table(path, rows, header="x_um,y_um,z_um,oxygen"):
    path.write_text(header + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    return {"table": str(path)}


def test_a_voxel_takes_the_mean_of_its_rows_and_the_default_without_any(tmp_path):
    rows = [(1, 1, 1, 2), (19, 19, 19, 5), (119.9, 99.9, 79.9, 7), (130, 1, 1, 9)]
    initial = table(tmp_path / "a.csv", rows) | {"unit": "2 mmHg", "default": "1 mmHg"}
    model = build(scenario(initial))
    expected = np.ones((4, 5, 6))
    expected[0, 0, 0], expected[3, 4, 5] = 7, 14
    assert np.array_equal(model.fields.initial[0], expected)
    assert [note.split("a.csv: ")[1] for note in model.notes] == ["1 of 4 rows lie outside the grid, and are left out"]
    with pytest.raises(ScenarioError, match="initial: 118 of 120 voxels have no row in them, the first at x = 30 um"):
        start(table(tmp_path / "a.csv", rows))


def test_a_full_grid_of_any_table_is_the_field(tmp_path):
    values = np.random.default_rng(1).random((4, 5, 6))
    rows = np.stack([a.ravel() for a in (X / 1000, Y / 1000, Z / 1000, values)], 1)
    np.savetxt(tmp_path / "a.txt", rows, delimiter=";", header="left;up;deep;p (mmHg)", comments="")
    columns = {"x": "left", "y": "up", "z": "deep", "value": "p (mmHg)"}
    found = start({"table": str(tmp_path / "a.txt"), "length_unit": "1 mm", "columns": columns})
    assert np.array_equal(found, values.astype(np.float32))
    section = table(tmp_path / "b.csv", [(x, y, x + y) for x, y in zip(X[0].flat, Y[0].flat, strict=True)], "x,y,value")
    assert np.array_equal(start(section), X + Y)


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ([(1, 1, 1, -2)], None, "a.csv:2: column 'oxygen': expected 0 or more, found -2"),
        ([(1, 1, 1, 1), (1, 1, 1, "nan")], None, "a.csv:3: column 'oxygen': expected a number"),
        ([(1, 1, "inf", 1)], None, "a.csv:2: column 'z_um': expected a number"),
        ([(1, 1, 1, 1)], "x_um,y_um,z_um,oxigen", "no column 'value'"),
        ([(1, 1, 1, 1)], "a,b,c,oxygen", "no column 'x_um'"),
        ([(1e6, 1, 1, 1)], None, "none of its 1 rows lies in the grid .120 x 100 x 80 um"),
        ([], None, "the table has no rows"),
    ],
)
def test_a_table_of_no_concentrations_is_refused(tmp_path, rows, header, message):
    initial = table(tmp_path / "a.csv", rows, header or "x_um,y_um,z_um,oxygen")
    with pytest.raises(ScenarioError, match=f"fields.oxygen.initial: .*{message}"):
        start(initial)


# Images


def write(path, values, edge=0.02):
    import tifffile

    tifffile.imwrite(
        path, values, resolution=(1 / (edge / 10),) * 2, resolutionunit="CENTIMETER", photometric="minisblack"
    )
    return {"image": str(path)}


def test_a_voxel_takes_the_mean_of_its_pixels(tmp_path):
    fine = np.random.default_rng(1).random((8, 10, 12)).astype(np.float32)
    initial = write(tmp_path / "a.tif", fine) | {"spacing": "10 um", "unit": "100 mmHg"}
    expected = 100 * fine.reshape(4, 2, 5, 2, 6, 2).mean(axis=(1, 3, 5), dtype=float)
    assert start(initial) == pytest.approx(expected, rel=1e-6)
    coarse = np.arange(30, dtype=np.uint8).reshape(5, 6)
    initial = write(tmp_path / "b.tif", coarse)
    assert np.array_equal(start(initial), np.broadcast_to(coarse, (4, 5, 6)))  # the file says 20 um
    initial = write(tmp_path / "c.tif", np.tile(np.uint8([3, 2, 1, 1, 2, 3]), (5, 1)))
    image = {"file": initial["image"], "labels": dict.fromkeys((1, 2, 3), "vessel")}
    swept = start(initial, tissue={"image": image, "depth": {"mode": "sweep"}})
    # Of the outermost plane, 1.5 voxels from the axis, the middle voxels are sqrt(1.5^2 + 0.5^2) = 1.6 away from it.
    assert swept[0, 0].tolist() == [3, 3, 2, 2, 3, 3]
    assert swept[1, 0].tolist() == [3, 2, 1, 1, 2, 3]


def test_what_an_image_does_not_cover_takes_the_default(tmp_path):
    initial = write(tmp_path / "a.tif", np.full((1, 3, 4), 5, np.uint8))
    with pytest.raises(ScenarioError, match="72 of 120 voxels have no pixel over them, the first at x = 10 um, y = 10"):
        start(initial)
    found = start(initial | {"default": "0.5 mmHg"})
    expected = np.full((4, 5, 6), 0.5)
    expected[:, 1:4, 1:5] = 5
    assert np.array_equal(found, expected)


def test_an_image_of_no_concentrations_is_refused(tmp_path):
    values = np.ones((4, 5, 6), np.float32)
    for bad, said in ((np.nan, "nan"), (-1, "-1"), (np.inf, "inf")):
        values[1, 2, 3] = bad
        initial = write(tmp_path / "a.tif", values) | {"spacing": "20 um"}
        with pytest.raises(ScenarioError, match=f"a.tif: {said} at pixel x=3, y=2, z=1 .and 0 more."):
            start(initial)
    with pytest.raises(ScenarioError, match="initial: .*no such file"):
        start({"image": str(tmp_path / "b.tif")})


# All of them


@pytest.mark.parametrize(
    ("initial", "changes", "message"),
    [
        ({"expression": "1 mmHg", "image": "a.tif"}, {}, "initial: expected exactly one of 'table', 'image', 'expr"),
        ({"expression": "1 mmHg", "default": 1}, {}, "initial: 'default' does not apply to 'expression'"),
        ({"image": "a.tif", "columns": {}}, {}, "initial: 'columns' does not apply to 'image'"),
        ({"table": "a.csv", "columns": {"x": "a"}}, {}, "initial.columns: expected both 'x' and 'y'"),
        ({"table": "a.csv", "unit": "1 ng/mL"}, {}, "initial.unit: expected a number or a quantity in 'mmHg'"),
        ({"table": "a.csv", "unit": 0}, {}, "initial.unit: expected a 'unit' above 0"),
        ({"table": "a.csv", "default": "3 um"}, {}, "initial.default: expected a number or a quantity in 'mmHg'"),
        ({"expresion": "1 mmHg"}, {}, "initial.expresion: unknown key; did you mean 'expression'"),
        ("3 um", {}, "initial: expected a number or a quantity in 'mmHg', found '3 um'"),
        ([3], {}, "fields.oxygen.initial"),
        (-3, {}, "initial: expected a number from 0"),
    ],
)
def test_bad_input_is_refused_in_one_line(initial, changes, message):
    with pytest.raises(ScenarioError, match=message):
        scenario(initial, **changes)


def test_a_steady_field_has_no_memory_of_a_distribution():
    with pytest.raises(ScenarioError, match="fields.oxygen.initial: a steady field does not depend on what it was"):
        Scenario.parse(TEXT).with_(
            fields={"oxygen": {"initial": {"expression": "1 mmHg"}, "solver": "steady", "decay": "1 /min"}}
        )


def test_the_content_of_the_file_belongs_to_the_key(tmp_path):
    first = table(tmp_path / "a.csv", [(1, 1, 1, 1)])
    key = provenance.key(scenario(first).data)
    assert provenance.key(scenario(table(tmp_path / "b.csv", [(1, 1, 1, 1)])).data) == key
    assert provenance.key(scenario(table(tmp_path / "a.csv", [(1, 1, 1, 2)])).data) != key
    (tmp_path / "s.yaml").write_text(TEXT.replace("um^2/min}", "um^2/min, initial: {table: a.csv}}"))
    named = Scenario.load(tmp_path / "s.yaml").document.fields["oxygen"].initial
    assert named.table == str(tmp_path / "a.csv")  # from the scenario's folder


def test_replicates_and_sites_begin_with_the_distribution_of_their_own_grid():
    sites = {"a": {}, "b": {"grid": {"shape": [3, 2, 1]}}}
    several = scenario({"expression": "1 mmHg/um * x"}, sites=sites)
    with gpusim.Simulation(several, "numpy", seed=[3, 4]) as simulation:
        for replicate in simulation.replicates:
            assert np.array_equal(replicate.sites["a"].field("oxygen"), X)
            assert np.array_equal(replicate.sites["b"].field("oxygen"), X[:1, :2, :3])
            assert replicate.totals()["oxygen"] == X.sum() + X[:1, :2, :3].sum()


def test_every_backend_begins_with_the_same_bits(one_backend_each):
    backend, threads = one_backend_each
    with gpusim.Simulation(
        scenario({"expression": "3 mmHg * exp(-r / (31 um))"}), backend, threads=threads
    ) as simulation:
        assert simulation.field("oxygen") == pytest.approx(3 * np.exp(-R / 31), rel=1e-6)
        simulation.step(2)
        assert simulation.totals()["oxygen"] == pytest.approx(3 * np.exp(-R / 31).sum(), rel=1e-6)
