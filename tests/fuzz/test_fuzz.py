"""What an enemy would write: each input is a scenario that runs, or one clear error. No crash, no hang."""

import re
import sys
import warnings

import numpy as np
import pytest
import yaml
from fuzz.scenarios import DATA, KEYS, NASTY, PATHS, SMALL, mutated, survives, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gpusim
import gpusim.cli
from gpusim import Scenario, ScenarioError
from gpusim.model import build

changes = st.tuples(st.sampled_from(PATHS), st.just("set"), st.sampled_from(NASTY)) | st.tuples(
    st.sampled_from(PATHS), st.sampled_from(["rename", "drop"]), st.sampled_from(KEYS)
)


@pytest.mark.slow
@settings(deadline=5000, max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.lists(changes, min_size=1, max_size=3))
def test_a_scenario_with_hostile_values_runs_or_is_refused(made):
    sys.set_int_max_str_digits(4300)
    survives(written(mutated(made)))


@pytest.mark.slow
@settings(deadline=5000, max_examples=200)
@given(st.text(max_size=200), st.integers(0, len(SMALL)), st.integers(0, 40))
def test_a_torn_scenario_runs_or_is_refused(text, place, lost):
    survives(SMALL[:place] + text + SMALL[place + lost :])


def test_the_scenario_that_is_attacked_is_one():
    assert survives(SMALL)


def refused(folder, text, message, **overrides):
    path = folder / "a.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError, match=message) as caught:
        build(Scenario.load(path, overrides))
    assert len(str(caught.value)) < 20_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(30)), "aliases"),
        ("a: " + "[" * 100_000, "not YAML|deeper"),
        ("a: " + "9" * 400_000, "not YAML"),
        ("a: " + " x" * 240_000, "unknown key"),
        ("x: 1\n" * 10_000, "duplicate key"),
        ("".join(f"x{i}: 1\n" for i in range(20_000)), "and 19980 more"),
        ("#" * 500_001, "expected at most 500000"),
        ("rules: {r: {rate: 1 /min, transition: '" + " " * 100_000 + "'}}", "expected 'state -> state'"),
        ("name: ../../evil\ngrid: {shape: [2, 2, 2]}", "is not a valid title"),
        ("name: /etc/x\ngrid: {shape: [2, 2, 2]}", "is not a valid title"),
        ("name: .ssh\ngrid: {shape: [2, 2, 2]}", "is not a valid title"),
        ('name: "a\\n"\ngrid: {shape: [2, 2, 2]}', "is not a valid title"),
        ('description: "\\e[2J"\ngrid: {shape: [2, 2, 2]}', "without control characters"),
        ("grid: {shape: [100000, 1, 1]}", "from 1 to 4096"),
        ("grid: {shape: [4096, 4096, 4096]}", "need 3.25 TiB"),
        ("grid: {shape: [2, 2, 2], spacing: 1e-9 um}", "expected 0.001 to"),
        ("grid: {shape: [2, 2, 2]}\ntime: {until: 1e9 year}", "steps of"),
        ("extends: /dev/zero", "neither a shipped scenario nor a file"),
    ],
)
def test_a_bomb_is_refused(tmp_path, text, message):
    refused(tmp_path, text, message)


def numbers(data, here=()):
    """Paths of all that is a number or a quantity, with it."""
    if isinstance(data, (dict, list)):
        for key in data if isinstance(data, dict) else range(len(data)):
            yield from numbers(data[key], (*here, key))
    elif re.match(r"\d", str(data)):
        yield here, str(data)


@pytest.mark.parametrize("number", ["nan", "-inf", "1e999"])
def test_no_number_of_a_scenario_may_be_nan_or_endless(number):
    tried = 0
    for path, value in numbers(DATA):
        # "20 um" becomes "nan um"; a bare number, text or a number as YAML has it.
        text = re.sub(r"^[\d.]+(e\d+)?", number, value)
        data = mutated([(path, "set", yaml.safe_load(text))])
        with pytest.raises(ScenarioError):
            Scenario.parse(written(data)).arm("faster")
        tried += 1
    assert tried > 80


