"""`gpusim verify`."""

import math
import time
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from gpusim.cli.app import app, err, new_table, out
from gpusim.cli.progress import Log, LogOption, progress

if TYPE_CHECKING:
    from gpusim.verification import Finding


@app.command("verify")
def print_verification(
    backend: Annotated[str, typer.Option(help="auto, cuda, cpu or numpy.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the cpu backend.", show_default="all cores")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Run only the cases that take about a second.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Run all cases, with more models compared with NumPy.")] = False,
    log: LogOption = Log.text,
) -> None:
    """Test this machine: problems with known solutions, and the bits of every kernel against the NumPy reference.

    The test takes about a minute with compiled kernels, and several minutes with NumPy. The last line states whether
    this machine reproduces the bits of the reference. The exit code is 1 if a case fails.
    """
    from gpusim.backends import availability, create
    from gpusim.verification import Extent, Machine, chosen, verify  # brings statistics, slow to load

    if quick and full:
        raise typer.BadParameter("--quick and --full: expected one of them")
    extent = Extent.QUICK if quick else Extent.FULL if full else Extent.USUAL
    found = create(backend, threads)
    machine = Machine(found.name, threads)
    found.close()
    begun = time.perf_counter()
    table = new_table("case", "number", "expected", "found", "error", "allowed", "order", "verdict")
    cases, failed = 0, []
    total = len(chosen(machine, extent))
    of_kernels: list[bool] = []
    with progress("verify", total, "cases", log) as tell:
        for case, findings in verify(machine, extent):
            cases += 1
            if case.of_kernels:
                of_kernels += [finding.good for finding in findings]
            tell(cases, partial(dict, case=case.name))
            for i, finding in enumerate(findings):
                table.add_row(case.name if i == 0 else "", *_row(finding))
            if not all(finding.good for finding in findings):
                failed.append(case.name)
    out.print(table)
    seconds = time.perf_counter() - begun
    if failed:
        names = ", ".join(failed)
        err.print(f"gpusim: {len(failed)} of {cases} cases fail on {machine.backend}: {names}", markup=False)
    else:
        out.print(f"all {cases} cases hold on {machine.backend} ({seconds:.0f} s)")
    if of_kernels:
        verdict = "gives the bits of the reference" if all(of_kernels) else "does NOT give the bits of the reference"
        out.print(f"{machine.backend}, {availability(machine.backend).reason}: {verdict}", markup=False)
    if failed:
        raise typer.Exit(1)


def _row(finding: "Finding") -> tuple[str, ...]:
    low, high = finding.low - finding.expected, finding.high - finding.expected
    allowed = f"{high:.2g}" if math.isclose(low, -high, rel_tol=1e-6) else f"{low:.2g} to {high:.2g}"
    order = "" if finding.order is None else f"{finding.order:.2f} ({finding.theory})"
    return (
        finding.what,
        f"{finding.expected:.6g}",
        f"{finding.found:.6g}",
        f"{finding.error:.2g}",
        allowed,
        order,
        "good" if finding.good else "FAILS",
    )
