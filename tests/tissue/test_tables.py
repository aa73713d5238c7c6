"""Tables of cells as programs and people write them; each test makes its own."""

import bz2
import contextlib
import gzip
import io
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpusim import Scenario, ScenarioError
from gpusim.model import build
from gpusim.scenario.conditions import parse
from gpusim.scenario.schema import CellType, TableReading, Tissue
from gpusim.tissue import cells, tables
from gpusim.tissue.conditions import fits

TEXT = """
grid: {spacing: 10 um}
states: {tumour: {}, stroma: {}, ctl: {layer: immune}}
tissue:
  cells: cells.csv
  margin: 20 um
  depth: {thickness: 10 um}
  types:
    - {state: ctl, where: {phenotype: CD8+}}
    - {state: tumour, where: {region: Tumor}}
    - {state: stroma, where: {region: Stroma}}
"""
# Corners of a rectangle of 40 x 30 um: voxels 0, 4 along x and 0, 3 along y, two more on each side.
ROWS = [(0.5, 0.5, "Tumor", "other"), (40.5, 0.5, "Stroma", "CD4+"), (0.5, 30.5, "Stroma", "CD8+")]
PLAIN = "x_um,y_um,region,phenotype\n" + "".join(f"{x},{y},{r},{p}\n" for x, y, r, p in ROWS)


def scenario(folder, data, name="cells.csv", **changes):
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    (folder / "a.yaml").write_text(TEXT)
    return Scenario.load(folder / "a.yaml").with_(tissue={"cells": str(folder / name), **changes})


def lies_right(model):
    found = model.initial
    assert found.shape == (1, 8, 9)
    assert np.argwhere(found.tissue == 1).tolist() == [[0, 2, 2]]
    assert np.argwhere(found.tissue == 2).tolist() == [[0, 2, 6]]
    assert np.argwhere(found.immune == 4).tolist() == [[0, 5, 2]]
    return found.notes


def with_commas(text):
    return text.replace(",", ";").replace(".", ",")


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (PLAIN, None),
        (PLAIN.replace(",", "\t"), "tabs between columns"),
        (PLAIN.replace(",", "|"), "bars between columns"),
        (with_commas(PLAIN), "semicolons between columns, a decimal comma"),
        (with_commas(PLAIN).replace(";", "\t"), "tabs between columns, a decimal comma"),
        (
            "x_um,y_um,region,phenotype\n" + "".join(f'"{x}","{y}",{r},{p}\n'.replace(".", ",") for x, y, r, p in ROWS),
            "a decimal comma",
        ),
        (PLAIN.encode("utf-16"), "UTF-16"),
        (PLAIN.encode("utf-16-le"), "UTF-16-LE"),
        (PLAIN.encode("utf-16-be"), "UTF-16-BE"),
        (PLAIN.encode("utf-8-sig"), None),
        (PLAIN.replace("x_um", "x [µm]").replace("y_um", "y [µm]").encode("latin-1"), "Latin-1"),
        (PLAIN.replace("x_um", "x [μm]").replace("y_um", "y [μm]"), None),  # the Greek letter
        ("# exported\n# pixel size 0.5, in um\n\n" + PLAIN, "header in line 4"),
        ("A title, and more\n" + PLAIN, "header in line 2"),
        ("# " + PLAIN, None),
        (PLAIN.replace("\n", "\r\n"), None),
        (PLAIN.replace("\n", "\r"), None),
        (PLAIN + "\n\n,,,\n", None),
        (PLAIN.replace("\n", ",\n"), None),
        ("x_um,y_um,region,phenotype\n" + "".join(f"{i},{line}\n" for i, line in enumerate(PLAIN.split()[1:])), None),
        (PLAIN.replace("Tumor", '"Tumor"').replace("CD4+", '"CD4+, or not"'), None),
        (gzip.compress(PLAIN.encode(), mtime=0), "gzip"),
        (gzip.compress(PLAIN.encode()[:30], mtime=0) + gzip.compress(PLAIN.encode()[30:]), "gzip"),
    ],
)
def test_text_is_read_as_it_is_and_what_was_found_is_said(tmp_path, data, note):
    notes = lies_right(build(scenario(tmp_path, data)))
    assert notes == ((f"tissue.cells: cells.csv: read with {note}",) if note else ())


