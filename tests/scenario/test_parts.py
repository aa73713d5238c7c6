"""Descriptions and contents of the files of the library."""

import pytest

from gpusim.scenario import library, parts


def test_the_description_is_the_first_sentence_of_the_comment(tmp_path):
    file = tmp_path / "part.yaml"
    file.write_text(
        "# Cells that move,\n# divide and die. They do nothing else.\n#\n# More.\nstates: {}  # no\n# end\n"
    )
    assert parts.about(file) == "Cells that move, divide and die"
    assert parts.head(file) == "Cells that move,\ndivide and die. They do nothing else.\n\nMore."


def test_what_a_file_only_removes_is_not_among_what_it_defines():
    data = {
        "extends": ["melanoma", "desert"],
        "rules": {"death": {"rate": "1 /day", "after": None}, "regrowth": None},
        "body": {"processes": {"priming": None, "recall": None}},
        "sources": {"rules.death.rate": {"kind": "assumed"}},
    }
    defined, removed = parts.contents(data)
    assert defined == {"extends": ["melanoma", "desert"], "rules": ["death"]}
    assert removed == ["rules.regrowth", "body.processes.priming", "body.processes.recall"]


@pytest.mark.parametrize(("name", "path"), [(n, p) for files in library().values() for n, p in files.items()])
def test_each_file_of_the_library_is_described_by_a_sentence(name, path):
    assert 10 < len(parts.about(path)) < 200, name
