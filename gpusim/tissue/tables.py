"""Tables of cells from files: text with any delimiter, Parquet, AnnData. What is found by looking is said."""

import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gpusim import memory
from gpusim.errors import GpusimError, ScenarioError, extra
from gpusim.scenario.conditions import number
from gpusim.scenario.schema import TableReading, TextReading
from gpusim.tissue import files, packed
from gpusim.tissue.formats import FORMATS, plain

_COPIES = 10
"""Bytes taken for a moment for each byte of a table of text."""
_MOST_UNPACKED = 200
"""Times its size that a table may have unpacked, above `_FREELY`; real ones have 10."""
_FREELY = 1 << 26
_LOOKED_AT = 400
"""Lines at the head of a text among which its header is."""
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
_PHYSICELL = ["x", "y", "z", "type"]
"""Columns of a table without a header: PhysiCell's first format."""
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+")
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_SPATIAL = ("spatial", "X_spatial")
"""Arrays of `obsm` that hold centres where none is named."""


@dataclass(frozen=True)
class Table:
    """A table whose columns are known and whose rows are still in the file.

    `load(columns)` gives a frame with the place of each row in the file as its index. `centres` are columns that hold
    the centres by the file's own structure, which `source` names. `found`: what was detected, in words.
    """

    names: list[str]
    load: Callable[[Sequence[str]], pd.DataFrame]
    found: list[str]
    centres: tuple[str, ...] = ()
    source: str = ""


def opened(
    label: str, path: Path, reading: TextReading, hints: Sequence[Collection[str]], place: str = "tissue.table"
) -> Table:
    """Open a table. `hints` are sets of columns one of which the header has; `place` is where `reading` stands.

    Raises `ScenarioError` where it is none of the known kinds, or claims more than there is room for.
    """
    files.regular(label, path)
    ending = path.suffix.lower()
    binary = _BINARY.get(ending)
    if binary is not None:
        given = sorted({"delimiter", "decimal", "encoding", "header"} & reading.model_fields_set)
        if given:
            raise ScenarioError(f"{label}: '{place}.{given[0]}' applies only to a text table")
    if isinstance(reading, TableReading) and reading.obsm is not None and ending != ".h5ad":
        raise ScenarioError(f"{label}: 'tissue.table.obsm' applies only to AnnData (.h5ad)")
    try:
        return binary(label, path, reading) if binary else _text(label, path, reading, hints, place)
    except (GpusimError, MemoryError):
        raise
    except Exception as error:  # each library raises many kinds for a file that is none
        kind = {".h5ad": "AnnData"}.get(ending, "Parquet" if binary else "text")
        raise ScenarioError(f"{label}: can't be read as {kind}: {_one_line(error)}") from None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


# Text


def _text(label: str, path: Path, reading: TextReading, hints: Sequence[Collection[str]], place: str) -> Table:
    found: list[str] = []
    text = _decoded(label, _bytes(label, path, found), reading, found)
    columns = [frozenset(hint) for hint in hints] + [frozenset(map(plain, f.columns)) for f in FORMATS]
    layout = _layout(text, reading, columns, place)
    if layout is None or not layout.names:
        raise ScenarioError(f"{label}: not a table: no columns to read in the first {_LOOKED_AT} lines")
    if layout.delimiter != "," and len(layout.names) > 1:
        found.append(f"{_DELIMITERS[layout.delimiter]} between columns")
    if layout.line > (layout.headless is False):
        found.append(f"header in line {layout.line}")
    return Table(layout.names, lambda wanted: layout.load(label, reading, wanted, found, place), found)


