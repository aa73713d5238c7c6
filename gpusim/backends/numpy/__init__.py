"""The kernels in NumPy alone: the reference that those in C++ are held against.

Each is a function of the same name, in a module with the name of the kernel's file, with some of its parameters. A
launch calls it for each replicate with the parts of the arrays that are its own.
"""

import functools
import inspect
import weakref
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from gpusim.backends.groups import Array
from gpusim.backends.launching import Call, LocalBackend, Prepared
from gpusim.backends.signatures import Kernel, Parameter, kernels
from gpusim.backends.worker import Worker

Twin = Callable[..., None]


class NumpyBackend(LocalBackend):
    """Needs no compiler and no GPU. Takes one replicate after the other, each slab by slab, so that temporaries stay
    in cache; the operations themselves know of one replicate alone.
    """

    name = "numpy"
    threads = 1
    fields_together = False
    settles_room = True

    def __init__(self) -> None:
        super().__init__()
        self.worker = Worker()

    def free_memory(self) -> int | None:
        return None

    def array(self, values: np.ndarray) -> np.ndarray:
        return np.array(values, order="C")

    def fetch(self, arrays: Sequence[Array]) -> list[np.ndarray]:
        return [np.array(array) for array in arrays]

    def write(self, array: Array, values: np.ndarray) -> None:
        array[...] = values

    def copy(self, target: Array, source: Array) -> None:
        target[...] = source

    def bind(self, call: Call, arrays: Sequence[Array], sizes: Sequence[int]) -> tuple[list[Any], dict[str, int]]:
        # No arrays, which would not go as long as they are in here.
        return list(map(weakref.ref, arrays)), {each.name: n for each, n in zip(call.sizes, sizes, strict=True)}

    def run(self, call: Call, prepared: Prepared, numbers: Sequence[float]) -> None:
        twin, wanted = twins()[call.kernel.name]
        references, sizes = prepared.bound
        arrays = [reference() for reference in references]
        same = sizes | {
            each.name: each.dtype.type(number) if each.dtype.kind == "f" else int(number)
            for each, number in zip(call.numbers, numbers, strict=True)
        }
        same = {name: value for name, value in same.items() if name in wanted}
        for r in _replicates(call.arrays, arrays, same):
            own = {
                each.name: _of_replicate(each, array, r)
                for each, array in zip(call.arrays, arrays, strict=True)
                if each.name in wanted
            }
            # Of numbers beyond the range of float32, only the fields are told, where they are checked.
            with np.errstate(all="ignore"):
                twin(**own, **same)


@functools.cache
def twins() -> dict[str, tuple[Twin, frozenset[str]]]:
    """The function of each kernel, and the names of its parameters. Raises `TypeError` where one is no kernel's."""
    return {name: _twin(kernel) for name, kernel in kernels().items()}


def _twin(kernel: Kernel) -> tuple[Twin, frozenset[str]]:
    twin: Twin = getattr(import_module(f"{__name__}.{kernel.file}"), kernel.name)
    wanted = frozenset(inspect.signature(twin).parameters)
    unknown = wanted - {each.name for each in kernel.parameters}
    if unknown:
        raise TypeError(f"{twin.__module__}.{kernel.name}: the kernel has no parameter {', '.join(sorted(unknown))}")
    return twin, wanted


def _replicates(parameters: Sequence[Parameter], arrays: Sequence[Array], numbers: dict[str, Any]) -> Sequence[int]:
    """Those of a launch; just one where it says which, or where none of its arrays has an axis of replicates."""
    if "replicate" in numbers:
        return (numbers["replicate"],)
    counts = (
        array.shape[each.axes.index("R")] for each, array in zip(parameters, arrays, strict=True) if "R" in each.axes
    )
    return range(next(counts, 1))


def _of_replicate(parameter: Parameter, array: Array, r: int) -> Array:
    if "R" not in parameter.axes:
        return array
    return array[(*[slice(None)] * parameter.axes.index("R"), r, ...)]
