"""Which files a scenario reads is said by its schema."""

import importlib

import pytest

import gpusim
from gpusim.record import provenance
from gpusim.scenario import inputs

versions = importlib.import_module("gpusim.record.versions")

DATA = {
    "tissue": {"cells": "a.csv", "image": {"file": "b.tif", "labels": {1: "x"}}, "background": "cells"},
    "sites": {"liver": {"tissue": {"cells": "c.csv"}}, "lung": {}},
    "name": "file",
}


def test_every_file_is_found_wherever_it_stands():
    assert sorted(holder[key] for holder, key in inputs.places(DATA)) == ["a.csv", "b.tif", "c.csv"]


@pytest.mark.parametrize("data", [{}, {"tissue": "x", "sites": [1]}, {"tissue": {"cells": 3, "image": None}}, []])
def test_what_is_no_scenario_has_none(data):
    assert list(inputs.places(data)) == []


def test_a_key_goes_by_content_and_not_by_place(tmp_path):
    def key(path, content):
        path.write_text(content)
        return provenance.key({"tissue": {"cells": str(path)}})

    first = key(tmp_path / "a.csv", "x,y\n")
    assert key(tmp_path / "b.csv", "x,y\n") == first
    assert key(tmp_path / "a.csv", "x,z\n") != first
    (tmp_path / "a.csv").unlink()
    assert provenance.key({"tissue": {"cells": str(tmp_path / "a.csv")}}) != first


def test_the_program_is_part_of_a_key(monkeypatch):
    first = provenance.key({})
    monkeypatch.setattr(provenance, "program", lambda: "another")
    assert provenance.key({}) != first


def test_a_module_or_kernel_that_decides_numbers_is_part_of_the_program(tmp_path, monkeypatch):
    def program():
        return versions.program.__wrapped__()

    package, kernels = tmp_path / "gpusim", tmp_path / "kernels"
    for path in (package / "engine", package / "viz", kernels / "host"):
        path.mkdir(parents=True)
    monkeypatch.setattr(gpusim, "__file__", str(package / "__init__.py"))
    monkeypatch.setattr("gpusim.backends.source.folder", lambda: kernels)
    found = [program()]
    for path in (package / "engine" / "a.py", package / "new.py", kernels / "a.cu", kernels / "host" / "a.hpp"):
        path.write_text("1")
        found.append(program())
    assert len(set(found)) == 5
    (package / "viz" / "a.py").write_text("1")
    assert program() == found[-1]


def test_the_data_beside_a_header_and_all_files_of_a_folder_count(tmp_path):
    (tmp_path / "a.nrrd").write_text("NRRD0004\ntype: uint8\ndata file: a.raw\n\n")
    (tmp_path / "b.zarr").mkdir()
    for path, inside in (("a.nrrd", "a.raw"), ("b.zarr", "b.zarr/0")):
        found = []
        for content in ("1", "2", "1"):
            (tmp_path / inside).write_text(content)
            found.append(inputs.hash_of(tmp_path / path))
        assert found[0] == found[2] != found[1]
