"""Writing of a result folder during a run."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import shutil
import tempfile
import time
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from types import TracebackType
from typing import Any

import numpy as np
import zarr

from gpusim import units
from gpusim.engine import Replicate
from gpusim.engine.notes import Note
from gpusim.engine.replicate import mean_of
from gpusim.errors import GpusimError, ResultError
from gpusim.model import Model
from gpusim.model.fingerprint import fingerprint
from gpusim.record import checkpoint, layout, store, sums, tracks
from gpusim.record.checkpoint import Checkpoint, DamagedError
from gpusim.record.files import explained, locked, remove_unready, write_text
from gpusim.record.lineages import CELL_COLUMNS, Lineages, birth_columns
from gpusim.record.provenance import PROVENANCE, Provenance, agree
from gpusim.record.tables import Table
from gpusim.record.versions import versions


class Recorder:
    """Writes a simulation, or one of its replicates, to a result folder, which is locked for other writers.

    Args:
        folder: created if necessary. It must be empty unless `overwrite` is set, which replaces an earlier result only.
            Raises `ResultError` otherwise.
        resume: continue from the last undamaged checkpoint in `folder`, or from time 0 if there is none. The replicate
            takes the state of the checkpoint, and later records are deleted. Raises `ResultError` if the scenario, an
            input file or the program has changed.
        rerun: restart at time 0 in that case.
    """

    def __init__(
        self,
        replicate: Replicate,
        folder: str | Path,
        *,
        overwrite: bool = False,
        resume: bool = False,
        rerun: bool = False,
    ) -> None:
        self.folder = folder = Path(folder)
        self._replicate = replicate
        if replicate.origin and str(folder.absolute()) == replicate.origin["folder"]:
            raise ResultError(f"{folder}: is the run that this one goes on from; expected another folder")
        self._provenance = Provenance.of(replicate.scenario)
        self._started = datetime.now(UTC)
        spec = replicate.scenario.document.record.checkpoints
        self._keep = None if spec.keep == "all" else spec.keep
        self._wall = units.number(spec.wall, "s")
        self._every = units.number(spec.every, "min") if spec.every else float("inf")
        model = replicate.model
        self._several = list(replicate.sites.values()) if len(replicate.sites) > 1 else []
        counts = layout.count_columns(
            model.states.names,
            replicate.fired,
            model.fields.names,
            model.traits.names,
            model.body.names,
            (site.name for site in self._several),
        )
        columns = {layout.COUNTS: counts, layout.BIRTHS: birth_columns(model), layout.CELLS_OF_CLONES: CELL_COLUMNS}
        columns[layout.TRACKS] = tracks.COLUMNS
        self._columns = {name: columns[name] for name in layout.tables(replicate.scenario.document)}
        self._tables: dict[str, Table] = {}
        self._rows: list[Note] = []
        self._stuck = False  # in writing them
        self._last_row = self._last_snapshot = -1
        self._told = (-1, 0)
        self._fingerprinted: dict[str, Model] = {}
        self._digest = ""
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = locked(folder)
            try:
                self._open(overwrite, resume, rerun)
            except BaseException:
                self._lock.release()
                raise
        self._resumed_at = replicate.steps
        self._saved = self._point
        self._saved_at = time.monotonic()
        if replicate.origin and not resume:  # from time 0 it could not be resumed
            self._saved = (-1, -1)
            self.write()
            self.checkpoint()
        self.record()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # Of a run that failed, what can still be had.
            with contextlib.suppress(*(() if kind is None else (GpusimError,))):
                if not self._stuck:  # which has been reported
                    self._write_rows()
            with explained(self.folder):
                self._close_tables()
        except ResultError:
            if kind is None:  # otherwise the first failure is reported
                raise
        finally:
            self._lock.release()

    @property
    def _point(self) -> tuple[int, int]:
        """The present state: time steps and number of interventions."""
        return self._replicate.steps, len(self._replicate.actions)

    def record(self) -> None:
        """Write what is due at the present time step: a row of counts, a snapshot, a checkpoint.

        To be called after every time step. Raises `NumericalError` for invalid concentrations, before anything is
        written, and `ResultError`.
        """
        self.write()
        self.keep()

    def write(self) -> None:
        """Write the row of counts and the snapshot if they are due. Raises the errors of `record`."""
        steps, model = self._replicate.steps, self._replicate.model
        if steps % model.rules_every == 0:
            self._row()
            if steps // model.record_every > self._last_snapshot // model.record_every or self._last_snapshot < 0:
                self._snapshot()

    def keep(self) -> None:
        """Write a checkpoint if one is due. Raises the errors of `checkpoint`."""
        steps, model, saved = self._replicate.steps, self._replicate.model, self._saved[0]
        due = (steps - saved) * model.step >= self._every or time.monotonic() - self._saved_at >= self._wall
        if due and saved < steps < model.until:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Write a checkpoint, unless the present state has one already.

        Raises `NumericalError` for invalid concentrations, and `ResultError`.
        """
        replicate = self._replicate
        if self._saved == self._point:
            return
        self._write_rows()
        replicate.check()
        with explained(self.folder):
            of_tables, sums_of_tables = checkpoint.of_tables(
                {name: table.synced() for name, table in self._tables.items()}
            )
            numbers = {
                **replicate.numbers,
                **of_tables,
                "record.snapshots": len(store.times(self._group)),
                "record.last_row": self._last_row,
                "record.last_snapshot": self._last_snapshot,
            }
            about = {
                "model": self._fingerprint(),
                "provenance": self._provenance.digest,
                **sums_of_tables,
                "actions": json.dumps([action.data for action in replicate.actions]),
                **({"origin": json.dumps(replicate.origin)} if replicate.origin else {}),
                **versions(),
            }
            checkpoint.save(self.folder, replicate.steps, about, numbers, replicate.arrays(), self._keep)
        self._saved, self._saved_at = self._point, time.monotonic()

    def finish(self) -> dict[str, Any]:
        """Write the last state and the summary; returns the summary.

        If the last state was changed after it was written, it is written again.
        """
        if self._told[0] == self._point[0] and self._told != self._point:
            self._last_row = self._last_snapshot = -1
        self._row()
        self._write_rows()
        if self._last_snapshot != self._replicate.steps:
            self._snapshot()
        summary = self._summary()
        with explained(self.folder):
            store.trim(self._group)
            for table in self._tables.values():
                table.synced()
            # The sums first: a folder with a summary has finished.
            text = json.dumps(summary, indent=2) + "\n"
            self._sum(*self._tables, more={layout.SUMMARY: text.encode()})
            write_text(self.folder / layout.SUMMARY, text)
            if self._keep is not None:
                shutil.rmtree(self.folder / layout.CHECKPOINTS, ignore_errors=True)
        return summary

    def _row(self) -> None:
        """Note a row of counts; it is written with others, where a backend is better not waited for each time."""
        replicate = self._replicate
        if self._last_row != replicate.steps:
            self._rows.append(replicate.note())
            self._last_row, self._told = replicate.steps, self._point
        if self._rows and self._rows[0].numbers:
            self._write_rows()

    def _write_rows(self) -> None:
        """Write the rows that are noted."""
        self._stuck = bool(self._rows)
        while self._rows:
            found = self._replicate.numbers_of(self._rows[0])
            parts = (
                part
                for site in (found.sites[each.name] for each in self._several)
                for part in (
                    site.counts.values(),
                    site.totals.values(),
                    _written({name: mean_of([sums]) for name, sums in site.traits.items()}),
                )
            )
            whole = (each.values() for each in (found.counts, found.fired, found.totals))
            row = [found.steps, f"{found.minutes:.10g}", *itertools.chain.from_iterable(whole)]
            row += [*_written(found.means), *found.body.values()]
            with explained(self.folder):
                self._tables[layout.COUNTS].add([*row, *itertools.chain.from_iterable(parts)])
            del self._rows[0]
        self._stuck = False

    def _snapshot(self) -> None:
        self._write_rows()
        with explained(self.folder):
            if self._lineages is not None:
                self._lineages.write(len(store.times(self._group)))
            if self._tracks is not None:
                self._tracks.write()
            store.append(self._group, self._replicate)
        self._last_snapshot = self._replicate.steps

    def _open(self, overwrite: bool, resume: bool, rerun: bool) -> None:
        folder, replicate = self.folder, self._replicate
        if resume and agree(folder, self._provenance, rerun=rerun) and self._resume():
            return
        _make_room(folder, overwrite or resume)
        # The store first: it marks the folder as ours from then on.
        self._group: zarr.Group = store.create(replicate, folder / layout.SNAPSHOTS, _snapshots(replicate.model))
        agree(folder, self._provenance)
        write_text(folder / layout.SCENARIO, replicate.scenario.to_yaml())
        self._sum()
        self._begin_tables()

    def _close_tables(self) -> None:
        for table in self._tables.values():
            table.close()
        self._tables = {}

    def _begin_tables(self, saved: Checkpoint | None = None) -> None:
        """Open the tables, to continue after those of a checkpoint."""
        self._close_tables()  # of a checkpoint that has turned out to be damaged
        for name, columns in self._columns.items():
            self._tables[name] = Table(self.folder / name, columns, *(saved.table(name) if saved else ()))
        self._lineages: Lineages | None = None
        if layout.BIRTHS in self._tables:
            tables = (self._tables[name] for name in (layout.BIRTHS, layout.CELLS_OF_CLONES))
            self._lineages = Lineages(self._replicate, *tables)
        has_tracks = layout.TRACKS in self._tables
        self._tracks = tracks.TrackWriter(self._replicate, self._tables[layout.TRACKS]) if has_tracks else None

    def _sum(self, *more_files: str, more: dict[str, bytes] | None = None) -> None:
        """List the checksums of files that will not change."""
        sums.write(self.folder, [*sums.WRITTEN_ONCE, *sums.metadata(self.folder), *more_files], more)

    def _resume(self) -> bool:
        """Load the last undamaged checkpoint that fits; return False if there is none."""
        remove_unready(self.folder)
        saved = checkpoint.files(self.folder)
        # A run that was stopped while it finished lists its tables, which become shorter now, and a summary that is
        # missing.
        for damage in sums.problems(self.folder, without=_OF_THE_END) if saved else ():
            if self._goes_on():
                raise ResultError(damage)
            warnings.warn(f"{damage}; the run begins again at time 0", stacklevel=2)
            return False
        for path in saved:
            try:
                self._go_on(checkpoint.load(path))
            except DamagedError as error:
                warnings.warn(f"{error}; going back to the one before", stacklevel=2)
                continue
            return True
        if self._goes_on():
            raise ResultError(f"{self.folder}: goes on from another run, and contains no undamaged checkpoint")
        warnings.warn(f"{self.folder}: contains no undamaged checkpoint; the run begins again at time 0", stacklevel=2)
        return False

    def _goes_on(self) -> bool:
        """Whether the first snapshot is later than time 0."""
        try:
            times = store.times(zarr.open_group(str(self.folder / layout.SNAPSHOTS), mode="r"))
        except Exception:  # a damaged store, which is told elsewhere
            return False
        return bool(len(times) and times[0] > 0)

    def _go_on(self, saved: Checkpoint) -> None:
        done = saved.actions
        self._replicate.follow(done)
        if saved.about["model"] != self._fingerprint():
            raise ResultError(
                f"{self.folder}: its checkpoint belongs to another model: the scenario or its table of cells has "
                f"changed, or another version of gpusim wrote it ({saved.about.get('gpusim')})"
            )
        if saved.about["provenance"] != self._provenance.digest:
            raise DamagedError(
                f"{self.folder}: a checkpoint is older than a change of the scenario, an input file or the program"
            )
        numbers = saved.numbers
        try:
            lattices = layout.lattices(self._replicate.scenario.document)
            self._group = store.reopen(self.folder / layout.SNAPSHOTS, lattices, int(numbers["record.snapshots"]))
            self._sum()
            self._begin_tables(saved)
            self._replicate.restore(numbers, saved.arrays, done)
        except (ValueError, KeyError, FileNotFoundError) as error:
            raise DamagedError(f"{self.folder}: its files do not match the checkpoint: {error}") from None
        self._replicate.origin = json.loads(saved.about.get("origin", "{}"))
        self._last_row, self._last_snapshot = int(numbers["record.last_row"]), int(numbers["record.last_snapshot"])

    def _fingerprint(self) -> str:
        """Fingerprint of the present models, recalculated only after a change of the scenario."""
        models = self._replicate.models
        if [id(model) for model in models.values()] != [id(model) for model in self._fingerprinted.values()]:
            self._fingerprinted, self._digest = models, fingerprint(models)
        return self._digest

    def _summary(self) -> dict[str, Any]:
        replicate = self._replicate
        return {
            "scenario": replicate.model.name,
            "seed": replicate.scenario.document.seed,
            "backend": replicate.backend.name,
            "threads": replicate.backend.threads,
            "steps": replicate.steps,
            "minutes": replicate.minutes,
            "sites": {
                name: {
                    "shape_zyx": list(site.model.shape),
                    "spacing_um": site.model.spacing,
                    "placements": [vars(p) for p in site.model.initial.placements],
                    "counts": site.counts,
                }
                for name, site in replicate.sites.items()
            },
            "counts": replicate.counts,
            "fired": replicate.fired,
            **_of_division(replicate),
            "totals": replicate.totals(),
            **({"traits": _of_traits(replicate)} if replicate.model.traits.names else {}),
            **({"clones": _of_clones(replicate)} if len(replicate.model.clones) else {}),
            "body": replicate.body,
            "actions": [action.data for action in replicate.actions],
            "digest": replicate.digest(),
            "seconds": round(replicate.seconds, 3),
            "started": self._started.isoformat(timespec="seconds"),
            "resumed_at_step": self._resumed_at,
            **({"origin": replicate.origin} if replicate.origin else {}),
            "versions": versions(),
        }


