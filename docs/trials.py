"""The pages on the shipped trials: docs/trials/NAME.md, its picture, and the table in trials.md.

    python docs/trials.py

They show the tables that `python tests/validation/trials.py --update` keeps.
"""

import sys
from pathlib import Path

import matplotlib as mpl

import gpusim
from gpusim.scenario import presets
from gpusim.study.robustness import ALL, HEAD
from gpusim.study.trial import Trial
from gpusim.study.verdict import Verdict, verdicts
from gpusim.viz import plots

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))
from validation.trials import kept, robust, up_to_date  # noqa: E402

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
    "pressure",
    "needle",
    "shutdown",
    "angiogenesis",
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
        rows.append(f"| [{name}](trials/{name}.md) | {described(name)} | {held} | {judged(name)} |")
    index = (HERE / "trials.md").read_text(encoding="utf-8")
    head = index[: index.index("\n| trial |")].rstrip()
    table = ["", "| trial | subject | orders that held | over plausible numbers |", "| --- | --- | --- | --- |", *rows]
    (HERE / "trials.md").write_text("\n".join([head, *table]) + "\n", encoding="utf-8")


def described(name: str) -> str:
    """What a trial is about, as a sentence."""
    description = gpusim.Scenario.load(name).document.description
    return f"{description[0].upper()}{description[1:]}."


def judged(name: str) -> str:
    """How many orders of a trial are robust, fragile and so on."""
    found = robust(name)
    if found is None:
        return "not run"
    orders = found.orders()
    kinds = orders["judgement"][orders["sets"] == ALL].value_counts(sort=False)
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return told if up_to_date(name) else f"{told} (earlier version)"


def robustness(name: str) -> list[str]:
    """The section on the robustness of a trial; empty if no sets of it are kept."""
    found = robust(name)
    if found is None:
        return []
    scenario = found.scenario.document.trial
    assert scenario is not None, "has arms"
    conditions = scenario.vary.filter if scenario.vary else {}
    filters = "; ".join(f"{of} {limits} in {arm}" for arm, where in conditions.items() for of, limits in where.items())
    sets = f"{found.drawn.shape[1]} numbers vary over {len(found.drawn)} [sets](../studies.md#robustness-of-a-trial)"
    filtered = f"; the filtered sets are those with {filters}" if filters else ""
    earlier = "" if up_to_date(name) else " The sets are those of an earlier version of the scenario."
    return [
        f"\n## Robustness\n\n{sets}{filtered}.{earlier}\n",
        f"| {' | '.join(HEAD)} |",
        "| --- " * len(HEAD) + "|",
        *(f"| {' | '.join(row)} |".replace("<", "&lt;") for row in found.rows()),
        "",
        *(f"- {remark}".replace("<", "&lt;") for remark in found.remarks()),
    ]


def page(name: str, trial: Trial, found: list[Verdict]) -> str:
    """What came out of a trial, and its scenario."""
    lines = [
        f"# {name}\n\n{described(name)} `gpusim run {name}` runs the trial.\n",
        f"![outcomes of the arms of {name}, with a dot for each seed](../images/trials/{name}.png)\n",
        f"| median (lowest to highest) | {' | '.join(trial.outcomes)} |",
        "| --- " * (len(trial.outcomes) + 1) + "|",
        *(f"| {arm} | {' | '.join(spreads)} |" for arm, spreads in trial.spreads()),
        "",
        *(f"- {str(verdict).replace('<', '&lt;')}" for verdict in found),
        *robustness(name),
        f"\n## The scenario\n\n```yaml\n{source(name).rstrip()}\n```\n",
    ]
    return "\n".join(lines)


def source(name: str) -> str:
    """A trial as it is shipped."""
    return (HERE.parent / "gpusim" / "presets" / f"{name}.yaml").read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
