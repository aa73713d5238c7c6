"""Reading of result folders."""

import io
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import zarr

from gpusim.engine import Action
from gpusim.errors import GpusimError, ResultError
from gpusim.plottable import Plottable
from gpusim.record import layout, store, sums
from gpusim.scenario import Document, Scenario

if TYPE_CHECKING:
    import xarray


class Result(Plottable):
    """A finished or unfinished run on disk.

    Args:
        site: name of the site whose arrays are read; by default, the first.

    Attributes:
        sites: names of all sites.
        times: times of the snapshots, min, float64.

    Raises `ResultError` if `folder` is not a result, or has no such site.
    """

    def __init__(self, folder: Path | str, site: str | None = None) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ResultError(f"{folder}: no such folder")
        if not (self.folder / layout.SNAPSHOTS).is_dir():
            raise ResultError(f"{folder}: not a result of 'gpusim run' (no {layout.SNAPSHOTS} in it)")
        with self._reading(layout.SNAPSHOTS):
            self._group = zarr.open_group(str(self.folder / layout.SNAPSHOTS), mode="r")
            self.times = store.times(self._group)
            groups = store.sites(self._group)
        if not len(self.times):
            raise ResultError(f"{folder}: contains no snapshot; the run was stopped before the first one")
        with self._reading(layout.SNAPSHOTS):
            self._sums = self._listed()
        self.sites = tuple(groups)
        self.site = self.sites[0] if site is None else site
        here = groups.get(self.site)
        if here is None:
            raise ResultError(f"{folder}: no site '{self.site}' (known: {', '.join(self.sites)})")
        self._site = here

    def _listed(self) -> dict[str, str]:
        """SHA-256 hash of each file, after a comparison for the snapshots; empty for results without checksums."""
        if "format" not in self._group.attrs and not (self.folder / layout.SUMS).exists():
            warnings.warn(f"{self.folder}: written by an older version of gpusim, without checksums", stacklevel=3)
            return {}
        found = sums.read(self.folder)
        for name in found:
            if name.startswith(layout.SNAPSHOTS):
                self._compare(name, found)
        return found

    def _compare(self, name: str, listed: dict[str, str]) -> None:
        """Raise `ResultError` if a file has changed since it was written."""
        for problem in sums.problem(self.folder, name, listed[name]) if name in listed else ():
            raise ResultError(problem)

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Convert the exceptions of libraries for damaged files into a `ResultError`."""
        try:
            if name != layout.SNAPSHOTS:
                self._compare(name, self._sums)
            yield
        except GpusimError:
            raise
        except Exception as error:
            raise ResultError(f"{self.folder}: {name} cannot be read: {error}") from None

    @property
    def summary(self) -> dict[str, Any] | None:
        """The summary of the run; None for an unfinished run. Raises `ResultError`."""
        path = self.folder / layout.SUMMARY
        with self._reading(layout.SUMMARY):
            loaded: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        return loaded

    @property
    def actions(self) -> list[Action]:
        """Interventions during a finished run, which `gpusim.run(..., repeat=...)` repeats."""
        return [Action(**each) for each in (self.summary or {}).get("actions", [])]

    @cached_property
    def scenario(self) -> Scenario:
        """The scenario of the run."""
        with self._reading(layout.SCENARIO):
            return Scenario.load(self.folder / layout.SCENARIO)

    @cached_property
    def document(self) -> Document:
        """The scenario of this site."""
        return self.scenario.site(self.site).document

    @property
    def counts(self) -> pd.DataFrame:
        """Table with one row for each rule step. Raises `ResultError`."""
        with self._reading(layout.COUNTS):
            text = (self.folder / layout.COUNTS).read_text(encoding="utf-8")
            whole = text[: text.rfind("\n") + 1]  # a full disk may have cut the last row short
            counts = pd.read_csv(io.StringIO(whole))
            if counts.empty or not all(dtype.kind in "if" for dtype in counts.dtypes):
                raise ValueError("not a table of numbers")
        return counts

    @property
    def spacing(self) -> float:
        """Edge of a voxel, um."""
        with self._reading(layout.SNAPSHOTS):
            return float(self._site.attrs["spacing_um"])  # type: ignore[arg-type]

    @property
    def field_names(self) -> list[str]:
        """Fields in the order of the scenario."""
        return list(self.scenario.document.fields)

    @property
    def state_names(self) -> list[str]:
        """Names of the cell states, in the order of their numbers."""
        with self._reading(layout.SNAPSHOTS):
            return str(self._site["tissue"].attrs["flag_meanings"]).split()

    def unit(self, field: str) -> str:
        """Unit of a field."""
        with self._reading(layout.SNAPSHOTS):
            return str(self._site[field].attrs["units"])

    def array(self, name: str, snapshot: int = -1) -> np.ndarray:
        """A field (float32) or a layer (uint8) of one snapshot, [z, y, x]. Raises `ResultError`."""
        with self._reading(layout.SNAPSHOTS):
            if name not in self._site:
                known = ", ".join([*self.field_names, *layout.LAYERS])
                raise ResultError(f"{self.folder}: no field or layer '{name}' (known: {known})")
            return store.read(self._site, name, snapshot % len(self.times))

    def dataset(self) -> "xarray.Dataset":
        """The snapshots of this site as an xarray dataset, which is loaded on demand."""
        import xarray

        group = self.site if len(self.sites) > 1 else None
        with self._reading(layout.SNAPSHOTS):
            for name in (*self.field_names, *layout.LAYERS):
                for number in range(len(self.times)):
                    store.require_chunks(store.array_of(self._site, name), number)
            found = xarray.open_zarr(self.folder / layout.SNAPSHOTS, group=group, consolidated=False, chunks=None)
        return found.isel(time=slice(len(self.times)))

    def digest(self) -> str:
        """Digest of the last state of all sites.

        Raises `ResultError` if it differs from the digest stored with the state or in the summary.
        """
        last = len(self.times) - 1
        with self._reading(layout.SNAPSHOTS):
            found = store.digest_of(self._group, self.field_names, last)
            kept = [store.digest_kept(self._group, last)] if layout.DIGEST in self._group else []
        summary = self.summary
        for expected in (*kept, *([summary["digest"]] if summary else [])):
            if found != expected:
                raise ResultError(f"{self.folder}: its last state has digest {found}; expected {expected}: is damaged")
        return found
