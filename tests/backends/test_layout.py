"""What kernels and Python share is held together by the compiler."""

import pytest

from gpusim.backends import availability, compiler, source
from gpusim.backends.layout import CONSTANTS, ENUMS, assertions
from gpusim.errors import BackendError
from gpusim.model.tables import STRUCTS, Shape

needs_compiler = pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler")
INTEGERS = "using int32 = int; using uint32 = unsigned int;\n"


def test_every_struct_enumeration_and_constant_is_found_in_the_kernels():
    text = source.kernel_source()
    for name, dtype in STRUCTS.items():
        assert f"sizeof({name}) == {dtype.itemsize}" in text
    for each in ENUMS:
        assert f"known({each.__name__} each)" in text
    for name in CONSTANTS:
        assert f"static_assert({name} == " in text


def test_a_host_unit_holds_what_it_has():
    units = dict(zip([path.name for path in source.files()], source.host_units(), strict=True))
    assert "sizeof(Motility)" in units["motion.cu"]
    assert "sizeof(Motility)" not in units["rules.cu"]


@needs_compiler
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("struct Term { float coefficient; int32 field; };", "Term::field is int32 at byte 0 in Python"),
        ("struct Term { int32 field; int32 coefficient; };", "Term::coefficient is float at byte 4 in Python"),
        ("struct Term { int32 field; float coefficient; int32 more; };", "Term has 8 bytes in Python"),
        ("enum Form { EXPLICIT = 0, IMPLICIT = 2, OPERATOR = 1 };", "IMPLICIT is 1 in Python"),
        ("enum Form { EXPLICIT, IMPLICIT, OPERATOR, SPECTRAL };", "SPECTRAL.* not handled in switch"),
        ("enum Form { EXPLICIT, IMPLICIT };", "OPERATOR.* was not declared"),
        ("constexpr float trace = 1.0e-33f;", "trace is 1e-34 in Python"),
        ("constexpr int32 neighbourhood(int32 reach) { return 26; }", "neighbourhood.1. is 6 in Python"),
    ],
)
def test_a_difference_does_not_compile(text, message, tmp_path, monkeypatch):
    monkeypatch.setenv("GPUSIM_CACHE", str(tmp_path))
    text = INTEGERS + text
    with pytest.warns(UserWarning, match="compiling kernels"), pytest.raises(BackendError, match=message):
        compiler.load(text + assertions(text))


@needs_compiler
def test_a_shape_that_the_kernels_forget_does_not_compile(tmp_path, monkeypatch):
    monkeypatch.setenv("GPUSIM_CACHE", str(tmp_path))
    unit = next(text for text in source.host_units() if '#line 1 "rules.cu"' in text)
    forgotten = unit.replace("enum Shape { ", "enum Shape { GAUSS = 99, ")
    assert forgotten != unit
    with pytest.warns(UserWarning, match="compiling kernels"), pytest.raises(BackendError, match="GAUSS.* not handled"):
        compiler.load(forgotten)


def test_a_shape_that_is_none_is_refused():
    with pytest.raises(ValueError, match=f"{len(Shape)} is not a valid Shape"):
        Shape(len(Shape))
