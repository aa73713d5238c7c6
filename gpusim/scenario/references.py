"""The works from which numbers of the shipped files come, as CSL-JSON (`gpusim/presets/references.json`)."""

import functools
import json
import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Any

_DOI = re.compile(r"10\.\d{4,9}/\S+")


def is_doi(text: str) -> bool:
    """Whether a text is a DOI, such as "10.1172/JCI34388"."""
    return bool(_DOI.fullmatch(text))


@functools.cache
def known() -> Mapping[str, Mapping[str, Any]]:
    """The works by key."""
    text = resources.files("gpusim").joinpath("presets", "references.json").read_text(encoding="utf-8")
    return MappingProxyType({work["id"]: work for work in json.loads(text)})


def cited(key: str) -> str:
    """A work in one line: authors, year, title, journal, DOI. A DOI that is no key is cited by itself."""
    work = known().get(key)
    if work is None:
        return f"doi:{key}"
    head = f"{_authors(work)} ({_year(work)})".removesuffix(" ()").strip()
    parts = [_sentence(head), _sentence(work.get("title", ""))]
    if "container-title" in work:
        volume = work.get("volume", "")
        issue = f"({work['issue']})" if "issue" in work else ""
        pages = f":{work['page']}" if "page" in work else ""
        parts.append(f"{work['container-title']} {volume}{issue}{pages}".replace(" :", ", ").strip() + ".")
    parts += [f"doi:{work['DOI']}" if "DOI" in work else work.get("URL", "")]
    parts += [f"({work['note']})"] if "note" in work else []
    return " ".join(part for part in parts if part)


def link(key: str) -> str | None:
    """The address of a work; None if there is none."""
    work = known().get(key, {"DOI": key} if is_doi(key) else {})
    return f"https://doi.org/{work['DOI']}" if "DOI" in work else work.get("URL")


def _sentence(text: str) -> str:
    return text if not text or text[-1] in ".?!" else f"{text}."


def _authors(work: Mapping[str, Any]) -> str:
    names = [
        author.get("literal") or " ".join(author[part] for part in ("family", "given") if part in author)
        for author in work.get("author", ())
    ]
    return (", ".join(names[:6]) + (", et al." if len(names) > 6 else "")) if names else ""


def _year(work: Mapping[str, Any]) -> str:
    dates = work.get("issued", {}).get("date-parts", [[]])
    return str(dates[0][0]) if dates[0] else ""
