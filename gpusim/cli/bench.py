"""`gpusim bench`."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpusim.cli.app import app, err, new_table, out
from gpusim.errors import BackendError

if TYPE_CHECKING:
    from gpusim.bench import Cost, Machine, Timing


class Predicted(enum.StrEnum):
    """Machines whose limits are taken from the data sheet."""

    h100 = "h100"


@app.command("bench")
def bench(
    backend: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the cpu backend.", show_default="all cores")
    ] = None,
    voxels: Annotated[int, typer.Option(min=16, help="Voxels along an edge of the lattice.")] = 256,
    fields: Annotated[int, typer.Option(min=2, help="Fields of the lattice.")] = 2,
    predict: Annotated[
        Predicted | None,
        typer.Option(help="Print lower bounds and registers for this type of GPU."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Compare the time of each kernel with the measured limits of the machine: memory bandwidth and arithmetic rate.

    Bytes and operations are the minimum per voxel (and field). A ratio of 1 is the limit of the machine. The default
    lattice does not fit into any cache; it takes 0.5 GB and less than a minute.
    """
    from gpusim.backends import create
    from gpusim.backends.compiled import CompiledBackend
    from gpusim.bench import COSTS, H100, measured, time_kernels

    lattice = {"voxels an edge": voxels, "fields": fields}
    if predict is not None:
        _show(_predicted(voxels, fields), H100, lattice, as_json)
        return
    found = create(backend, threads)
    try:
        if not isinstance(found, CompiledBackend):
            raise BackendError(f"backend '{found.name}' has no kernels to time; expected cpu or cuda")
        with err.status("bandwidth and arithmetic") as status:
            machine = measured(found, voxels, fields)
            rows = []
            for timing in time_kernels(found, voxels, fields):
                rows.append(_timed(timing, machine))
                status.update(f"{len(rows)} of {len(COSTS)} kernels and cases")
        _show(rows, machine, lattice | {"threads": found.threads}, as_json)
    finally:
        found.close()


def _counted(cost: Cost, machine: Machine, voxels: int) -> dict[str, Any]:
    return {
        "kernel": cost.kernel,
        "case": cost.case,
        "bytes": cost.bytes,
        "operations": cost.operations,
        "voxels": voxels,
        "limit": machine.limit(cost),
        "best_ms": 1e3 * machine.seconds(cost, voxels),
    }


def _timed(timing: Timing, machine: Machine) -> dict[str, Any]:
    row = _counted(timing.cost, machine, timing.voxels)
    return row | {
        "measured_ms": 1e3 * timing.seconds,
        "ratio": timing.seconds / machine.seconds(timing.cost, timing.voxels),
    }


def _predicted(voxels: int, fields: int) -> list[dict[str, Any]]:
    from gpusim.bench import COSTS, H100
    from gpusim.bench.resources import resources

    compiled = resources("sm_90")
    rows = []
    for cost in COSTS:
        found = compiled[cost.kernel]
        row = _counted(cost, H100, cost.voxels(voxels, fields))
        occupancy = found.occupancy(cost.threads(voxels))
        rows.append(row | {"registers": found.registers, "spilled": found.spilled, "occupancy": occupancy})
    return rows


_COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "kernel": ("kernel", str),
    "case": ("case", str),
    "bytes": ("bytes", "{:g}".format),
    "operations": ("operations", "{:.0f}".format),
    "voxels": ("voxels, million", lambda n: f"{n / 1e6:.2f}"),
    "limit": ("limit", str),
    "best_ms": ("lower bound, ms", "{:.3g}".format),
    "measured_ms": ("measured, ms", "{:.3g}".format),
    "ratio": ("measured / bound", "{:.2f}".format),
    "registers": ("registers", str),
    "spilled": ("spilled, bytes", str),
    "occupancy": ("occupancy", "{:.0%}".format),
}


def _show(rows: list[dict[str, Any]], machine: Machine, about: dict[str, Any], as_json: bool) -> None:
    """Print a line on the machine and a table, or both as JSON."""
    if as_json:
        facts = {"name": machine.name, "bandwidth": machine.bandwidth, "arithmetic": machine.arithmetic}
        typer.echo(json.dumps({"machine": facts | about, "kernels": rows}, indent=2))
        return
    said = ", ".join(f"{number} {name}" for name, number in about.items())
    out.print(
        f"{machine.name}: {machine.bandwidth / 1e9:.4g} GB/s read and written, "
        f"{machine.arithmetic / 1e9:.4g} billion operations/s; {said}"
    )
    table = new_table(*(_COLUMNS[key][0] for key in rows[0]))
    for row in rows:
        table.add_row(*(_COLUMNS[key][1](value) for key, value in row.items()))
    out.print(table)
