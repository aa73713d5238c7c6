"""Files that are hostile, truncated or in another encoding: an error with one line, and no scenario."""

import pytest
from commands import run
from physicell.projects import project

pytest.importorskip("lxml", reason="lxml is not installed")

from gpusim.physicell import import_project
from gpusim.physicell.reading import ProjectError

IC = '<initial_condition type="{}" enabled="true"><filename>./config/{}</filename></initial_condition>'


def refused(path):
    with pytest.raises(ProjectError) as found:
        import_project(path, "s")
    message = str(found.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


@pytest.mark.parametrize(
    "declared",
    [
        '<!DOCTYPE x [<!ENTITY % a SYSTEM "http://127.0.0.1:9/a.dtd"> %a;]>',
        "<!DOCTYPE x [<!ENTITY % a \"<!ENTITY b SYSTEM 'file:///etc/passwd'>\"> %a;]>",
        '<!DOCTYPE x PUBLIC "-//A//B" "file:///etc/passwd">',
        '<!DOCTYPE x [<!ATTLIST PhysiCell_settings version CDATA "1">]>',
        '<!DOCTYPE x [<!ENTITY a "' + 100_000 * "a" + '">]>',  # a few of these, many times: quadratic
        "<!DOCTYPE x [<!ENTITY a '&a;'>]>",
    ],
)
def test_every_document_type_is_refused(tmp_path, declared):
    path = project(tmp_path)
    path.write_text(declared + path.read_text().split("?>", 1)[-1])
    assert "document type" in refused(path) or "not XML" in refused(path)


def test_included_files_are_not_read(tmp_path):
    (tmp_path / "secret.txt").write_text("a secret")
    inclusion = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="../secret.txt" parse="text"/>'
    path = project(tmp_path)
    path.write_text(path.read_text().replace("</PhysiCell_settings>", f"{inclusion}</PhysiCell_settings>"))
    assert "secret" not in import_project(path, "s").text


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.999])
def test_truncated_settings_are_refused(tmp_path, share):
    path = project(tmp_path)
    text = path.read_text().strip()
    path.write_text(text[: int(share * len(text))])
    assert "not XML" in refused(path)


def test_settings_in_another_encoding_than_they_declare_are_refused(tmp_path):
    path = project(tmp_path)
    text = '<?xml version="1.0" encoding="utf-8"?>' + path.read_text().split("?>", 1)[-1].strip()
    path.write_bytes(text.encode() + "<!-- é -->".encode("latin-1"))
    assert "not XML" in refused(path)


def test_settings_in_a_declared_encoding_are_read(tmp_path):
    path = project(tmp_path)
    text = path.read_text().split("?>", 1)[-1].strip()
    path.write_bytes(('<?xml version="1.0" encoding="utf-16"?>' + text).encode("utf-16"))
    assert "tumour_cell" in import_project(path, "s").text


@pytest.mark.parametrize("name", ["cell_rules.csv", "cells.csv"])
@pytest.mark.parametrize(
    "content",
    [
        "tumour cell,oxygen,decreases,necrosis,0,1,2,0\n".encode("utf-16"),
        "é,oxygen,decreases,necrosis,0,1,2,0\n".encode("latin-1"),
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        b"\x1f\x8b\x08\x00" + 40 * b"\xff",
        b"\0" * 1000,
        b"a," * 100_000 + b"\n",
        b'"' + b"a" * 200_000,
    ],
)
def test_tables_that_are_none_are_refused(tmp_path, name, content):
    path = project(tmp_path)
    (path.parent / name).write_bytes(content)
    assert name in refused(path)


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        ("matlab", "ic.mat", b""),
        ("matlab", "ic.mat", b"MATLAB 5.0 MAT-file" + 200 * b" "),
        ("matlab", "ic.mat", 400 * b"\xff"),
        ("csv", "ic.csv", b""),
        ("csv", "ic.csv", b"x,y,z,oxygen\n0,0,0\n"),
        ("csv", "ic.csv", b"x,y,z,oxygen\n0,0,0,nan\n"),
        ("csv", "ic.csv", b"x,y,z,oxygen\n0,0,0,1e999\n"),
        ("csv", "ic.csv", b"x,y,z,water\n0,0,0,1\n"),
        ("csv", "ic.csv", b"x,y,z,oxygen\n0,0,0,-1\n"),
    ],
)
def test_initial_concentrations_that_are_none_are_refused(tmp_path, kind, name, content):
    path = project(tmp_path, options=IC.format(kind, name))
    (path.parent / name).write_bytes(content)
    assert name in refused(path)


def test_a_million_rules_end_with_one_line_and_write_nothing(tmp_path):
    path = project(tmp_path)
    (path.parent / "cell_rules.csv").write_text(
        "".join(f"tumour cell,s{i},decreases,necrosis,0,1,2,0\n" for i in range(1_000_000))
    )
    before = sorted(tmp_path.rglob("*"))
    done = run("import", "physicell", str(path), "-o", "made.yaml", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "more than 10,000 rules" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before