def _bytes(label: str, path: Path, found: list[str]) -> bytes:
    size = path.stat().st_size
    files.room(label, f"tables of {memory.size(size)}", size * _COPIES)
    with path.open("rb") as file:
        packed = file.read(2) == files.GZIP
        file.seek(0)
        if not packed:
            return file.read()
        found.append("gzip")
        most = min(memory.available() // _COPIES, max(_FREELY, size * _MOST_UNPACKED))
        return files.unpacked(label, file, "gzip", most)


def _decoded(label: str, data: bytes, reading: TextReading, found: list[str]) -> str:
    encoding = reading.encoding or _encoding(data)
    if encoding not in ("utf-8", "utf-8-sig") and reading.encoding is None:
        found.append(encoding.upper() if encoding.startswith("utf") else "Latin-1")
    try:
        text = data.decode(encoding)
    except (UnicodeError, ValueError) as error:
        raise ScenarioError(f"{label}: not a table: not text in {encoding}: {_one_line(error)}") from None
    if "\n" not in text:
        text = text.replace("\r", "\n")
    return text.removeprefix("\ufeff")


def _encoding(data: bytes) -> str:
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    head = data[:2000]
    # Western text in UTF-16 without a mark has a zero in every other byte.
    for name, zeros, others in (("utf-16-le", head[1::2], head[::2]), ("utf-16-be", head[::2], head[1::2])):
        if len(head) >= 8 and zeros.count(0) > 0.9 * len(zeros) and others.count(0) == 0:
            return name
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


@dataclass(frozen=True)
class _Layout:
    """Where the rows of a text begin and how they are split."""

    text: str
    delimiter: str
    names: list[str]
    line: int
    """The line of the header; of the first row where there is none."""
    headless: bool = False

    @property
    def first(self) -> int:
        """The line of the first row."""
        return self.line + (not self.headless)

    def sample(self) -> list[list[str]]:
        """The fields of some rows."""
        return list(_split(_head(self.text)[self.first - 1 :], self.delimiter))

    def load(
        self, label: str, reading: TextReading, wanted: Sequence[str], found: list[str], place: str
    ) -> pd.DataFrame:
        decimal = reading.decimal or self._decimal(label, wanted, found, place)
        start = 0
        for _ in range(self.first - 1):
            start = self.text.find("\n", start) + 1 or len(self.text)
        names, rows = self.names, self.text[start:]
        if not rows.strip():
            return pd.DataFrame(columns=list(wanted))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)
                frame = pd.read_csv(
                    io.StringIO(rows),
                    sep=self.delimiter,
                    header=None,
                    names=names,
                    index_col=False,
                    skip_blank_lines=False,
                    decimal=decimal,
                    keep_default_na=False,
                    na_values=[""],
                    low_memory=False,
                )
        except (ValueError, OSError, pd.errors.ParserWarning) as error:  # pandas' parser errors are ValueErrors
            raise ScenarioError(f"{label}: not a table: {self._wrong_row() or _one_line(error)}") from None
        frame.index = pd.RangeIndex(self.first, self.first + len(frame))
        frame = frame[list(wanted)][frame.notna().any(axis=1)]
        return frame.apply(_with_points) if decimal == "," else frame

    def _wrong_row(self) -> str | None:
        for i, line in enumerate(self.text.splitlines()[self.first - 1 :], self.first):
            count = len(next(_split([line], self.delimiter), []))
            if count > len(self.names):
                return f"line {i} has {count} columns, expected {len(self.names)}"
        return None

    def _decimal(self, label: str, columns: Sequence[str], found: list[str], place: str) -> str:
        """The decimal sign of the numbers in some columns."""
        at = [(name, self.names.index(name)) for name in columns]
        values = [(name, row[i].strip()) for row in self.sample() for name, i in at if i < len(row)]
        commas = [(name, value) for name, value in values if _DECIMAL_COMMA.fullmatch(value)]
        if not commas or any("." in value and number(value) is not None for _, value in values):
            return "."
        if self.delimiter != ";" and all(_THOUSANDS.fullmatch(value) for _, value in commas):
            raise ScenarioError(
                f"{label}: column '{commas[0][0]}': '{commas[0][1]}' may have a decimal comma or a thousands "
                f"separator; say which with '{place}.decimal'"
            )
        found.append("a decimal comma")
        return ","


