"""Tables of cells by the program that wrote them: their columns, their unit of length, their samples.

Sources of the columns: QuPath's measurement export ("Centroid X" with its unit); inForm's cell_seg_data ("Cell X
Position", pixels, or micrometres where the other columns are in microns); HALO's object data (bounds in pixels);
MCMICRO's quantification and scimap (X_centroid, pixels); 10x Xenium cells.csv (x_centroid, um); NanoString CosMx
metadata (CenterX_global_px; 0.12028 um a pixel, as the data's README says).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

PIXEL = None
"""The unit of a format whose pixels have no size of their own."""
_UNITS = {
    "um": "um",
    "\u00b5m": "um",
    "micron": "um",
    "microns": "um",
    "nm": "nm",
    "mm": "mm",
    "px": PIXEL,
    "pixel": PIXEL,
    "pixels": PIXEL,
}
_SUFFIX = re.compile(rf"[\s_]*[\[(]?(?<![A-Za-z])({'|'.join(_UNITS)})[\])]?", re.IGNORECASE)
_PLAIN = re.compile(r"([xX])(.*)")
_TIME = re.compile(r"time[\s_]*[\[(]?(s|sec|min|h|hour|hours|day|days)[\])]?", re.IGNORECASE)
_TIMEPOINT = re.compile(r"(?i)time|time[ _]?(point|step|frame)|frame|day")


@dataclass(frozen=True)
class Format:
    """`axes`: for x, y and, where there is one, z the column of the centre, or the two of its bounds.

    `unit` of length, None for pixels of a size that the user knows. `samples`: columns that tell apart what
    lies in one and the same coordinates.
    """

    name: str
    axes: tuple[tuple[str, ...], ...]
    unit: str | None = "1 um"
    samples: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that the centres are made of."""
        return tuple(column for axis in self.axes for column in axis)


_IMAGES = ("Image",)
_HALO = ("Image Location", "Image File Name", "Image Tag")
FORMATS = (
    Format("gpusim", (("x_um",), ("y_um",), ("z_um",))),
    Format("gpusim", (("x_um",), ("y_um",))),
    Format("qupath", (("Centroid X \u00b5m",), ("Centroid Y \u00b5m",)), samples=_IMAGES),
    Format("qupath", (("Centroid X um",), ("Centroid Y um",)), samples=_IMAGES),
    Format("qupath", (("Centroid X px",), ("Centroid Y px",)), PIXEL, _IMAGES),
    Format("inform", (("Cell X Position",), ("Cell Y Position",)), PIXEL, ("Sample Name",)),
    Format("halo", (("XMin", "XMax"), ("YMin", "YMax")), PIXEL, _HALO),
    Format("mcmicro", (("X_centroid",), ("Y_centroid",)), PIXEL, ("imageid",)),
    Format("xenium", (("x_centroid",), ("y_centroid",))),
    Format("cosmx", (("CenterX_global_px",), ("CenterY_global_px",)), "0.12028 um", ("Run_Tissue_name", "slide_ID")),
    Format("physicell", (("x",), ("y",), ("z",))),
)
"""By priority. Names stand more than once where a program has several forms."""
TITLES = {
    "gpusim": "gpusim",
    "physicell": "PhysiCell",
    "qupath": "QuPath",
    "inform": "inForm",
    "halo": "HALO",
    "mcmicro": "MCMICRO",
    "xenium": "Xenium",
    "cosmx": "CosMx",
    "": "a table",
}


def plain(name: object) -> str:
    """A column's name with one sort of micro sign and no blanks around; \u00c2 is what is left of a wrong encoding."""
    return str(name).strip().replace("\u03bc", "\u00b5").replace("\u00c2\u00b5", "\u00b5")


def recognised(names: Iterable[str], wanted: str | None = None) -> Format | None:
    """The format of a table with columns of these `names`; of the name `wanted` alone, where one is given."""
    known = list(names)
    for format in FORMATS:
        if wanted in (None, format.name) and set(format.columns) <= set(known):
            return _in_microns(format, known)
    return _by_letters(known) if wanted is None else None


def of_columns(axes: tuple[str, ...], names: Iterable[str]) -> Format:
    """The format of a table whose centres stand in these columns; unknown ones have the unit of their name, or um."""
    known = list(names)
    for format in FORMATS:
        if tuple((axis,) for axis in axes[:2]) == format.axes[:2]:
            return _in_microns(Format(format.name, tuple((a,) for a in axes), format.unit, format.samples), known)
    return Format("", tuple((axis,) for axis in axes), _unit(axes[0]))


def expected(name: str) -> str:
    """The columns by which a format is known, in words."""
    return " or ".join(
        ", ".join(f"'{column}'" for column in format.columns) for format in FORMATS if format.name == name
    )


def minutes(name: str) -> str | None:
    """The unit of a column of times, such as "time_min"; None where it is none."""
    found = _TIME.fullmatch(name)
    return found.group(1).lower() if found else None


def timepoint(name: str) -> bool:
    """Whether a column tells times apart without a unit: "time", "Frame", "time point"."""
    return bool(_TIMEPOINT.fullmatch(name.strip()))


def _in_microns(format: Format, names: list[str]) -> Format:
    """InForm writes all lengths in pixels or all in micrometres, and says which beside the areas alone."""
    if format.name == "inform" and any("micron" in name.lower() for name in names):
        return Format(format.name, format.axes, "1 um", format.samples)
    return format


def _by_letters(names: list[str]) -> Format | None:
    """Columns x and y, and z where there is one, in capitals or not, with or without a unit behind."""
    for name in names:
        found = _PLAIN.fullmatch(name)
        if not found or (found.group(2) and not _SUFFIX.fullmatch(found.group(2))):
            continue
        letter, rest = found.groups()
        axes = [chr(ord(letter) + i) + rest for i in range(3)]
        there = [axis for axis in axes if axis in names]
        if there[:2] == axes[:2]:
            return Format("", tuple((axis,) for axis in there), _unit(name))
    return None


def _unit(column: str) -> str | None:
    """The unit at the end of a column's name; um where there is none."""
    found = re.search(_SUFFIX.pattern + "$", column, re.IGNORECASE)
    unit = _UNITS[found.group(1).lower()] if found else "um"
    return None if unit is None else f"1 {unit}"
