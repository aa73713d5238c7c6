"""Digests of the shipped scenarios after their first steps.

python tests/regression/digests.py            # what differs from the file
python tests/regression/digests.py --update   # ... and write it; name the change in CHANGELOG.md
"""

import json
import sys
import tempfile
from pathlib import Path

import gpusim
from gpusim.backends import availability
from gpusim.scenario import presets

FILE = Path(__file__).with_name("digests.json")
APPLICATIONS = 24
"""Of the rules, in a run."""
CORE = "x_um,y_um,region,CD3,CD8,FOXP3\n" + "".join(
    f"{10 * (i % 30) + i % 7},{10 * (i // 30) + i % 5},"
    f"{'tumor' if i % 3 else 'stroma'},{i % 2},{i % 4 // 3},{i % 11 // 10}\n"
    for i in range(900)
)
"""A table for the scenarios that need the user's own."""


def found(name: str) -> str:
    """Digest of one scenario."""
    with tempfile.TemporaryDirectory() as folder:
        overrides = {}
        if gpusim.Scenario.load(name).document.tissue.cells is not None:
            overrides["tissue.cells"] = str(Path(folder) / "core.csv")
            (Path(folder) / "core.csv").write_text(CORE)
        scenario = gpusim.Scenario.load(name, overrides)
        with gpusim.Simulation(scenario, "cpu" if availability("cpu").available else "numpy") as simulation:
            simulation.step(APPLICATIONS * simulation.model.rules_every)
            return simulation.digest()


def stored() -> dict[str, str]:
    """Digests as they were."""
    digests: dict[str, str] = json.loads(FILE.read_text()) if FILE.exists() else {}
    return digests


def main() -> None:
    """Show what changed, and write it where asked to."""
    before, now = stored(), {name: found(name) for name in presets()}
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            print(f"{name}: {before.get(name, 'not there')[:16]} -> {now.get(name, 'gone')[:16]}")
    if before == now:
        print("nothing has changed")
    elif sys.argv[1:] == ["--update"]:
        FILE.write_text(json.dumps(now, indent=1) + "\n")
        print(f"written to {FILE.name}; name the change, and why, in CHANGELOG.md")
    else:
        sys.exit(1)


if __name__ == "__main__":
    main()
