"""`gpusim info`, `gpusim presets`."""

import warnings
from shlex import quote
from typing import Annotated

import typer

from gpusim.cli.app import app, new_table, out


@app.command("presets")
def list_presets(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Print the numbers of this scenario or part of the library, with their sources.",
            show_default=False,
        ),
    ] = None,
    references: Annotated[bool, typer.Option("--references", help="Print the references with their keys.")] = False,
) -> None:
    """List the shipped scenarios and the library from which they are built, or the sources of the numbers of one."""
    from gpusim.scenario import Scenario, about, library, presets

    if references:
        if name is not None:
            raise typer.BadParameter(
                f"{name}: --references prints those of all shipped files; 'gpusim presets {quote(name)}' its own"
            )
        _print_references()
        return
    if name is not None:
        _print_part(name)
        return
    table = new_table("scenario", "description")
    for scenario, path in presets().items():
        table.add_row(scenario, Scenario.load(path).document.description)
    out.print(table)
    for kind, parts in library().items():
        table = new_table(f"{kind} (for 'extends')", "description")
        for part, path in parts.items():
            table.add_row(part, about(path))
        out.print(table)


def _print_part(name: str) -> None:
    from gpusim.scenario import Scenario, about, library, numbers, part, references
    from gpusim.scenario.parts import contents
    from gpusim.scenario.reading import read_file

    found = part(name)
    if found is None:
        loaded = Scenario.load(name)
        found = loaded.numbers
        out.print(f"{loaded.document.name}: {loaded.document.description}", markup=False)
    else:
        ((kind, path),) = ((kind, parts[name]) for kind, parts in library().items() if name in parts)
        out.print(f"{name} ({kind}): {about(path)}", markup=False)
        out.print(f"use      extends: [..., {name}]", markup=False)
        defined, removed = contents(read_file(path).data)
        for key, listed in (defined | ({"removes": removed} if removed else {})).items():
            out.print(f"{key:8} {', '.join(listed)}", markup=False)
    table = new_table("number", "value", "kind", "range", "reference", "note")
    for number in found:
        source = number.source
        if source is None:
            table.add_row(number.path, str(number.value), "-", "", "", "without a source")
            continue
        note = f"equals {number.equals}" if number.equals else source.note or ""
        table.add_row(
            number.path,
            str(number.value),
            source.kind,
            source.range,
            "" if number.equals else ", ".join(source.reference),
            note,
        )
    out.print(table)
    out.print(f"{len(found)} numbers: {numbers.in_words(numbers.counts(found))}")
    for key, supported in numbers.by_reference(found).items():
        out.print(f"[{key}] {references.cited(key)}\n  {', '.join(number.path for number in supported)}")


def _print_references() -> None:
    from gpusim.scenario import references

    for key in references.known():
        out.print(f"[{key}] {references.cited(key)}")


@app.command()
def info() -> None:
    """Print versions, and the backends that are available on this machine."""
    from gpusim.backends import NAMES, availability, create
    from gpusim.record import versions

    table = new_table("package", "version")
    for package, found in versions().items():
        table.add_row(package, found)
    out.print(table)
    backends = new_table("backend", "available", "reason")
    for name in NAMES:
        found_backend = availability(name)
        backends.add_row(name, "yes" if found_backend.available else "no", found_backend.reason)
    out.print(backends)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chosen = create("auto")
    threads = f", {chosen.threads} threads" if chosen.threads > 1 else ""
    chosen.close()
    out.print(f"auto selects {chosen.name}{threads}")