def test_what_is_detected_can_be_said_instead(tmp_path):
    odd = "x_um,y_um,region,phenotype\nnot,the,header,row\n" + PLAIN.partition("\n")[2]
    with pytest.raises(ScenarioError, match=r"cells.csv:2: column 'x_um': expected a number, found 'not'"):
        build(scenario(tmp_path, odd))
    named = {"columns": {"x": "not", "y": "the"}, "table": {"header": 2, "delimiter": "comma"}}
    types = [{"state": "ctl", "where": {"row": "CD8+"}}, {"state": "tumour", "where": {"header": "Tumor"}}]
    rest = [{"state": "stroma", "where": {"header": "Stroma"}}]
    lies_right(build(scenario(tmp_path, odd, types=types + rest, **named)))
    lies_right(build(scenario(tmp_path, PLAIN.encode("cp037"), table={"encoding": "cp037"})))
    for table, message in (
        ({"encoding": "rot13"}, "expected an encoding such as utf-8"),
        ({"delimiter": "x"}, "expected one of comma, semicolon, tab"),
        ({"header": 90}, "there is no line 90"),
        ({"encoding": "ascii"}, "not text in ascii"),
        ({"obsm": "spatial"}, r"applies only to AnnData"),
    ):
        with pytest.raises(ScenarioError, match=message):
            build(scenario(tmp_path, PLAIN + "1,1,µ,\n", table=table))


def test_a_thousands_separator_is_not_taken_for_a_decimal_comma(tmp_path):
    text = "x_um\ty_um\tregion\tphenotype\n1,500\t2,500\tTumor\t\n3,500\t4,500\tStroma\tCD8+\n"
    with pytest.raises(ScenarioError, match=r"'1,500' may have a decimal comma or a thousands separator; say which"):
        build(scenario(tmp_path, text))
    assert build(scenario(tmp_path, text, table={"decimal": ","})).initial.shape == (1, 5, 5)
    with pytest.raises(ScenarioError, match="expected a number, found '1,500'"):
        build(scenario(tmp_path, text, table={"decimal": "."}))


def export(columns, scale=1.0):
    """The rows with their positions under other names, as tab-separated text."""
    frame = pd.DataFrame(ROWS, columns=["x", "y", "region", "phenotype"])
    places = {name: (frame[axis] + shift) / scale for name, axis, shift in columns}
    return frame[["region", "phenotype"]].assign(**places).to_csv(sep="\t", index=False)


CENTRES = {
    "qupath": [("Centroid X µm", "x", 0), ("Centroid Y µm", "y", 0)],
    "inform": [("Cell X Position", "x", 0), ("Cell Y Position", "y", 0)],
    "halo": [("XMin", "x", -5), ("XMax", "x", 5), ("YMin", "y", -4), ("YMax", "y", 4)],
    "mcmicro": [("X_centroid", "x", 0), ("Y_centroid", "y", 0)],
    "xenium": [("x_centroid", "x", 0), ("y_centroid", "y", 0)],
    "cosmx": [("CenterX_global_px", "x", 0), ("CenterY_global_px", "y", 0)],
}


@pytest.mark.parametrize("format", CENTRES)
@pytest.mark.parametrize("named", [False, True])
def test_the_export_of_a_program_is_known_by_its_columns_or_its_name(tmp_path, format, named):
    pixel = {"qupath": 1.0, "xenium": 1.0, "cosmx": 0.12028}.get(format, 0.5)
    table = {"table": {"format": format}} if named else {}
    text = export(CENTRES[format], pixel)
    if format in ("inform", "halo", "mcmicro"):
        with pytest.raises(ScenarioError, match=r"give the size of a pixel: 'tissue.length_unit: 0.5 um'"):
            build(scenario(tmp_path, text, **table))
        table["length_unit"] = "0.5 um"
    (note,) = lies_right(build(scenario(tmp_path, text, **table)))
    assert "positions of" in note
    assert ("0.5 um" in note or "0.12028 um" in note) == (pixel != 1)


def test_a_format_that_a_table_is_not_is_refused(tmp_path):
    with pytest.raises(
        ScenarioError, match=r"not a table of QuPath: expected columns 'Centroid X µm', 'Centroid Y µm'"
    ):
        build(scenario(tmp_path, PLAIN, table={"format": "qupath"}))
    with pytest.raises(ScenarioError, match="excludes a format and 'obsm'"):
        build(scenario(tmp_path, PLAIN, table={"format": "gpusim"}, columns={"x": "x_um", "y": "y_um"}))