def test_rules_in_a_circle_at_endless_rates_are_held():
    text = """
grid: {shape: [20, 20, 20]}
time: {until: 1 h, step: {field: 1 min, rules: 1 min}}
fields: {f: {unit: ng/mL, initial: 1e14}}
states: {a: {}, b: {}, c: {}}
rules:
  there: {transition: empty|a -> b, rate: 1e35 /min, modulators: [{field: f, per: 1e-30}]}
  on: {transition: b -> c, rate: 1e35 /min, modulators: [{neighbours: [a, b, c], per: 1e-30}]}
  back: {transition: c -> a, rate: 1e35 /min}
"""
    with gpusim.Simulation(Scenario.parse(text), "numpy") as simulation:
        for _ in range(30):
            before = simulation.counts
            fired = simulation.fired
            simulation.step()
            assert sum(simulation.counts[state] for state in ("empty", "a", "b", "c")) == 8000
            leaving = {"there": before["empty"] + before["a"], "on": before["b"], "back": before["c"]}
            for rule, cells in leaving.items():
                # A hazard is held at sqrt 12, where the approximant of 1 - exp(-h) has its top, 0.928.
                went = simulation.fired[rule] - fired[rule]
                assert went == pytest.approx(0.9282 * cells, abs=5 * np.sqrt(0.0667 * cells))


def test_extends_that_multiplies_reads_each_file_once(tmp_path):
    for i in range(25):
        (tmp_path / f"{i}.yaml").write_text(f"extends: [{i + 1}.yaml, {i + 1}.yaml]")
    (tmp_path / "25.yaml").write_text("grid: {shape: [2, 2, 2]}\nseed: 7")
    assert gpusim.Scenario.load(tmp_path / "0.yaml").document.seed == 7


def test_extends_without_an_end_is_refused(tmp_path):
    for i in range(60):
        (tmp_path / f"{i}.yaml").write_text(f"extends: {i + 1}.yaml")
    refused(tmp_path, "extends: 0.yaml", "more than 40 files")


@pytest.mark.parametrize("name", ["time", "Tissue", "x", "body"])
def test_a_field_can_not_take_the_place_of_another_array(tmp_path, name):
    refused(tmp_path, f"grid: {{shape: [2, 2, 2]}}\nfields: {{{name}: {{unit: mmHg}}}}", "is already in use")


def test_fields_that_a_file_system_may_confuse_are_refused(tmp_path):
    refused(tmp_path, "grid: {shape: [2, 2, 2]}\nfields: {a: {unit: mmHg}, A: {unit: mmHg}}", "'A' is already in use")


CORE = "tissue: {cells: core.csv, types: [{state: empty}]}"


def test_a_million_bad_rows_are_one_line(tmp_path):
    (tmp_path / "core.csv").write_text("x_um,y_um\n" + "1,parrot\n" * 1_000_000)
    refused(tmp_path, CORE, r"core.csv:2: column 'y_um'.*found 'parrot' \(and 999999 more rows\)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x_um,y_um\n1,2\n3,4,5,6\n", "not a table"),
        ("x_um,y_um\n1,1e300\n", "expected a number"),
        ("x_um,y_um\n1,1e14\n1,2\n", "stray rows"),
        ("x_um,y_um\n1,inf\n", "expected a number"),
        ("\x00\x00\x00", "not a table|no column"),
        ("", "not a table"),
        ("x_um,y_um\n", "no rows"),
        ("x_um\n" + '"' + "a" * 100_000, "not a table|no column"),
    ],
)
def test_a_table_of_rubbish_is_refused(tmp_path, text, message):
    (tmp_path / "core.csv").write_text(text)
    refused(tmp_path, CORE, message)


@pytest.mark.parametrize("size", range(0, 400, 40))
def test_random_bytes_are_refused(tmp_path, size):
    (tmp_path / "a.yaml").write_bytes(np.random.default_rng(size).bytes(size))
    with pytest.raises(gpusim.ScenarioError):
        Scenario.load(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    "text",
    [
        '"\\e[2J\\a\\r": 1',
        'name: "\\e]0;evil\\a"\ngrid: {shape: [2, 2, 2]}',
        "grid: {shape: [2, 2, 2]}\nfields: {f: {unit: $(reboot)}}",
        "grid: {shape: [4096, 4096, 4096]}",
        "a: " + "[" * 100_000,
        "a: &a [*a]",
        "extends: a.yaml",
        "tissue: {cells: /dev/null, types: [{state: empty}]}",
        "tissue: {cells: ., types: [{state: empty}]}",
        "\ufeff\ufffe",
    ],
)
def test_the_command_line_ends_with_lines_that_harm_no_terminal_and_exit_code_2(tmp_path, monkeypatch, capsys, text):
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(sys, "argv", ["gpusim", "check", "a.yaml"])
    with pytest.raises(SystemExit) as caught:
        gpusim.cli.main()
    said = capsys.readouterr()
    assert caught.value.code == 2
    assert said.err.startswith("gpusim: ")
    assert all(c.isprintable() or c == "\n" for c in said.out + said.err)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.yaml"]
