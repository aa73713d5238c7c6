import os
import subprocess
import sys

import pytest

from gpusim.backends import availability, compiler, create
from gpusim.errors import BackendError

cpu = availability("cpu")
needs_compiler = pytest.mark.skipif(not cpu.available, reason=cpu.reason)
SOURCE = 'extern "C" int answer() { return 42; }'


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GPUSIM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@needs_compiler
def test_a_library_is_made_once(cache):
    assert compiler.load(SOURCE).answer() == 42
    (library,) = cache.glob("*.so")
    before = library.stat().st_mtime_ns
    assert compiler.load(SOURCE).answer() == 42
    assert library.stat().st_mtime_ns == before
    compiler.load(SOURCE, ("-DX",))
    assert len(list(cache.glob("*.so"))) == 2
    assert not list(cache.glob("build-*"))


@needs_compiler
def test_half_a_library_is_made_anew(cache):
    # In a process of its own: this one may have the good library loaded under that path.
    compiler.load(SOURCE)
    (library,) = cache.glob("*.so")
    whole = library.read_bytes()
    library.unlink()
    library.write_bytes(whole[:100])
    code = f"from gpusim.backends import compiler; assert compiler.load({SOURCE!r}).answer() == 42"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})


@needs_compiler
def test_a_compiler_error_is_one_message(cache):
    with pytest.raises(BackendError, match="could not compile the kernels"):
        compiler.load("this is not C++")
    assert not list(cache.iterdir())


@needs_compiler
def test_two_processes_at_once_both_get_a_library(cache):
    code = f"from gpusim.backends import compiler; assert compiler.load({SOURCE!r}).answer() == 42"
    started = [subprocess.Popen([sys.executable, "-c", code], env={**os.environ}) for _ in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]


def test_without_a_compiler_auto_says_so_and_takes_numpy(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    compiler.find_compiler.cache_clear()
    try:
        if availability("cuda").available:
            pytest.skip("auto takes the GPU here")
        with pytest.warns(UserWarning, match="slower NumPy backend.*no C\\+\\+ compiler found"):
            assert create("auto").name == "numpy"
        with pytest.raises(BackendError, match="no-such-compiler"):
            create("cpu")
    finally:
        compiler.find_compiler.cache_clear()


def test_an_unknown_backend_is_refused():
    with pytest.raises(BackendError, match="expected one of auto, cuda, cpu, numpy"):
        create("tpu")
