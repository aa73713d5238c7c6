"""Reading of result folders."""

import io
import json
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import zarr

from gpusim.engine import Action, actions, flow
from gpusim.errors import GpusimError, ResultError
from gpusim.plottable import Plottable
from gpusim.record import layout, lineages, store, sums, tracks
from gpusim.record.several import results_in
from gpusim.scenario import Document, Scenario

if TYPE_CHECKING:
    import xarray


def _no_result(folder: Path) -> str:
    """Why a folder is not that of one run."""
    if several := results_in(folder):
        return f"contains {len(several)} results; expected the folder of one, such as {quote(str(several[0]))}"
    if (folder / layout.STUDY).is_file():
        return "is a study, whose runs left no results ('keep: stores' keeps them); 'gpusim compare' reports on studies"
    return f"not a result of 'gpusim run' (no {layout.SNAPSHOTS} in it)"


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
            raise ResultError(f"{folder}: {_no_result(self.folder)}")
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
            return Scenario.recorded(self.folder / layout.SCENARIO)

    @cached_property
    def document(self) -> Document:
        """The scenario of this site."""
        return self.scenario.site(self.site).document

    @property
    def counts(self) -> pd.DataFrame:
        """Table with one row for each rule step. Raises `ResultError`."""
        with self._reading(layout.COUNTS):
            counts = pd.read_csv(self._whole_rows(layout.COUNTS))
            if counts.empty or not all(dtype.kind in "if" for dtype in counts.dtypes):
                raise ValueError("not a table of numbers")
        return counts

    def _whole_rows(self, name: str) -> io.StringIO:
        """A table without its last row where a full disk has cut that short."""
        text = (self.folder / name).read_text(encoding="utf-8")
        return io.StringIO(text[: text.rfind("\n") + 1])

    @property
    def births(self) -> pd.DataFrame:
        """Clones of this site, in the order of their births, founders first.

        Columns: clone (number, from 1 on), parent (0: none), label (uint64), step, minutes, x_um, y_um, z_um (not a
        number for all founders of one clone), and `trait.NAME` of the first cell. Raises `ResultError`, also for a
        scenario without clones.
        """
        found = self._of_clones(layout.BIRTHS)
        if found["clone"].tolist() != list(range(1, len(found) + 1)):
            raise ResultError(f"{self.folder}: {layout.BIRTHS} cannot be read: numbers of clones are missing")
        return found

    @property
    def clones(self) -> pd.DataFrame:
        """Cells of each clone at the time of each snapshot, without clones that have none.

        Columns: snapshot, minutes, clone, cells. Raises `ResultError`, also for a scenario without clones.
        """
        found = self._of_clones(layout.CELLS_OF_CLONES)
        return found[found["snapshot"] < len(self.times)].reset_index(drop=True)

    @property
    def tracks(self) -> pd.DataFrame:
        """Positions of the cells that were tracked, in the order of time, then of tracks.

        Columns: track (number, from 1 on), step, minutes, z_um, y_um, x_um, state, tissue (state of the tissue cell in
        the voxel). Raises `ResultError`, also for a scenario without tracks.
        """
        if self.scenario.document.record.tracks is None:
            raise ResultError(f"{self.folder}: its scenario has no tracks ('record: {{tracks: {{of: STATES}}}}')")
        with self._reading(layout.TRACKS):
            found = tracks.read(self._whole_rows(layout.TRACKS))
            return found[found["site"] == self.site].drop(columns="site").reset_index(drop=True)

    def _of_clones(self, name: str) -> pd.DataFrame:
        """Rows of this site in a table of clones."""
        if self.scenario.document.clones is None:
            raise ResultError(f"{self.folder}: its scenario has no clones ('clones: {{of: STATES}}')")
        with self._reading(name):
            found = lineages.read(self._whole_rows(name))
            return found[found["site"] == self.site].drop(columns="site").reset_index(drop=True)

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
    def voxels(self) -> int:
        """Number of voxels of this site."""
        with self._reading(layout.SNAPSHOTS):
            return math.prod(store.array_of(self._site, "tissue").shape[1:])

    @property
    def sizes(self) -> tuple[list[int], list[float]]:
        """Numbers of voxels, and edges of a voxel (um), of all sites, as `gpusim.analysis.whole` takes them."""
        sites = [Result(self.folder, name) for name in self.sites]
        return [each.voxels for each in sites], [each.spacing for each in sites]

    @property
    def _lattices(self) -> list[str]:
        return layout.lattices(self.scenario.document)

    @property
    def trait_names(self) -> list[str]:
        """Recorded traits, those of tissue cells first."""
        return layout.recorded_traits(self.scenario.document)

    @property
    def state_names(self) -> list[str]:
        """Names of the cell states, in the order of their numbers."""
        with self._reading(layout.SNAPSHOTS):
            return str(self._site["tissue"].attrs["flag_meanings"]).split()

    def unit(self, name: str) -> str:
        """Unit of a field or a trait."""
        with self._reading(layout.SNAPSHOTS):
            return str(self._site[name].attrs["units"])

    def array(self, name: str, snapshot: int = -1) -> np.ndarray:
        """A field or a trait (float32), a layer (uint8) or `clones` (labels, uint64) of one snapshot: [z, y, x].

        A snapshot is a number from 0, or from -1 backwards. Raises `ResultError`.
        """
        with self._reading(layout.SNAPSHOTS):
            if name not in self._site:
                known = ", ".join(self._lattices)
                what = "field, layer or recorded trait" if self.document.traits else "field or layer"
                raise ResultError(f"{self.folder}: no {what} '{name}' (known: {known})")
            return store.read(self._site, name, self._place(snapshot))

    def _place(self, snapshot: int) -> int:
        """Number of a snapshot, which may count from the end. Raises `ResultError`."""
        last = len(self.times) - 1
        if isinstance(snapshot, int | np.integer) and -last - 1 <= snapshot <= last:
            return int(snapshot) % (last + 1)
        raise ResultError(f"{self.folder}: no snapshot {snapshot!r}; expected 0 to {last}, or -1 to {-last - 1}")

    def trait(self, name: str, snapshot: int = -1) -> np.ndarray:
        """A trait of the cells of one snapshot: float32 [z, y, x], in its unit; 0 where no cell has it.

        Raises `ResultError`, also for a trait that is not recorded.
        """
        if name not in self.trait_names:
            unrecorded = name in self.document.traits
            known = ", ".join(self.trait_names) or "none"
            why = f"trait '{name}' is not recorded (record.traits)" if unrecorded else f"no trait '{name}'"
            raise ResultError(f"{self.folder}: {why} (known: {known})")
        return self.array(name, snapshot)

    def clone_numbers(self, snapshot: int = -1) -> np.ndarray:
        """Numbers of clones as in `births` of the cells of one snapshot: int64 [z, y, x]; 0 where no cell has a clone.

        Raises `ResultError`, also if the labels are not recorded.
        """
        known = self.births["label"].to_numpy(np.uint64)
        if not layout.records_clones(self.scenario.document):
            raise ResultError(f"{self.folder}: clones are not recorded (record.clones)")
        return lineages.numbers(known, self.array(layout.CLONES, snapshot))

    def velocity(self, snapshot: int = -1) -> np.ndarray:
        """Velocity of the interstitial fluid of one snapshot: float32 [3, z, y, x], um/min.

        The components are those along x, y and z, at voxel centres. It follows from the recorded pressure and tissue;
        see `gpusim.engine.flow.velocity`, also on tissue that has changed since the pressure was solved. Changes of the
        scenario during a run are known once it has finished. Raises `ScenarioError` if the scenario has no flow;
        `ResultError`.
        """
        with self._reading(layout.SNAPSHOTS):
            step = int(store.read_all(self._group, "step")[self._place(snapshot)])
        document = actions.until(self.scenario, self.actions, step).site(self.site).document
        return flow.velocity(document, lambda name: self.array(name, snapshot))

    def dataset(self) -> "xarray.Dataset":
        """The snapshots of this site as an xarray dataset, which is loaded on demand."""
        import xarray

        group = self.site if len(self.sites) > 1 else None
        with self._reading(layout.SNAPSHOTS):
            for name in self._lattices:
                for number in range(len(self.times)):
                    store.require_chunks(store.array_of(self._site, name), number)
            found = xarray.open_zarr(self.folder / layout.SNAPSHOTS, group=group, consolidated=False, chunks=None)
        return found.isel(time=slice(len(self.times)))

    def digest_at(self, snapshot: int) -> str | None:
        """Digest of the state, as stored with a snapshot; None if an older version wrote it. Raises `ResultError`."""
        with self._reading(layout.SNAPSHOTS):
            return store.digest_kept(self._group, snapshot) if layout.DIGEST in self._group else None

    def digest(self) -> str:
        """Digest of the last state of all sites.

        Raises `ResultError` if it differs from the digest stored with the state or in the summary.
        """
        last = len(self.times) - 1
        with self._reading(layout.SNAPSHOTS):
            found = store.digest_of(self._group, self._lattices, last)
            kept = [store.contents_kept(self._group, last)] if layout.DIGEST in self._group else []
            if kept == [found] and layout.CONTENTS in self._group:
                found = store.digest_kept(self._group, last)
                kept = [found]
        summary = self.summary
        for expected in (*kept, *([summary["digest"]] if summary else [])):
            if found != expected:
                raise ResultError(f"{self.folder}: its last state has digest {found}; expected {expected}: is damaged")
        return found
