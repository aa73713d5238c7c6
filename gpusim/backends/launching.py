"""Launches by name: what a kernel is given is held against its signature once, and then remembered.

A small lattice has hundreds of launches a step, nearly all of them with arrays that have come together before. So what
follows from the arrays alone, that they fit, their addresses, sizes and blocks, is found where they first do.
"""

import weakref
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gpusim.backends.base import Backend, Known, Window
from gpusim.backends.geometry import Blocks
from gpusim.backends.groups import Array
from gpusim.backends.launches import launch_of
from gpusim.backends.signatures import ARRAYS, SIZES, Kernel, Parameter, kernels

_FIXED = object()
"""A number that a group has."""


class Prepared(NamedTuple):
    """What all launches with the same arrays have in common.

    Attributes:
        numbers: those of groups, in the order of the signature; None for those of each launch.
        bound: what the backend makes of arrays and sizes.
        watched: groups and arrays; it ends with the first that goes.
    """

    blocks: int
    threads: int
    numbers: tuple[Any, ...]
    bound: Any
    watched: tuple[weakref.ref, ...]


class Call:
    """How a backend launches one kernel.

    Attributes:
        kernel: its signature; arrays, numbers, sizes: its parameters, in this order.
        prepared: by the window, groups, names and arrays of a launch.
    """

    def __init__(self, kernel: Kernel, *, host: bool) -> None:
        self.kernel, self._host = kernel, host
        self.arrays, self.numbers, self.sizes = kernel.of(*ARRAYS), kernel.of("numbers"), kernel.of("sizes")
        self.number_names = [each.name for each in self.numbers]
        self.by_numbers = launch_of(kernel.name).by_numbers
        self.prepared: dict[tuple[Any, ...], Prepared] = {}

    def blocks(self, given: Mapping[str, Any]) -> Blocks:
        """What a launch consists of."""
        axes = self._axes(given) | {name: given[name] for name in self.by_numbers}
        return launch_of(self.kernel.name).geometry(axes, self._host)

    def size_values(self, given: Mapping[str, Any], window: Window | None, blocks: Blocks) -> list[int]:
        """Sizes in the order of the signature. Raises `TypeError` where nothing says one."""
        axes = self._axes(given)
        known = {SIZES.get(axis, axis): size for axis, size in axes.items()} | dict(blocks.sizes)
        known |= {f"has_{each.name}": int(given[each.name].size > 0) for each in self.arrays}
        known |= (window or Window(0, 0, axes.get("z", 0)))._asdict()
        missing = [each.name for each in self.sizes if each.name not in known]
        if missing:
            raise TypeError(f"{self.kernel.name}: no array has an axis {', '.join(missing)}")
        return [known[each.name] for each in self.sizes]

    def _axes(self, given: Mapping[str, Any]) -> dict[str, int]:
        """Sizes by axis. Raises `TypeError`, `ValueError` where an array is not what the signature says.

        An array without entries has any shape.
        """
        found: dict[str, int] = {}
        of_empty: dict[str, int] = {}
        for parameter in self.arrays:
            shape = self._shape(parameter, given[parameter.name])
            known = of_empty if 0 in shape else found
            for axis, size in zip(parameter.axes, shape, strict=True):
                expected = (
                    int(axis) if axis.isdigit() else known.setdefault(axis, size) if axis.isidentifier() else size
                )
                if size != expected and known is found:
                    raise ValueError(
                        f"{self._place(parameter)}: found the shape {shape}, expected {expected} along {axis}"
                    )
        return of_empty | found

    def _shape(self, parameter: Parameter, array: Array) -> tuple[int, ...]:
        if not hasattr(array, "dtype"):
            raise TypeError(f"{self._place(parameter)}: expected an array, found {array!r}")
        shape, dtype = tuple(array.shape), parameter.dtype
        if dtype.fields and array.dtype == "uint8":  # CuPy has no structured dtypes, see its backend
            shape = (array.size // dtype.itemsize,)
        elif array.dtype != dtype:
            raise TypeError(f"{self._place(parameter)}: expected {dtype}, found {array.dtype}")
        if len(shape) != len(parameter.axes):
            raise ValueError(f"{self._place(parameter)}: found the shape {shape}")
        if not array.flags.c_contiguous:
            raise ValueError(f"{self._place(parameter)}: expected an array in one go in memory, in C order")
        return shape

    def _place(self, parameter: Parameter) -> str:
        return f"{self.kernel.name}: {parameter.name} [{', '.join(parameter.axes)}]"


class LocalBackend(Backend):
    """Launches on the arrays of one process. One that has no blocks does nothing."""

    host = True
    """Whether a block is one thread of a host."""

    def __init__(self) -> None:
        self.calls = {name: Call(kernel, host=self.host) for name, kernel in kernels().items()}
        self._carried_out: list[tuple[Call, Prepared, list[Any]]] | None = None

    def launch(self, kernel: str, *groups: object, window: Window | None = None, **named: Any) -> None:
        call = self.calls[kernel]
        numbers = [named.pop(name, _FIXED) for name in call.number_names]
        key = (window, *map(id, groups), *named, *map(id, named.values()))
        if call.by_numbers:
            key = (*numbers, *key)
        prepared = call.prepared.get(key)
        if prepared is None:
            of_launch = {name: n for name, n in zip(call.number_names, numbers, strict=True) if n is not _FIXED}
            prepared = self._prepare(call, key, groups, named, of_launch, window)
        if prepared.blocks:
            numbers = [f if n is _FIXED else n for n, f in zip(numbers, prepared.numbers, strict=True)]
            self.run(call, prepared, numbers)
            if self._carried_out is not None:
                self._carried_out.append((call, prepared, numbers))

    def _prepare(
        self,
        call: Call,
        key: tuple[Any, ...],
        groups: Sequence[object],
        arrays: Mapping[str, Array],
        numbers: Mapping[str, Any],
        window: Window | None,
    ) -> Prepared:
        """Check what a launch is given, and remember it by `key`."""
        given = call.kernel.given(groups, {**arrays, **numbers})
        blocks = call.blocks(given)
        fixed = tuple(None if name in numbers else given[name] for name in call.number_names)
        bound = self.bind(call, [given[each.name] for each in call.arrays], call.size_values(given, window, blocks))

        def forget(_: weakref.ref) -> None:
            call.prepared.pop(key, None)

        watched = tuple(weakref.ref(each, forget) for each in (*groups, *arrays.values()))
        call.prepared[key] = Prepared(blocks.blocks, blocks.threads, fixed, bound, watched)
        return call.prepared[key]

    def repeat(self, action: Callable[[], None], known: Known, *of: object) -> None:
        key = tuple(map(id, of))
        found = known.get(key)
        if found is not None:
            for launch in found[1]:
                self.run(*launch)
            return
        self._carried_out = []
        try:
            action()
            known[key] = of, self._carried_out
        finally:
            self._carried_out = None

    def blocks(self, kernel: str, *groups: object, **named: Any) -> int:
        """Blocks of such a launch."""
        call = self.calls[kernel]
        return call.blocks(call.kernel.given(groups, named)).blocks

    @abstractmethod
    def bind(self, call: Call, arrays: Sequence[Array], sizes: Sequence[int]) -> Any:
        """What launches with these arrays and sizes need each time."""

    @abstractmethod
    def run(self, call: Call, prepared: Prepared, numbers: Sequence[float]) -> None:
        """Carry out a launch."""

    def close(self) -> None:
        """Give back threads and memory."""