def test_inform_in_microns_and_qupath_in_pixels_say_so_in_their_columns(tmp_path):
    text = export(CENTRES["inform"]).replace("region", "Entire Cell Area (square microns)\tregion", 1)
    text = "\n".join(line if i == 0 or not line else f"9\t{line}" for i, line in enumerate(text.split("\n")))
    lies_right(build(scenario(tmp_path, text)))
    pixels = export([("Centroid X px", "x", 0), ("Centroid Y px", "y", 0)], 0.25)
    lies_right(build(scenario(tmp_path, pixels, length_unit="0.25 um")))
    with pytest.raises(ScenarioError, match="the positions of QuPath .* are in pixels"):
        build(scenario(tmp_path, pixels))


def test_a_unit_in_the_name_of_a_column_counts(tmp_path):
    columns = {"x": "pos x (mm)", "y": "pos y (mm)"}
    lies_right(
        build(scenario(tmp_path, export([("pos x (mm)", "x", 0), ("pos y (mm)", "y", 0)], 1000), columns=columns))
    )
    with pytest.raises(ScenarioError, match="are in pixels"):
        build(scenario(tmp_path, export([("X px", "x", 0), ("Y px", "y", 0)])))


def test_several_samples_do_not_lie_upon_each_other(tmp_path):
    lines = export(CENTRES["qupath"]).splitlines()
    text = "\n".join(
        f"{sample}\t{line}"
        for sample, part in (("Image", lines[:1]), ("a", lines[1:]), ("b", lines[1:]))
        for line in part
    )
    with pytest.raises(ScenarioError, match=r"'Image' holds 2 samples \(a, b\).*'tissue.table.where: {Image: a}'"):
        build(scenario(tmp_path, text))
    lies_right(build(scenario(tmp_path, text, table={"where": {"Image": "a"}})))
    assert sum(p.rows for p in build(scenario(tmp_path, text, table={"where": {"Image": "*"}})).initial.placements) == 6
    with pytest.raises(ScenarioError, match=r"no row fits 'tissue.table.where': column 'Image' holds 'a', 'b'"):
        build(scenario(tmp_path, text, table={"where": {"Image": "c"}}))


@pytest.mark.parametrize("column", ["time", "Frame", "time point", "timestep"])
def test_times_without_a_unit_are_asked_about(tmp_path, column):
    rows = PLAIN.splitlines()
    text = "\n".join([f"{column},{rows[0]}", *(f"{time},{row}" for time in (0, 7) for row in rows[1:])])
    with pytest.raises(ScenarioError, match=rf"'{column}' holds 2 times \(0, 7\).*tissue.table.where: {{{column}: 0}}"):
        build(scenario(tmp_path, text))
    lies_right(build(scenario(tmp_path, text, table={"where": {column: 7}})))


def test_of_several_times_one_is_asked_for(tmp_path):
    rows = PLAIN.splitlines()
    later = [line.replace("Tumor", "Stroma") for line in rows[1:]]
    text = "\n".join(["time_min," + rows[0], *(f"0,{r}" for r in rows[1:]), *(f"4320,{r}" for r in later)])
    with pytest.raises(ScenarioError, match=r"holds 2 times \(0 min, 3 day\).* such as 'tissue.table.time: 3 day'"):
        build(scenario(tmp_path, text))
    lies_right(build(scenario(tmp_path, text, table={"time": "0 min"})))
    counts = {p.state: p.rows for p in build(scenario(tmp_path, text, table={"time": "3 day"})).initial.placements}
    assert counts == {"ctl": 1, "tumour": 0, "stroma": 2}
    with pytest.raises(ScenarioError, match=r"no row at 1 h \(column 'time_min' holds 0 min, 3 day\)"):
        build(scenario(tmp_path, text, table={"time": "1 h"}))
    with pytest.raises(ScenarioError, match="needs a column of times"):
        build(scenario(tmp_path, PLAIN, table={"time": "1 h"}))
    # One time alone needs no choice.
    lies_right(build(scenario(tmp_path, "\n".join(["time_min," + rows[0], *(f"60,{r}" for r in rows[1:])]))))


VALUES = pd.DataFrame(
    {
        "CD8": ["1", "0", "20.5", "40", "x"],
        "level": [1.0, 0.0, 20.5, 40.0, np.nan],
        "class": ["Tumor: CD8+", "Tumor", "Stroma: CD8+", " Stroma ", ""],
        "flag": [True, False, True, False, False],
    }
)


