"""`gpusim info`, `gpusim presets`."""

import warnings

from gpusim.cli.app import app, new_table, out


@app.command("presets")
def list_presets() -> None:
    """List the shipped scenarios and the library from which they are built."""
    from gpusim.scenario import Scenario, about, library, presets

    table = new_table("scenario", "description")
    for name, path in presets().items():
        table.add_row(name, Scenario.load(path).document.description)
    out.print(table)
    for kind, parts in library().items():
        table = new_table(f"{kind} (for 'extends')", "description")
        for name, path in parts.items():
            table.add_row(name, about(path))
        out.print(table)


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
