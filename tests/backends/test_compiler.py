import errno
import os
import subprocess
import sys
import warnings

import pytest

from gpusim import backends
from gpusim.backends import Availability, availability, compiler, create, source
from gpusim.backends import cache as kept
from gpusim.backends import cpu as cpu_backend
from gpusim.errors import BackendError

cpu = availability("cpu")
needs_compiler = pytest.mark.skipif(not cpu.available, reason=cpu.reason)
pytestmark = pytest.mark.filterwarnings("ignore:compiling kernels")
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
def test_units_are_compiled_apart_into_one_library_and_it_is_said_once(cache):
    units = (
        'extern "C" int half() { return 21; }',
        'extern "C" int half(); extern "C" int answer() { return 2 * half(); }',
    )
    with pytest.warns(UserWarning, match="compiling kernels with .* \\(once, about 20 s\\)"):
        assert compiler.load(units).answer() == 42
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiler.load(units).answer() == 42
    with pytest.raises(BackendError, match="could not compile the kernels"):
        compiler.load((units[0], "this is not C++"))
    assert len(list(cache.iterdir())) == 1


def test_the_state_of_a_thread_is_one_for_all_units():
    # A static one would differ by unit, and an inline function that reads it is kept of one unit alone.
    (text, *others) = source.host_units()
    assert "HOST_STATE HostIndex blockIdx" in text
    assert not [
        line for unit in (text, *others) for line in unit.splitlines() if line.startswith("static thread_local")
    ]
    assert len(others) == len(source.files()) - 1


@needs_compiler
@pytest.mark.parametrize("size", [0, 100, 4096, 8000, None])
def test_half_a_library_and_a_flipped_bit_are_noticed(cache, size):
    compiler.load(SOURCE)
    (library,) = cache.glob("*.so")
    whole = library.read_bytes()
    damaged = bytearray(whole[:size])
    if size is None:
        damaged[len(whole) // 2] ^= 1
    library.unlink()  # a good one may be loaded from that file
    library.write_bytes(damaged)
    assert compiler.load(SOURCE).answer() == 42
    (library,) = cache.glob("*.so")
    assert library.read_bytes() == whole


@needs_compiler
def test_what_is_not_a_library_is_passed_over(cache):
    compiler.load(SOURCE)
    (library,) = cache.glob("*.so")
    library.unlink()
    library.mkdir()
    (cache / f"{library.stem[:40]}-.so").write_text("")
    assert compiler.load(SOURCE + "\n").answer() == 42
    with pytest.raises(BackendError, match="cannot be stored or loaded"):
        compiler.load(SOURCE)


@pytest.fixture
def wrapped(tmp_path, monkeypatch):
    """A compiler of one's own: g++ or clang behind a script, with a version to choose."""
    real = compiler.find_compiler()

    def use(version):
        script = tmp_path / "mycxx"
        script.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo {version} && exit\nexec {real} "$@"\n')
        script.chmod(0o755)
        monkeypatch.setenv("CXX", str(script))
        compiler.find_compiler.cache_clear()
        compiler._identity.cache_clear()
        return script

    yield use
    compiler.find_compiler.cache_clear()
    compiler._identity.cache_clear()


@needs_compiler
def test_another_version_of_the_compiler_compiles_anew(cache, wrapped):
    for version, libraries in (("1.0", 1), ("1.0", 1), ("1.1", 2)):
        wrapped(version)
        assert compiler.load(SOURCE).answer() == 42
        assert len(list(cache.glob("*.so"))) == libraries


@needs_compiler
def test_a_compiler_that_does_not_start_is_one_message(cache, wrapped):
    wrapped("1.0").write_bytes(b"\x7fELF rubbish")
    with pytest.raises(BackendError, match="mycxx does not start"):
        compiler.load(SOURCE)


@pytest.mark.slow
@needs_compiler
def test_where_the_cache_can_not_be_written_a_temporary_one_goes_with_the_process(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "tmp").mkdir()
    code = (
        f"from gpusim.backends import compiler; assert compiler.load({SOURCE!r}).answer() == 42;"
        "import os; print(os.listdir(os.environ['TMPDIR']))"
    )
    environment = {**os.environ, "GPUSIM_CACHE": str(tmp_path / "file" / "cache"), "TMPDIR": str(tmp_path / "tmp")}
    done = subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True, text=True)
    assert "gpusim-cache-" in done.stdout
    assert not list((tmp_path / "tmp").iterdir())


@needs_compiler
def test_a_cache_that_can_only_be_read_is_read(cache, monkeypatch):
    def refuse(**_):
        raise PermissionError("read-only")

    compiler.load(SOURCE)
    monkeypatch.setattr(kept.tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(compiler, "_compile", refuse)
    assert compiler.load(SOURCE).answer() == 42


@needs_compiler
def test_a_full_disk_is_one_message(cache, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kept.os, "replace", full)
    with pytest.raises(BackendError, match="cannot be stored or loaded.*No space left"):
        compiler.load(SOURCE)
    assert not list(cache.iterdir())


@needs_compiler
def test_a_compiler_error_is_one_message(cache):
    with pytest.raises(BackendError, match="could not compile the kernels"):
        compiler.load("this is not C++")
    assert not cache.exists()


@pytest.mark.slow
@needs_compiler
def test_a_library_without_kernels_is_one_message(cache, monkeypatch):
    monkeypatch.setattr(cpu_backend, "host_units", lambda: SOURCE)
    with pytest.raises(BackendError, match="has no kernels in it"):
        create("cpu")


@needs_compiler
def test_two_processes_at_once_both_get_a_library(cache):
    code = f"from gpusim.backends import compiler; assert compiler.load({SOURCE!r}).answer() == 42"
    started = [subprocess.Popen([sys.executable, "-c", code], env={**os.environ}) for _ in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]
    assert not list(cache.glob("build-*"))
    assert compiler.load(SOURCE).answer() == 42


def test_without_a_compiler_auto_says_so_and_takes_numpy(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    compiler.find_compiler.cache_clear()
    try:
        if availability("cuda").available:
            pytest.skip("auto takes the GPU here")
        with pytest.warns(UserWarning, match="slower numpy backend.*no C\\+\\+ compiler found"):
            assert create("auto").name == "numpy"
        with pytest.raises(BackendError, match="no-such-compiler"):
            create("cpu")
    finally:
        compiler.find_compiler.cache_clear()


def test_auto_says_that_a_gpu_is_there_and_fails(monkeypatch):
    def broken(threads):
        raise BackendError("NVRTC could not compile the kernels")

    monkeypatch.setitem(backends._CREATE, "cuda", broken)
    monkeypatch.setitem(backends._CREATE, "cpu", lambda threads: create("numpy"))
    monkeypatch.setattr(backends, "availability", lambda name: Availability(name, True, "here"))
    with pytest.warns(UserWarning, match="running on the slower cpu backend .cuda: NVRTC could not compile"):
        create("auto")


def test_an_unknown_backend_is_refused():
    with pytest.raises(BackendError, match="expected one of auto, cuda, cpu, numpy"):
        create("tpu")
