"""`gpusim edit`: the model builder in the browser."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpusim.cli.app import app, err, out
from gpusim.cli.check import examined
from gpusim.errors import ResultError, ScenarioError
from gpusim.viz import require

if TYPE_CHECKING:
    from gpusim.scenario import Scenario

_NEW = "scenario.yaml"


@app.command()
def edit(
    scenario: Annotated[
        str,
        typer.Argument(
            metavar="[SCENARIO.yaml]", help="An existing or new YAML file, or a shipped scenario to extend."
        ),
    ] = _NEW,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the server; 0: any free port.")] = 0,
    host: Annotated[
        str, typer.Option(help="Address of the server; if not 127.0.0.1, other machines can reach it.")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Build a model in the browser: forms, the checks of 'gpusim check', a graph of the rules, and a small run.

    Changes are made in the text of the file, whose comments are kept. Nothing is written before 'Save'. If the name of
    a shipped scenario is given, 'Save' writes a file of this name to the current folder, which extends the scenario.
    Ctrl-C stops the server. Access requires the printed address, which contains a secret.
    """
    require("aiohttp")
    from gpusim.editor.draft import Draft
    from gpusim.editor.server import serve
    from gpusim.viz.access import Access

    file, text = _begun(scenario)
    access = Access(host, "gpusim edit")
    if not access.local:
        err.print(
            f"gpusim: note: served at {host} to other machines, without encryption: anyone who has the address can "
            f"change and save {file}"
        )
    try:
        serve(Draft(file, text, _findings), access, port, browser, lambda at: out.print(f"{at}  (Ctrl-C to stop)"))
    except OSError as error:
        raise ResultError(f"edit: cannot serve at {host}, port {port}: {error.strerror or error}") from None


def _begun(scenario: str) -> tuple[Path, str]:
    """The file to save to, and its text at the start."""
    from gpusim.scenario import library, presets
    from gpusim.scenario.reading import read_file

    path = Path(scenario).expanduser()
    if path.suffix in (".yaml", ".yml"):
        if path.exists():
            read_file(path)
            return path, path.read_text(encoding="utf-8")
        if not path.absolute().parent.is_dir():
            raise ScenarioError(f"{scenario}: no such folder")
        return path, f"name: {path.stem}\n" if path.stem != "scenario" else ""
    if scenario not in presets() and not any(scenario in parts for parts in library().values()):
        raise ScenarioError(f"{scenario}: expected a name that ends in .yaml, or a shipped scenario")
    own = Path(f"{scenario}.yaml")
    if own.exists():
        raise ScenarioError(f"{own}: exists; to edit it: gpusim edit {quote(str(own))}")
    return own, f"extends: {scenario}\n"


def _findings(scenario: Scenario) -> dict[str, Any]:
    """What `gpusim check` finds, for the page."""
    found = examined(scenario)
    model = found.model
    lattice = " x ".join(map(str, reversed(model.shape)))
    facts = (
        f"{lattice} voxels of {model.spacing:g} um; time step {model.step:g} min, rule step "
        f"{model.step * model.rules_every:g} min"
    )
    return {"facts": facts, "notes": list(dict.fromkeys(found.notes))}
