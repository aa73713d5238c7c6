"""What a kernel declares, and that what it is given is held against it."""

import gc

import numpy as np
import pytest

import gpusim
from gpusim.backends import create, signatures
from gpusim.backends.launches import LAUNCHES
from gpusim.backends.numpy import twins
from gpusim.backends.signatures import kernels


@pytest.fixture
def backend(one_backend_each):
    found = create(*one_backend_each)
    yield found
    found.close()


def members(backend, **changes):
    arrays = {"cells": np.uint8, "other": np.uint8, "members": np.uint8}
    given = {name: backend.array(np.ones((1, 2, 3, 4), dtype)) for name, dtype in arrays.items()}
    return given | {"states": backend.array(np.full(8, 2, np.uint32))} | changes


def test_a_kernel_is_declared_by_its_signature():
    rules = kernels()["apply_rules"]
    assert rules.file == "rules"
    parameters = {each.name: each for each in rules.parameters}
    assert parameters["fields"].axes == ("F", "R", "z", "y", "x")
    assert parameters["fields"].group == "state out"
    assert parameters["cells"].group == "state in"
    assert parameters["rules"].dtype.names[0] == "to"
    assert (parameters["step"].group, parameters["step"].dtype) == ("numbers", np.uint32)
    assert (parameters["origin"].group, parameters["origin"].dtype) == ("sizes", np.uint64)


def test_each_kernel_has_a_twin_and_each_launch_a_kernel():
    assert kernels().keys() == twins().keys()
    assert LAUNCHES.keys() <= kernels().keys()
    for name, launch in LAUNCHES.items():
        written = {each.name for each in kernels()[name].of("state out")}
        assert {*launch.halo, *launch.sums} <= written, name
        assert set(launch.by_numbers) <= {each.name for each in kernels()[name].of("numbers")}, name


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("const float* __restrict__ c,  // [F]", "expected a parameter in one of the groups"),
        ("// model:\nconst float* __restrict__ c", "expected arrays, with their shapes"),
        ("// model:\nint32 nx", "expected arrays, with their shapes"),
        ("// sizes:\nconst float* c,  // [F]", "expected arrays, with their shapes"),
        ("// state in:\nfloat* c,  // [F]", "expected 'const'"),
        ("// state out:\nconst float* c,  // [F]", "expected 'const'"),
        ("// sizes:\nint32 nx,\n// model:\nconst float* c  // [F]", "in this order"),
    ],
)
def test_a_signature_that_says_too_little_is_refused(monkeypatch, tmp_path, parameters, message):
    (tmp_path / "a.cu").write_text(f"__global__ void a(\n{parameters}) {{}}\n")
    monkeypatch.setattr(signatures.source, "files", lambda: [tmp_path / "a.cu"])
    with pytest.raises(ValueError, match=message):
        kernels.__wrapped__()


def test_names_must_be_those_of_the_signature(backend):
    given = members(backend)
    with pytest.raises(TypeError, match="mark_members takes no cell"):
        backend.launch("mark_members", **given, cell=given["cells"])
    del given["other"]
    with pytest.raises(TypeError, match="mark_members needs other"):
        backend.launch("mark_members", **given)

    class Group:
        def __init__(self, **values):
            vars(self).update(values)

    with pytest.raises(TypeError, match="'cells' is given twice"):
        backend.launch("mark_members", Group(**members(backend)), cells=given["cells"])
    group = Group(**members(backend), further=3)
    backend.launch("mark_members", group)
    assert np.all(backend.to_numpy(group.members) == 2)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("cells", np.ones((1, 2, 3, 4), np.int64), r"cells \[R, z, y, x\]: expected uint8, found int64"),
        ("cells", np.ones((2, 3, 4), np.uint8), r"cells \[R, z, y, x\]: found the shape \(2, 3, 4\)"),
        ("other", np.ones((1, 2, 3, 5), np.uint8), r"other .*: found the shape \(1, 2, 3, 5\), expected 4 along x"),
        ("states", np.ones(7, np.uint32), r"states \[8\]: found the shape \(7,\), expected 8 along 8"),
    ],
)
def test_arrays_must_be_of_the_dtype_and_shape_of_the_signature(backend, name, values, message):
    with pytest.raises((TypeError, ValueError), match=message):
        backend.launch("mark_members", **members(backend, **{name: backend.array(values)}))


def test_arrays_must_be_in_one_go_in_memory(backend):
    whole = backend.array(np.ones((1, 2, 3, 8), np.uint8))
    with pytest.raises(ValueError, match="cells .*: expected an array in one go in memory"):
        backend.launch("mark_members", **members(backend, cells=whole[..., ::2]))


def test_a_number_in_place_of_an_array_is_refused(backend):
    with pytest.raises(TypeError):
        backend.launch("mark_members", **members(backend, cells=3))


def test_no_array_is_kept_by_what_is_remembered_of_it(backend):
    call, given = backend.calls["mark_members"], members(backend)
    for _ in range(3):
        backend.launch("mark_members", **given)
    assert len(call.prepared) == 1
    backend.launch("mark_members", **members(backend))
    gc.collect()
    assert len(call.prepared) == 1
    del given
    gc.collect()
    assert not call.prepared


def test_arrays_that_come_again_in_other_places_are_not_mixed_up(backend):
    first, second, third = (backend.array(np.full((1, 1, 1, 1), n, np.uint8)) for n in (1, 0, 0))
    states = backend.array(np.array([2, *[0] * 7], np.uint32))  # of 1
    backend.launch("mark_members", states=states, cells=first, other=first, members=second)
    assert backend.to_numpy(second).item() == 2
    backend.launch("mark_members", states=states, cells=second, members=third, other=first)
    assert backend.to_numpy(third).item() == 1


def test_a_step_checks_nothing_that_it_has_seen(one_backend_each, monkeypatch):
    name, threads = one_backend_each
    changes = {"grid.shape": [8, 8, 8], "tissue.shapes.tumour.radius": "60 um"}
    with gpusim.Simulation(gpusim.Scenario.load("cold-to-hot", changes), name, threads=threads) as simulation:
        simulation.step(6)  # three arrays of cells take turns
        backend = simulation.backend
        monkeypatch.setattr(backend, "_prepare", lambda call, *_: pytest.fail(call.kernel.name))
        simulation.step(3)
