"""The page on the shipped trials, from what they left: docs/trials.md and its pictures.

    python docs/trials.py RESULTS

RESULTS holds a folder for each trial, by name, as `gpusim run NAME -o RESULTS/NAME` leaves it.
"""

import sys
from pathlib import Path

import matplotlib as mpl

import gpusim
from gpusim.scenario import presets
from gpusim.trial import Trial, verdicts
from gpusim.trial.running import TABLE
from gpusim.viz import plots

HERE = Path(__file__).parent
ORDER = (
    "turning-hot",
    "abscopal",
    "combination",
    "checkpoint",
    "paradox",
    "delivery",
    "chemo-versus-virus",
    "memory",
    "spread",
    "armed",
    "safety",
    "natural",
    "stroma",
    "lysis",
)


def main(results: Path) -> None:
    """Write the page."""
    mpl.use("Agg")
    assert set(ORDER) == {name for name in presets() if gpusim.Scenario.load(name).arms}
    page = (HERE / "trials.md").read_text(encoding="utf-8")
    head = page[: page.index("\n## ")].rstrip()
    sections = [section(name, results / name) for name in ORDER]
    (HERE / "trials.md").write_text("\n".join([head, *sections]) + "\n", encoding="utf-8")


def section(name: str, folder: Path) -> str:
    """What came out of one trial."""
    description = gpusim.Scenario.load(name).document.description
    title = f"\n## {name}\n\n{description[0].upper()}{description[1:]}.\n"
    if not (folder / TABLE).is_file():
        return f"{title}\nNot run with eight seeds on this version: its orders are expected, not shown."
    trial = Trial.open(folder)
    picture = HERE / "images" / "trials" / f"{name}.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    plots.arms(trial).savefig(picture, dpi=90)
    lines = [
        f"| median (lowest to highest) | {' | '.join(trial.outcomes)} |",
        "| --- " * (len(trial.outcomes) + 1) + "|",
        *(f"| {arm} | {' | '.join(spreads)} |" for arm, spreads in trial.spreads()),
    ]
    found = [f"- {str(verdict).replace('<', '&lt;')}" for verdict in verdicts(trial)]
    shown = f"![the arms of {name}, a dot for each seed](images/trials/{name}.png)"
    return "\n".join([title, shown, "", *lines, "", *found])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