@pytest.mark.parametrize(
    ("column", "condition", "rows"),
    [
        ("CD8", 1, [0]),
        ("level", "1", [0]),
        ("level", 1, [0]),
        ("CD8", "> 20", [2, 3]),
        ("level", ">= 20.5", [2, 3]),
        ("level", "<1", [1]),
        ("level", "20 to 40", [2, 3]),
        ("level", "> 1 and < 40", [2]),
        ("level", "!= 1", [1, 2, 3]),  # a missing value fits nothing
        ("class", "Tumor", [1]),
        ("class", "Stroma", [3]),
        ("class", "Tumor*", [0, 1]),
        ("class", "*: CD8+", [0, 2]),
        ("class", "*.*", []),  # no regular expression
        ("class", "!= Tumor", [0, 2, 3]),
        ("class", ["Tumor", "*Stroma*"], [1, 2, 3]),
        ("CD8", ["x", "> 30"], [3, 4]),
        ("flag", True, [0, 2]),
        ("flag", "False", [1, 3, 4]),
        ("CD8", "= x", [4]),
    ],
)
def test_conditions_find_their_rows(column, condition, rows):
    where = CellType.model_validate({"state": "a", "where": {column: condition}}).where
    frame = pd.read_csv(io.StringIO(VALUES.to_csv(index=False)), keep_default_na=False, na_values=[""])
    assert np.flatnonzero(fits(frame, where, "where")).tolist() == rows
    assert np.flatnonzero(fits(VALUES.replace("", None).astype({"class": "category"}), where, "where")).tolist() == rows


@pytest.mark.parametrize("text", ["> high", "40 to 20", "> 1 and", "a" * 201, "< nan"])
def test_a_condition_without_a_meaning_is_refused_on_loading(tmp_path, text):
    with pytest.raises(ScenarioError, match=r"tissue.types.*expected"):
        scenario(tmp_path, PLAIN, types=[{"state": "ctl", "where": {"phenotype": text}}])


@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_refused(text):
    try:
        found = parse(text)
    except ValueError:
        return
    assert found


def test_a_decimal_comma_of_a_marker_is_found_and_a_value_that_is_no_number_said(tmp_path):
    types = [{"state": "ctl", "where": {"CD8": "> 1"}}, {"state": "tumour"}]
    text = "x_um;y_um;CD8\n1;2;1,5\n40;2;0,5\n1;40;NA\n"
    found = build(scenario(tmp_path, text, types=types)).initial
    assert [(p.state, p.rows) for p in found.placements] == [("ctl", 1), ("tumour", 2)]
    assert found.notes == ("tissue.cells: cells.csv: read with semicolons between columns, a decimal comma",)
    found = build(scenario(tmp_path, text.replace("0,5", "< 2"), types=types)).initial
    assert found.notes[1] == "tissue.types[0].where.CD8: 1 rows hold no number ('< 2')"


def test_a_type_without_a_row_is_said_and_a_table_without_any_is_refused(tmp_path):
    types = [
        {"state": "tumour", "where": {"region": "tumour"}},
        {"state": "ctl", "where": {"phenotype": "CD*"}},
        {"state": "ctl", "where": {"phenotype": "CD8+"}},
        {"state": "stroma", "where": {"region": "Tumor", "phenotype": "CD8+"}},
    ]
    assert build(scenario(tmp_path, PLAIN, types=types)).notes == (
        "tissue.types[0] (tumour): no row fits: column 'region' holds 'Stroma', 'Tumor'",
        "tissue.types[2] (ctl): all rows that fit it fit an earlier type",
        "tissue.types[3] (stroma): no row fits: each condition fits some rows, all together none",
    )
    with pytest.raises(ScenarioError, match=r"types\[0\] \(tumour\): no row fits: column 'region' holds 'Stroma'"):
        build(scenario(tmp_path, PLAIN, types=types[:1]))
    with pytest.raises(ScenarioError, match=r"types\[0\].where.region: '> 2' needs numbers; the column holds 'Stroma'"):
        build(scenario(tmp_path, PLAIN, types=[{"state": "ctl", "where": {"region": "> 2"}}]))


def test_a_key_of_a_table_that_is_not_there_has_no_effect_and_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "grid: {shape: [2, 2, 2]}\nstates: {a: {}}\n"
        "tissue: {length_unit: 2 um, types: [{state: a}], table: {decimal: ','}}"
    )
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(tmp_path / "a.yaml")
    for key in ("length_unit", "table", "types"):
        assert f"tissue.{key}: applies only to a table of cells; give 'cells'" in str(caught.value)


