"""What kernels share with `gpusim/model/tables.py`, held against it by the compiler: assertions behind the source.

Structs by the offset, size and type of each member; enumerators by value and number; constants by value.
"""

import enum
import re
from collections.abc import Iterator

import numpy as np

from gpusim.backends.geometry import MOST_TOGETHER
from gpusim.model import tables
from gpusim.model.tables import STRUCTS
from gpusim.scenario.limits import LARGEST, LONGEST_AXIS

ENUMS: dict[type[enum.IntEnum | enum.IntFlag], str] = {
    tables.VariesBy: "",
    tables.Source: "",
    tables.Shape: "",
    tables.EffectKind: "",
    tables.Form: "",
    tables.Boundary: "",
    tables.Claim: "CLAIM_",
    tables.Instead: "",
    tables.Region: "",
    tables.Link: "",
    tables.AtDivision: "",
    tables.TransferKind: "",
    tables.Mutation: "",
    tables.Adjusted: "",
}
"""With what goes before the names of their members in kernels/."""

CONSTANTS = {
    "longest_row": LONGEST_AXIS,
    "most_together": MOST_TOGETHER,
    "runaway": LARGEST,
    "pade_constant": tables.PADE_CONSTANT,
    "pade_linear": tables.PADE_LINEAR,
    "pade_top": tables.PADE_TOP,
    "trace": tables.TRACE,
    "fastest_loss": tables.FASTEST_LOSS,
    "held_mass": tables.HELD_MASS,
    "flow_whole": tables.FLOW_WHOLE,
    "flow_fraction": tables.FLOW_FRACTION,
    "most_flow": tables.MOST_FLOW,
    "relative_error": tables.RELATIVE_ERROR,
    "absolute_error": tables.ABSOLUTE_ERROR,
    "most_division": tables.MOST_DIVISION,
    "face_step": tables.FACE,
    "edge_step": tables.EDGE,
    "corner_step": tables.CORNER,
    "rigid_room": tables.RIGID,
    "farthest_room": tables.FARTHEST_ROOM,
    "quantile_steps": tables.QUANTILE_STEPS,
    "purposes": tables.PURPOSES,
    "most_growth": tables.MOST_GROWTH,
    "most_slope": tables.MOST_SLOPE,
    "almost_sure": tables.ALMOST_SURE,
    "no_bid": tables.NO_BID,
    "no_region": tables.NO_REGION,
    "most_tries": tables.MOST_TRIES,
} | {f"neighbourhood({reach})": count for count, reach in tables.NEIGHBOURHOODS.items()}
"""By their expressions in kernels/."""

_TYPES = {"int32": "int32", "uint32": "uint32", "float32": "float"}


def assertions(text: str) -> str:
    """C++ that compiles only where the structs, enumerators and constants of `text` are those of Python."""
    lines = [_SAME]
    for name, dtype in STRUCTS.items():
        if f"struct {name} {{" in text:
            lines += _struct(name, dtype)
    for each, prefix in ENUMS.items():
        if f"enum {each.__name__} {{" in text:
            lines += _enum(each, prefix)
    for name, value in CONSTANTS.items():
        if re.search(rf"\bconstexpr [^;(]*\b{name.partition('(')[0]}\b", text):
            same = f"{name} == static_cast<decltype({name})>({value!r})"
            lines.append(_holds(same, f"{name} is {value:g} in Python"))
    return "\n".join([*lines, ""])


_SAME = """\
template <typename A, typename B>
constexpr bool is_same_type = false;
template <typename A>
constexpr bool is_same_type<A, A> = true;"""


def _struct(name: str, dtype: np.dtype) -> Iterator[str]:
    yield _holds(f"sizeof({name}) == {dtype.itemsize}", f"{name} has {dtype.itemsize} bytes in Python")
    assert dtype.fields is not None
    for member, (kind, offset, *_) in dtype.fields.items():
        of = _TYPES[kind.base.name] + "".join(f"[{n}]" for n in kind.shape)
        same = f"is_same_type<decltype({name}::{member}), {of}>"
        at = f"__builtin_offsetof({name}, {member}) == {offset}"
        yield _holds(f"{at} && {same}", f"{name}::{member} is {of} at byte {offset} in Python")


def _enum(of: type[enum.IntEnum | enum.IntFlag], prefix: str) -> Iterator[str]:
    members = {prefix + name: int(value) for name, value in of.__members__.items()}
    for name, value in members.items():
        yield _holds(f"{name} == {value}", f"{name} is {value} in Python")
    # One that Python does not have is a case that this switch forgets.
    cases = " ".join(f"case {name}:" for name in members)
    yield f"constexpr bool known({of.__name__} each) {{ switch (each) {{ {cases} return true; }} return false; }}"


def _holds(condition: str, message: str) -> str:
    return f'static_assert({condition}, "{message}");'