def _of_division(replicate: Replicate) -> dict[str, dict[str, int]]:
    """What a scenario counts besides, where cells divide or close up, or the lattice has open sides."""
    found = {}
    rules = replicate.scenario.document.rules
    waiting = [name for name, rule in rules.items() if rule.waits]
    if waiting:
        found["barred"] = {name: replicate.barred[name] for name in waiting}
    if any(rule.daughter is not None for rule in rules.values()):
        found["crushed"] = replicate.crushed
    if "open" in vars(replicate.scenario.document.grid.sides).values():
        found["left"] = replicate.left
    return found


def _of_traits(replicate: Replicate) -> dict[str, dict[str, float | None]]:
    """Number of cells with each trait at all sites; mean, lowest and highest value, null without cells."""
    found: dict[str, dict[str, float | None]] = {}
    for name in replicate.model.traits.names:
        values = np.concatenate([site.values(name) for site in replicate.sites.values()])
        several = (
            {"mean": np.mean(values, dtype=np.float64), "lowest": values.min(), "highest": values.max()}
            if (values.size)
            else dict.fromkeys(("mean", "lowest", "highest"))
        )
        found[name] = {"cells": values.size, **{key: v if v is None else float(v) for key, v in several.items()}}
    return found


def _of_clones(replicate: Replicate) -> dict[str, int]:
    """Clones since the start, founders among them, and those with cells, at all sites."""
    sites = replicate.sites.values()
    founded = sum(len(site.founders()[0]) + len(site.lineage.births) for site in sites)
    return {"founded": founded, "present": sum(np.unique(site.clones()[site.clones() > 0]).size for site in sites)}


