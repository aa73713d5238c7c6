"""The grammar of rules: its tables, and responses as modulators against the formula of the paper."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpusim.model.modulators import modulator_rows
from gpusim.model.tables import Source, Sums, factor
from gpusim.physicell.grammar import Rule, read
from gpusim.physicell.reading import ProjectError
from gpusim.physicell.responses import Responses
from gpusim.physicell.settings import CellType
from gpusim.scenario.schema import Modulator

FIELDS = ("a", "b", "c", "d")


def johnson(base, rules, signals):
    """Johnson et al. 2025: the response of a behaviour, as PhysiCell_rules.cpp 1.14.2 evaluates it."""

    def hill(increases):
        each = [np.float64(signals[r.signal] / r.half) ** r.power for r in rules if r.increases == increases]
        return 1 - 1 / (1 + sum(each))

    top = max([base, *(r.extreme for r in rules if r.increases)])
    bottom = min([base, *(r.extreme for r in rules if not r.increases)])
    raised = base + (top - base) * hill(True)
    return raised + (bottom - raised) * hill(False)


def translated(base, rules, signals, number=np.float64):
    """The same by the modulators of the import, row by row."""
    responses = Responses(rules, {"cell": CellType("cell", 0)}, {f: f for f in FIELDS}, {}, lambda *_: None, True)
    found = responses.modulated("cell", ["x"], base)
    document = SimpleNamespace(fields={f: SimpleNamespace(unit="1") for f in FIELDS})
    value, sums = number(found.value), Sums()
    for each in found.modulators:
        for row in modulator_rows(Modulator(**each), document, None, 1.0):
            seen = 0.0 if row["source"] == Source.NOTHING else signals[FIELDS[int(row["index"])]]
            value = value * factor(row, number(seen), sums)
    return float(value)


signal_rules = st.builds(
    lambda signal, increases, extreme, half, power: Rule(
        "here", "cell", signal, increases, "x", extreme, half, power, False
    ),
    st.sampled_from(FIELDS),
    st.booleans(),
    st.floats(0, 10),
    st.floats(0.01, 100),
    st.one_of(st.integers(1, 16).map(float), st.floats(0.5, 20), st.just(100.0)),
)


@settings(max_examples=200)
@given(
    base=st.sampled_from([0.0, 0.1, 2.0]),
    rules=st.lists(signal_rules, max_size=5, unique_by=lambda r: (r.signal, r.increases)),
    values=st.tuples(*[st.floats(1e-3, 1e3)] * 4),
)
def test_a_response_is_that_of_the_grammar(base, rules, values):
    signals = dict(zip(FIELDS, values, strict=True))
    with np.errstate(over="ignore"):
        expected = johnson(base, rules, signals)
    scale = max([base, *(r.extreme for r in rules), 1e-9])
    # A power is kept to 2^-21, of a ratio of at most 1e5; the table of modulators is in single precision.
    assert translated(base, rules, signals) == pytest.approx(expected, abs=2e-4 * scale)
    assert translated(base, rules, signals, np.float32) == pytest.approx(expected, abs=4e-4 * scale)


def test_tables_of_all_versions_are_read(tmp_path):
    path = tmp_path / "rules.csv"
    path.write_text(
        "// a comment\n\ncell,oxygen,decreases,necrosis,0,3.75,8,0\n"
        "cell,oxygen,increases,cycle entry,0.001,0.003,21.5,4,1\n"
        "cell\tdamage\tincreases\tapoptosis\t0.1\t5\t1.22\t0\n"
    )
    first, second, third = read(path)
    assert (first.extreme, first.half, first.power, first.base) == (0, 3.75, 8, None)
    assert (second.base, second.extreme, second.half, second.power, second.of_dead) == (0.001, 0.003, 21.5, 4, True)
    assert (third.signal, third.power) == ("damage", 1.22)
    assert first.place.endswith(":3")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("cell,oxygen,decreases,necrosis,0,3.75,8", "expected 8 columns"),
        ("cell,oxygen,lowers,necrosis,0,3.75,8,0", "expected 'increases' or 'decreases', found 'lowers'"),
        ("cell,oxygen,decreases,necrosis,0,much,8,0", "expected a number, found 'much'"),
        ("cell,oxygen,decreases,necrosis,0,0,8,0", "expected a half-max above 0 and a Hill power from 0.01 to 1000"),
        ("cell,,decreases,necrosis,0,1,8,0", "found an empty column"),
        ("cell,oxygen,decreases,necrosis,nan,1,8,0", "expected a number, found 'nan'"),
    ],
)
def test_a_bad_row_is_named(tmp_path, row, message):
    path = tmp_path / "rules.csv"
    path.write_text(f"// head\n{row}\n")
    with pytest.raises(ProjectError, match=f"rules.csv:2: .*{message}"):
        read(path)
