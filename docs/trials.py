"""The pages on the shipped trials: docs/trials/NAME.md, its picture, and the table in trials.md.

    python docs/trials.py

They show the tables that `python tests/validation/trials.py --update` keeps.
"""

import sys
from pathlib import Path

import matplotlib as mpl

import gpusim
from gpusim.scenario import presets
from gpusim.study.trial import Trial
from gpusim.study.verdict import Verdict, verdicts
from gpusim.viz import plots

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))
from validation.trials import kept  # noqa: E402

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


def main() -> None:
    """Write the pages."""
    mpl.use("Agg")
    assert set(ORDER) == {name for name in presets() if gpusim.Scenario.load(name).arms}
    (HERE / "trials").mkdir(exist_ok=True)
    rows = []
    for name in ORDER:
        trial = kept(name)
        found = verdicts(trial)
        plots.arms(trial).savefig(HERE / "images" / "trials" / f"{name}.png", dpi=90)
        (HERE / "trials" / f"{name}.md").write_text(page(name, trial, found), encoding="utf-8")
        held = f"{sum(verdict.held for verdict in found)} of {len(found)}"
        if any(verdict.suspended for verdict in found):
            held += f", {sum(verdict.suspended is not None for verdict in found)} suspended"
        rows.append(f"| [{name}](trials/{name}.md) | {described(name)} | {held} |")
    index = (HERE / "trials.md").read_text(encoding="utf-8")
    head = index[: index.index("\n| trial |")].rstrip()
    table = ["", "| trial | what | orders that held |", "| --- | --- | --- |", *rows]
    (HERE / "trials.md").write_text("\n".join([head, *table]) + "\n", encoding="utf-8")


def described(name: str) -> str:
    """What a trial is about, as a sentence."""
    description = gpusim.Scenario.load(name).document.description
    return f"{description[0].upper()}{description[1:]}."


def page(name: str, trial: Trial, found: list[Verdict]) -> str:
    """What came out of a trial, and its scenario."""
    lines = [
        f"# {name}\n\n{described(name)} `gpusim run {name}` carries it out.\n",
        f"![the arms of {name}, a dot for each seed](../images/trials/{name}.png)\n",
        f"| median (lowest to highest) | {' | '.join(trial.outcomes)} |",
        "| --- " * (len(trial.outcomes) + 1) + "|",
        *(f"| {arm} | {' | '.join(spreads)} |" for arm, spreads in trial.spreads()),
        "",
        *(f"- {str(verdict).replace('<', '&lt;')}" for verdict in found),
        f"\n## The scenario\n\n```yaml\n{source(name).rstrip()}\n```\n",
    ]
    return "\n".join(lines)


def source(name: str) -> str:
    """A trial as it is shipped."""
    return (HERE.parent / "gpusim" / "presets" / f"{name}.yaml").read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
