"""The kernels as they declare themselves: the signature of each `__global__` function in kernels/*.cu.

A parameter that is an array stands on a line of its own, with its shape behind it:

    const float* __restrict__ fields,  // [F, R, z, y, x] and whatever else there is to say

Parameters stand in groups, in this order: `// model:` and `// state in:` are arrays that the kernel reads, `// state
out:` those that it writes, `// numbers:` what a launch is given besides, `// sizes:` what follows from the shapes of
the arrays, from the blocks of the launch and from where its planes lie in the lattice (`launching.py`).
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpusim.backends import source
from gpusim.model.tables import STRUCTS

ARRAYS = ("model", "state in", "state out")
GROUPS = (*ARRAYS, "numbers", "sizes")
SIZES = {"R": "replicates", "z": "nz", "y": "ny", "x": "nx", "traits": "trait_count"}
"""Names of sizes, where that of the axis is shorter."""

_NUMBERS = {
    "uint8": np.uint8,
    "uint16": np.uint16,
    "int32": np.int32,
    "uint32": np.uint32,
    "int64": np.int64,
    "uint64": np.uint64,
    "float": np.float32,
    "double": np.float64,
}
_KERNEL = re.compile(r"__global__ void (\w+)\((.*?)\) \{", re.DOTALL)
_PARAMETER = re.compile(r"\s*(const )?(\w+)(\*)?(?: __restrict__)? (\w+)\s*")
_SHAPE = re.compile(r"\[([^]]*)\]")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel.

    Attributes:
        dtype: of the number, or of the entries of the array: a number's, or that of a table (`model.tables.STRUCTS`).
        group: one of `GROUPS`.
        axes: of an array; names that mean the same size throughout a signature, numbers, or expressions.
    """

    name: str
    dtype: np.dtype
    group: str
    axes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kernel:
    """One kernel: `file` is the stem of its file's name, which is that of its NumPy twin's too."""

    name: str
    file: str
    parameters: tuple[Parameter, ...]

    def of(self, *groups: str) -> tuple[Parameter, ...]:
        """The parameters of some groups."""
        return tuple(each for each in self.parameters if each.group in groups)

    def given(self, objects: Sequence[object], named: Mapping[str, Any]) -> dict[str, Any]:
        """All arrays and numbers of a launch: attributes of objects with the names of parameters, and what is named.

        Raises `TypeError` where one is missing, unknown or given twice.
        """
        wanted = {each.name for each in self.of(*ARRAYS, "numbers")}
        found: dict[str, Any] = {}
        for values in (*map(vars, objects), named):
            for name in wanted & values.keys():
                if found.setdefault(name, values[name]) is not values[name]:
                    raise TypeError(f"{self.name}: '{name}' is given twice")
        for wrong, what in ((wanted - found.keys(), "needs"), (named.keys() - wanted, "takes no")):
            if wrong:
                raise TypeError(f"{self.name} {what} {', '.join(sorted(wrong))}")
        return found


@functools.cache
def kernels() -> dict[str, Kernel]:
    """All kernels by name, in the order of the files. Raises `ValueError` where a signature is none of these."""
    found = {}
    for path in source.files():
        for name, text in _KERNEL.findall(path.read_text(encoding="utf-8")):
            found[name] = Kernel(name, path.stem, tuple(_parameters(text, f"{path.name}: {name}")))
    return found


def _parameters(text: str, where: str) -> list[Parameter]:
    found, group = [], ""
    for line in text.splitlines():
        code, _, comment = line.partition("//")
        if comment.strip().removesuffix(":") in GROUPS:
            group = comment.strip().removesuffix(":")
        for each in filter(str.strip, code.split(",")):
            found.append(_parameter(each, group, comment, f"{where}: '{each.strip()}'"))
    order = [GROUPS.index(each.group) for each in found]
    if order != sorted(order):
        raise ValueError(f"{where}: expected the groups {', '.join(GROUPS)} in this order")
    return found


def _parameter(text: str, group: str, comment: str, where: str) -> Parameter:
    matched, shape = _PARAMETER.fullmatch(text), _SHAPE.match(comment.strip())
    if group not in GROUPS or not matched:
        raise ValueError(f"{where}: expected a parameter in one of the groups {', '.join(GROUPS)}")
    constant, kind, pointer, name = matched.groups()
    if bool(pointer) != (group in ARRAYS) or bool(pointer) != bool(shape):
        raise ValueError(f"{where}: expected arrays, with their shapes, under {', '.join(ARRAYS)}, and there alone")
    if pointer and bool(constant) != (group != "state out"):
        raise ValueError(f"{where}: expected 'const' where a kernel reads alone, and under 'state out' nowhere")
    dtype = STRUCTS[kind] if kind in STRUCTS else np.dtype(_NUMBERS[kind])
    return Parameter(name, dtype, group, tuple(re.split(r",\s*", shape[1])) if shape else ())
