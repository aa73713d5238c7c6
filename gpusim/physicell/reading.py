"""Reading of PhysiCell's files: XML without entities or network access, and tables of text."""

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpusim.errors import GpusimError, extra
from gpusim.tissue import files

MOST_XML, MOST_CSV = 20_000_000, 200_000_000
"""Bytes; the largest settings of the sample projects have 0.1 MB."""
_LONGEST_LINE = 100_000
_SHOWN = 60


class ProjectError(GpusimError):
    """A file of a PhysiCell project can't be read, or contradicts itself. The message names file and line."""


def settings(path: Path) -> Any:
    """The root element of PhysiCell_settings.xml, of lxml. Raises `ProjectError`."""
    with extra("formats", "to read XML"):
        from lxml import etree
    data = _bytes(path, MOST_XML)
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise ProjectError(f"{path}{f':{line}' if line else ''}: not XML: {_one_line(error)}") from None
    if root.getroottree().docinfo.doctype:
        raise ProjectError(f"{path}: a document type or entities; expected PhysiCell settings, which have none")
    if root.tag != "PhysiCell_settings":
        raise ProjectError(f"{path}: expected the element <PhysiCell_settings>, found <{shown(root.tag)}>")
    return root


def lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Numbered rows of a table with commas (or tabs) between columns, without comments and empty rows."""
    try:
        text = _bytes(path, MOST_CSV).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProjectError(f"{path}: not text in UTF-8: {_one_line(error)}") from None
    for number, line in enumerate(text.splitlines(), 1):
        if "\0" in line or len(line) > _LONGEST_LINE:
            raise ProjectError(f"{path}:{number}: not a table of text")
        if not line.strip() or line.lstrip().startswith("//"):
            continue
        separator = "," if "," in line else "\t"
        try:
            yield number, [each.strip() for each in next(csv.reader(io.StringIO(line), delimiter=separator))]
        except (csv.Error, StopIteration) as error:
            raise ProjectError(f"{path}:{number}: not a row of a table: {_one_line(error)}") from None


def number(text: str | None, place: str) -> float:
    """A finite number. Raises `ProjectError`, which begins with `place`."""
    try:
        found = float((text or "").strip())
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise ProjectError(f"{place}: expected a number, found '{shown(text or '')}'")
    return found


def truth(text: str | None, place: str) -> bool:
    """`true` or `false`, as XML has them. Raises `ProjectError`."""
    word = (text or "").strip().lower()
    if word in ("true", "1", "yes"):
        return True
    if word in ("false", "0", "no", ""):
        return False
    raise ProjectError(f"{place}: expected true or false, found '{shown(text or '')}'")


def within(settings_file: Path, folder: str, name: str) -> Path | None:
    """A file that the settings name, by a path from the project's folder or from their own; None if there is none."""
    wanted = Path(folder.strip()) / name.strip()
    home = settings_file.resolve().parent
    candidates = [base / wanted for base in (home.parent, home, *list(home.parents)[1:3])]
    for each in (*candidates, home / wanted.name):
        try:
            if each.is_file():
                return each
        except OSError:
            break
    return None


def shown(text: object) -> str:
    """A text for a message: one line, not too long."""
    plain = " ".join(str(text).split())
    return plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]}..."


def _bytes(path: Path, most: int) -> bytes:
    files.regular(str(path), path)
    size = path.stat().st_size
    if size > most:
        raise ProjectError(f"{path}: {size:,} bytes; expected at most {most:,}")
    return path.read_bytes()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