def test_a_z_that_does_not_vary_is_that_of_a_section(tmp_path):
    lines = PLAIN.splitlines()
    text = "\n".join(["z," + lines[0], *(f"7.5,{line}" for line in lines[1:])])
    lies_right(build(scenario(tmp_path, text, columns={"x": "x_um", "y": "y_um", "z": "z"})))
    thick = text.replace("7.5", "50", 1)
    assert build(scenario(tmp_path, thick, columns={"x": "x_um", "y": "y_um", "z": "z"})).initial.shape == (9, 8, 9)


def test_parquet_and_its_own_exports_are_read(tmp_path):
    frame = pd.DataFrame(ROWS, columns=["x_centroid", "y_centroid", "region", "phenotype"])
    frame["phenotype"] = frame["phenotype"].astype("category")
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    (note,) = lies_right(build(scenario(tmp_path, buffer.getvalue(), "cells.parquet")))
    assert "Xenium" in note
    with pytest.raises(ScenarioError, match=r"cells.parquet: can't be read as Parquet"):
        build(scenario(tmp_path, buffer.getvalue()[:-20], "cells.parquet"))
    with pytest.raises(ScenarioError, match="'tissue.table.encoding' applies only to a text table"):
        build(scenario(tmp_path, buffer.getvalue(), "cells.parquet", table={"encoding": "utf-8"}))


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_FREELY", 1 << 20)
    bomb = gzip.compress(b"x_um,y_um\n" + b" " * (1 << 24), 9, mtime=0)
    with pytest.raises(ScenarioError, match=r"cells.csv: unpacks to more than .* MiB"):
        build(scenario(tmp_path, bomb))
    with pytest.raises(ScenarioError, match="can't be unpacked: the file is cut"):
        build(scenario(tmp_path, gzip.compress(PLAIN.encode(), mtime=0)[:-12]))
    monkeypatch.setattr(tables.memory, "available", lambda: 500)
    with pytest.raises(ScenarioError, match=r"tables of .* need .*, 500 bytes are free"):
        build(scenario(tmp_path, PLAIN))


def test_a_pipe_a_device_and_a_folder_are_refused(tmp_path):
    loaded = scenario(tmp_path, PLAIN)
    (tmp_path / "cells.csv").unlink()
    os.mkfifo(tmp_path / "cells.csv")
    with pytest.raises(ScenarioError, match="expected a regular file, found a pipe"):
        build(loaded)
    for path, found in (("/dev/null", "a device"), (str(tmp_path), "a folder")):
        with pytest.raises(ScenarioError, match=f"expected a regular file, found {found}"):
            build(loaded.with_(tissue={"cells": path}))


SPLIT = (",", ";", "\t", "|")


@settings(max_examples=60)
@given(
    delimiter=st.sampled_from(SPLIT),
    comma=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"]),
    preamble=st.lists(
        st.text(st.characters(codec="latin-1", categories=["L", "N", "P", "Zs"]), max_size=30), max_size=4
    ),
    values=st.lists(st.floats(-1e4, 1e4), min_size=6, max_size=12),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_whatever_the_dialect_the_numbers_are_those_written(
    tmp_path_factory, delimiter, comma, encoding, preamble, values, ending
):
    comma = comma and delimiter != ","
    written = [f"{value:.2f}" for value in values]
    fields = [text.replace(".", ",") if comma else text for text in written]
    rows = [delimiter.join((*fields[i : i + 2], "é")) for i in range(0, len(fields) - 1, 2)]
    preamble = [line for line in preamble if "x_um" not in line]
    text = ending.join([*preamble, delimiter.join(("x_um", "y_um", "note")), *rows, ""])
    path = tmp_path_factory.mktemp("dialects") / "cells.csv"
    path.write_bytes(text.encode(encoding))
    table = tables.opened("a", path, TableReading(), [])
    frame = table.load(["x_um", "y_um", "note"])
    assert np.array_equal(frame[["x_um", "y_um"]].to_numpy(float).ravel(), [float(v) for v in written[: 2 * len(rows)]])
    assert set(frame["note"]) == {"é"}


class OneLine(Exception):
    pass


@contextlib.contextmanager
def one_line():
    """Turn an error of one line into `OneLine`."""
    try:
        yield
    except ScenarioError as error:
        if "\n" not in str(error):
            raise OneLine from None
        raise


@settings(max_examples=100)
@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode) | st.sampled_from([bz2.compress(b"x")]))
def test_rubbish_is_read_or_refused_in_one_line(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("rubbish")
    spec = Tissue.model_validate({"cells": "x", "types": [{"state": "ctl"}]})
    for name in ("cells.csv", "cells.parquet"):
        (folder / name).write_bytes(data)
        with contextlib.suppress(OneLine), one_line():
            cells.read(folder / name, spec)
