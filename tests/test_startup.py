"""What `import gpusim` and `gpusim --help` load: nothing that takes long."""

import subprocess
import sys

import pytest

HEAVY = {"dask", "h5py", "matplotlib", "numpy", "pandas", "pint", "pyarrow", "pyvista", "scipy", "xarray", "zarr"}
SHOW = "import sys; print(*sys.modules)"
HELP = f"import atexit; atexit.register(lambda: exec({SHOW!r})); from gpusim.cli import main; main()"


def loaded(code, *arguments):
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(
    "code", ["import gpusim", "import gpusim; assert 'Simulation' in dir(gpusim)", "import gpusim.cli"]
)
def test_an_import_loads_nothing_heavy(code):
    modules = set(loaded(f"{code}; {SHOW}").split())
    assert "gpusim" in modules
    assert not modules & HEAVY


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments):
    out = loaded(HELP, *arguments)
    assert "gpusim" in out
    assert not set(out.splitlines()[-1].split()) & HEAVY
    assert "gpusim.cli.run" in out.splitlines()[-1].split()


def test_public_names_are_there_when_used_and_others_are_not():
    import gpusim

    assert [getattr(gpusim, name).__name__ for name in gpusim.__all__] == gpusim.__all__
    with pytest.raises(AttributeError, match="nonsense"):
        gpusim.nonsense  # noqa: B018