def _with_points(column: pd.Series) -> pd.Series:
    """A column with decimal points; pandas leaves numbers as they are where one value of a column is none."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column
    texts = column.astype(str)
    return column.where(~texts.str.fullmatch(_DECIMAL_COMMA.pattern), texts.str.replace(",", "."))


def _head(text: str) -> list[str]:
    return text.split("\n", _LOOKED_AT)[:_LOOKED_AT]


def _split(lines: Sequence[str], delimiter: str) -> Iterator[list[str]]:
    """The fields of each line; a line that is none ends them."""
    for line in lines:
        try:
            yield next(csv.reader([line.rstrip("\r")], delimiter=delimiter, skipinitialspace=delimiter == " "), [])
        except csv.Error:
            yield [line]


def _layout(text: str, reading: TextReading, hints: Sequence[frozenset[str]], place: str) -> _Layout | None:
    """How a text is a table: the line of its header, by known columns or by the count of fields, and its delimiter."""
    lines = _head(text)
    delimiters = [reading.delimiter] if reading.delimiter else [",", ";", "\t", "|"]
    split = {delimiter: list(_split(lines, delimiter)) for delimiter in delimiters}
    if reading.header is not None:
        at = reading.header - 1
        if at >= len(lines):
            raise ScenarioError(f"{place}.header: there is no line {reading.header}")
        delimiter = max(delimiters, key=lambda d: len(split[d][at]))
        return _with_names(text, delimiter, at, split[delimiter])
    names = {delimiter: [frozenset(_names(row)) for row in rows] for delimiter, rows in split.items()}
    for hint in hints:
        for at in range(len(lines)):
            for delimiter in delimiters:
                if hint <= names[delimiter][at]:
                    return _with_names(text, delimiter, at, split[delimiter])
    best: tuple[float, str, int] | None = None
    for delimiter in delimiters:
        rows = [(i, len(row)) for i, row in enumerate(split[delimiter]) if any(map(str.strip, row))]
        if not rows:
            continue
        width, count = Counter(n for _, n in rows).most_common(1)[0]
        score = width * count / len(rows)
        if best is None or score > best[0]:
            best = score, delimiter, next(i for i, n in rows if n == width or (n == width - 1 and n > 1))
    if best is None:
        return None
    _, delimiter, at = best
    first = [field.strip() for field in split[delimiter][at]]
    if len(first) == len(_PHYSICELL) and all(number(field) is not None for field in first):
        return _Layout(text, delimiter, _PHYSICELL, at + 1, headless=True)
    return _with_names(text, delimiter, at, split[delimiter])


def _names(fields: Sequence[str]) -> list[str]:
    names = [plain(field) for field in fields]
    if names and names[0].startswith("#"):  # as NumPy writes a header
        names[0] = names[0].lstrip("# ")
    return names


def _with_names(text: str, delimiter: str, at: int, rows: Sequence[Sequence[str]]) -> _Layout:
    names = _names(rows[at])
    below = [row for row in rows[at + 1 :] if any(map(str.strip, row))]
    # The last row may be cut.
    if below and all(len(row) == len(names) + 1 for row in below[:-1] or below):
        # R leaves out the name of the column of row names; others end each row with a delimiter.
        names = ["", *names] if any(row[-1].strip() for row in below) else [*names, ""]
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        unique.append(f"{name}.{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return _Layout(text, delimiter, unique, at + 1)


# Binary


def _parquet(label: str, path: Path, reading: TextReading) -> Table:
    with extra("formats", "to read Parquet"):
        import pyarrow.parquet
    file = pyarrow.parquet.ParquetFile(path)
    names = {plain(name): name for name in file.schema_arrow.names}
    # A long text that stands in many rows is stored once, and stays one object.
    texts = [field.name for field in file.schema_arrow if pyarrow.types.is_string(field.type)]
    file = pyarrow.parquet.ParquetFile(path, read_dictionary=texts)

    def load(wanted: Sequence[str]) -> pd.DataFrame:
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        stored = sum(group.total_byte_size for group in groups)
        files.room(
            label, f"{file.metadata.num_rows:,} rows", max(stored, file.metadata.num_rows * 16 * len(wanted)) * 2
        )
        try:
            frame = file.read([names[name] for name in wanted]).to_pandas(ignore_metadata=True)
        except Exception as error:  # as many kinds as a damaged file has
            raise ScenarioError(f"{label}: can't be read as Parquet: {_one_line(error)}") from None
        frame = frame.rename(columns={names[name]: name for name in wanted})[list(wanted)]
        frame = frame.astype({name: object for name, dtype in frame.dtypes.items() if dtype == "category"})
        frame.index = pd.RangeIndex(1, len(frame) + 1)
        return frame

    return Table(list(names), load, [])


def _anndata(label: str, path: Path, reading: TextReading) -> Table:
    """`obs`, and the columns of an array of `obsm` beside."""
    with extra("formats", "to read AnnData"):
        import anndata
        import h5py
    with h5py.File(path, "r") as file:
        _own_data(label, file, "obs")
        obs: pd.DataFrame = anndata.io.read_elem(file["obs"])
        arrays = list(file["obsm"]) if "obsm" in file else []
        asked = reading.obsm if isinstance(reading, TableReading) else None
        key = asked or next((name for name in _SPATIAL if name in arrays), None)
        if key is not None and key not in arrays:
            listed = ", ".join(map(repr, arrays)) or "none"
            raise ScenarioError(f"{label}: no obsm['{key}'] (found: {listed})")
        centres: tuple[str, ...] = ()
        if key is not None:
            _own_data(label, file, f"obsm/{key}")
            array = anndata.io.read_elem(file[f"obsm/{key}"])
            values = np.asarray(array)
            if values.ndim != 2 or values.shape[1] not in (2, 3):
                raise ScenarioError(
                    f"{label}: expected obsm['{key}'] with 2 or 3 columns, found one of shape {values.shape}"
                )
            centres = tuple(f"{key} {axis}" for axis in "xyz"[: values.shape[1]])
            obs = obs.assign(**dict(zip(centres, values.T, strict=True)))
    obs.columns = pd.Index([plain(name) for name in obs.columns])
    return Table(list(obs.columns), lambda wanted: obs[list(wanted)], [], centres, f"obsm['{key}']")


def _own_data(label: str, file: Any, name: str) -> None:
    """Raise `ScenarioError` where a group leads to other files or declares more than there is room for."""
    import h5py

    if isinstance(file.get(name, getlink=True), h5py.ExternalLink):
        raise ScenarioError(f"{label}: '{name}' lies in another file")
    total = 0
    waiting = [(name, file[name])]
    seen: set[int] = set()
    while waiting:
        where, item = waiting.pop()
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            continue
        seen.add(address)
        if isinstance(item, h5py.Group):
            for key in item:
                if isinstance(item.get(key, getlink=True), h5py.ExternalLink):
                    raise ScenarioError(f"{label}: '{where}/{key}' lies in another file")
                waiting.append((f"{where}/{key}", item[key]))
        else:
            if item.is_virtual or item.external:
                raise ScenarioError(f"{label}: '{where}' lies in another file")
            total += item.size * item.dtype.itemsize if item.shape is not None else 0
            packed.hdf5(label, item)
    files.room(label, f"'{name}' of {memory.size(total)}", total * 4)


_BINARY: dict[str, Callable[[str, Path, TextReading], Table]] = {
    ".h5ad": _anndata,
    ".parquet": _parquet,
    ".pq": _parquet,
}
"""By the ending of a file; what is none of these is text."""
