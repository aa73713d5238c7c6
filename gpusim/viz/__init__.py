"""Pictures of results, on PyVista. Nothing in the engine imports this package."""

import importlib.util

from gpusim.errors import ResultError


def require(*modules: str) -> None:
    """Raise `ResultError` where what draws is not installed."""
    for module in ("pyvista", "matplotlib", "PIL", "skimage", *modules):
        if importlib.util.find_spec(module) is None:
            raise ResultError(f"'{module}' is not installed; pictures need: pip install 'gpusim[viz]'")
