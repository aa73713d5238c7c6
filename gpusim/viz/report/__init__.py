"""One page on results, trials, studies and tables of real cells, with nothing to load from elsewhere."""

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gpusim.analysis import tumour_cells_label
from gpusim.errors import ResultError
from gpusim.record import Result, results_in
from gpusim.scenario import Document
from gpusim.study.answer import Answer
from gpusim.study.folder import SETS, TABLE, is_study
from gpusim.study.robustness import Robustness
from gpusim.study.trial import Trial
from gpusim.study.verdict import alike, verdicts
from gpusim.viz.report import courses, methods, runs, space, studies
from gpusim.viz.report.page import PAGE

__all__ = ["Given", "save_report"]


@dataclass
class Given:
    """What a report is on.

    Attributes:
        runs: results by label: replicates of one arm, or a single result.
        changes: values that the arms of trials change, by dotted path, by the label in `runs`.
        trials, sets, studies: those among the folders. tables: tables of cells.
    """

    runs: dict[str, list[Result]] = field(default_factory=dict)
    changes: dict[str, dict[str, object]] = field(default_factory=dict)
    trials: dict[str, Trial] = field(default_factory=dict)
    sets: list[Robustness] = field(default_factory=list)
    studies: list[Answer] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)

    @classmethod
    def of(cls, sources: Iterable[Path], tables: Iterable[Path] = ()) -> "Given":
        """What some folders contain. Raises `ResultError` where there is nothing to report on."""
        found, folders = cls(tables=list(tables)), list(sources)
        several = sum(not is_study(folder) for folder in folders) > 1
        for folder in folders:
            if is_study(folder):
                if (folder / SETS).is_file():
                    found.sets.append(Robustness.open(folder))
                else:
                    found.studies.append(Answer.open(folder))
            elif (folder / TABLE).is_file():
                trial = Trial.open(folder)
                found.trials[folder.name] = trial
                arms = trial.scenario.document.trial.arms if trial.scenario.document.trial else {}
                for arm, rows in trial.table.groupby("arm", sort=False):
                    label = f"{folder.name}: {arm}" if several else str(arm)
                    found.runs[label] = [Result(folder / str(arm) / str(seed)) for seed in rows["seed"]]
                    found.changes[label] = arms.get(str(arm), {})
            else:
                found.runs[folder.name if folder.name not in found.runs else str(folder)] = [
                    Result(each) for each in results_in(folder) or [folder]
                ]
        if not (found.runs or found.studies):
            raise ResultError("compare: expected one result of 'gpusim run' or 'gpusim sweep' or more")
        return found

    def described(self) -> dict[str, list[str]]:
        """Names of the scenarios and studies, with their descriptions: one, as long as the name has but one."""
        documents = [
            *(trial.scenario.document for trial in self.trials.values()),
            *(robustness.scenario.document for robustness in self.sets),
            *(result.scenario.document for results in self.runs.values() for result in results),
        ]
        found: dict[str, list[str]] = {}
        for document in documents:
            found.setdefault(document.name, []).append(document.description)
        found |= {study.document.name: [] for study in self.studies if study.document.name not in found}
        return {name: [each for each in dict.fromkeys(texts) if each] for name, texts in found.items()}


def save_report(
    sources: Sequence[Path],
    target: Path,
    *,
    pictures: bool = True,
    tables: Sequence[Path] = (),
    types: Callable[[Path], Document] | None = None,
    dose: str | None = None,
) -> None:
    """Write the page.

    Args:
        sources: folders of results, trials, studies and robustness. pictures: whether to draw the tissue.
        tables: tables of real cells; types: the scenario that gives the cells of a table their states.
        dose: parameter of the studies over which Hill curves are fitted.

    Raises `ResultError`, `ScenarioError`.
    """
    given = Given.of(sources, tables)
    if dose is not None and not given.studies:
        raise ResultError("dose: applies only to a study that sweeps it")
    parts = [part for study in given.studies for part in studies.parts(study, dose)]
    if given.runs:
        parts += _of_runs(given, types, pictures=pictures)
    title = ", ".join([*given.described(), *(path.name for path in tables)])
    body = "\n".join(part for part in [_descriptions(given), *parts] if part)
    target.write_text(PAGE.format(title=html.escape(title), body=body), encoding="utf-8")


def _descriptions(given: Given) -> str:
    """What the scenarios say of themselves; a study says it in its own part."""
    described = given.described()
    told = [(name, text) for name, texts in described.items() for text in texts]
    return "".join(f"<p>{html.escape(f'{name}: {text}' if len(described) > 1 else text)}</p>" for name, text in told)


def _of_runs(given: Given, types: Callable[[Path], Document] | None, *, pictures: bool) -> list[str]:
    compared = given.runs
    documents = (result.scenario.document for results in compared.values() for result in results)
    cells = " or ".join(dict.fromkeys(map(tumour_cells_label, documents)))
    parts = [
        runs.verdicts(
            [verdict for trial in given.trials.values() for verdict in verdicts(trial)],
            [remark for trial in given.trials.values() for remark in alike(trial)],
        ),
        *map(runs.robustness, given.sets),
        *(runs.outcomes(name, trial) for name, trial in given.trials.items()),
        runs.tumour_cells_over_time(compared, cells),
        *runs.lesions(compared),
        courses.part(compared),
        space.part(compared, given.tables, types),
        *runs.traits(compared),
        runs.firings(compared),
        "<h2>At the end</h2>" + runs.at_the_end(compared),
    ]
    if pictures:
        parts.append("<h2>Pictures</h2>" + runs.pictures(compared))
    return [*parts, methods.part(compared, given.changes), "<h2>Sources of the numbers</h2>" + runs.sources(compared)]