def _written(means: Mapping[str, float]) -> list[float | str]:
    """Means of traits in the table of counts: blank where no cell has the trait."""
    return ["" if math.isnan(value) else value for value in means.values()]


def _snapshots(model: Model) -> int:
    """Number of snapshots of a complete run: at the first row of each period, and at the end."""
    rows, every = model.rules_every, model.record_every
    last = model.until // rows
    period = last * rows // every
    latest = -(-period * every // rows) * rows if rows <= every else last * rows
    return (period if rows <= every else last) + 1 + (latest != model.until)


def require_unfinished(folder: Path) -> None:
    """Raise `ResultError` if there is no run to resume."""
    if not (folder / layout.SCENARIO).is_file():
        raise ResultError(f"{folder}: no run to resume (no {layout.SCENARIO} in it)")
    if (folder / layout.SUMMARY).is_file():
        raise ResultError(f"{folder}: this run has finished; there is nothing to resume")


_TABLES = (layout.COUNTS, layout.BIRTHS, layout.CELLS_OF_CLONES, layout.TRACKS)
_OF_THE_END = (layout.SUMMARY, *_TABLES)
_OURS = {layout.SUMMARY, layout.SUMS, layout.PICTURE, *_TABLES, layout.SCENARIO, PROVENANCE, layout.CHECKPOINTS}
"""Files that may remain of a result besides its snapshots."""


def _make_room(folder: Path, overwrite: bool) -> None:
    """Delete an earlier result from a folder. Raises `ResultError` if there are other files."""
    found = {path.name for path in folder.iterdir()} - {layout.LOCK}
    whole = {name for name in found if not name.startswith(layout.UNREADY)}
    if whole and not overwrite and not _begun_only(folder, whole):
        unfinished = layout.SCENARIO in whole and layout.SUMMARY not in whole
        hint = f", or continue the run (--resume {quote(str(folder))})" if unfinished else ""
        raise ResultError(f"{folder}: is not empty; give another folder with -o, or --overwrite{hint}")
    if whole and layout.SNAPSHOTS not in whole and not (PROVENANCE in whole and whole <= _OURS):
        raise ResultError(f"{folder}: contains other files than a result of gpusim; not overwritten")
    # A partly deleted result does not look finished or damaged: without the store, it is none. Provenance comes last,
    # as what is left is recognised by it.
    (folder / layout.SUMMARY).unlink(missing_ok=True)
    if (folder / layout.SNAPSHOTS).exists():
        (folder / layout.SNAPSHOTS).rename(Path(tempfile.mkdtemp(prefix=layout.UNREADY, dir=folder)) / "old")
    shutil.rmtree(folder / layout.CHECKPOINTS, ignore_errors=True)
    for name in (layout.PICTURE, *_TABLES, layout.SUMS, layout.SCENARIO, PROVENANCE):
        (folder / name).unlink(missing_ok=True)
    remove_unready(folder)


def _begun_only(folder: Path, found: set[str]) -> bool:
    """Whether a run was stopped before its first snapshot, so that nothing is lost."""
    if not found <= {layout.SNAPSHOTS, PROVENANCE}:
        return False
    try:
        return not len(store.times(zarr.open_group(str(folder / layout.SNAPSHOTS), mode="r")))
    except Exception:  # a damaged store is left for inspection
        return False
