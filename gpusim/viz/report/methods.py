"""A paragraph for the methods of a paper, written out from the results."""

import html
import json
from collections.abc import Callable, Mapping, Sequence

from gpusim.analysis import quantity_label
from gpusim.record import Result
from gpusim.scenario import Document, numbers, wording
from gpusim.units import duration, number


def part(compared: Mapping[str, Sequence[Result]], changes: Mapping[str, Mapping[str, object]] | None = None) -> str:
    """The paragraph, for copying, and a table of digests; `changes` as in `paragraph`."""
    rows = "\n".join(
        f"{label}\tseed {result.scenario.document.seed}\t{_digest(result)}"
        for label, results in compared.items()
        for result in results
    )
    return (
        f"<h2>Methods</h2><p class=copy>{html.escape(paragraph(compared, changes))}</p>"
        f"<details><summary>Digests</summary><pre>{html.escape(rows)}</pre></details>"
    )


def paragraph(
    compared: Mapping[str, Sequence[Result]], changes: Mapping[str, Mapping[str, object]] | None = None
) -> str:
    """Model, lattice of each site, numbers, therapies, arms, seeds, program and digest, in sentences.

    Args:
        changes: values that arms of trials change, by dotted path, for each label of `compared` that is an arm.
    """
    return " ".join(_sentences(compared, changes or {}))


def _sentences(compared: Mapping[str, Sequence[Result]], changes: Mapping[str, Mapping[str, object]]) -> list[str]:
    results = [result for each in compared.values() for result in each]
    first = results[0]
    document = first.scenario.document
    names = list(dict.fromkeys(result.scenario.document.name for result in results))
    summaries = [result.summary or {} for result in results]
    versions = list(dict.fromkeys(_version(summary) for summary in summaries))
    backends = list(dict.fromkeys(str(summary["backend"]) for summary in summaries if "backend" in summary))
    sites = [Result(first.folder, site) for site in first.sites]
    kinds = numbers.in_words(numbers.counts(first.scenario.numbers))
    ends = list(dict.fromkeys(duration(float(result.times[-1])) for result in results))
    found = [
        f"Tumour, virus and immune cells were simulated with gpusim {_listed(versions)}"
        + (f" ({_listed(backends)} backend)" if backends else "")
        + f", with the scenario{'s' if len(names) > 1 else ''} {_listed(names)}, for {_listed(ends)} on "
        f"{_lattices(sites)}.",
        f"The model has {len(document.states)} cell states, {len(document.fields)} fields (reaction-diffusion "
        f"equations) and {len(document.rules)} stochastic rules; its numbers are {kinds}.",
        *_at_the_start(compared),
        *_therapies(compared),
    ]
    if len(compared) > 1:
        seeds = {name: tuple(sorted(r.scenario.document.seed for r in each)) for name, each in compared.items()}
        shared = len(set(seeds.values())) == 1
        found.append(
            f"The {len(compared)} arms ({_listed(list(compared))}) were run "
            + (f"with the same {_seeds(next(iter(seeds.values())))}." if shared else "with different seeds.")
        )
        if changes:
            found.append("The arms change the scenario: " + "; ".join(map(_changed, changes, changes.values())) + ".")
    else:
        found.append(f"It was run with {_seeds(tuple(sorted(r.scenario.document.seed for r in results)))}.")
    found.append(
        "A scenario and a seed determine the trajectory bit for bit; the digest of the last state of the first run "
        f"(seed {document.seed}) is {_digest(first)}."
    )
    return found


def _lattices(sites: Sequence[Result]) -> str:
    """The lattice of each site."""
    found: dict[str, list[str]] = {}
    for site in sites:
        shape = " x ".join(map(str, reversed(site.array("tissue", 0).shape)))
        found.setdefault(f"{shape} voxels of {site.spacing:g} um", []).append(site.site)
    if len(found) > 1:
        return "lattices of " + _listed([f"{lattice} ({_listed(names)})" for lattice, names in found.items()])
    ((lattice, names),) = found.items()
    return f"a lattice of {lattice}" + (f" at each of {len(names)} sites ({_listed(names)})" if len(names) > 1 else "")


def _therapies(compared: Mapping[str, Sequence[Result]]) -> list[str]:
    """Dose, route and times of each therapy; those that differ between what is compared, apart."""
    ways = _ways(
        compared,
        lambda document: [
            f"{name} ({wording.gives(therapy)}; {wording.route(therapy)}; {wording.schedule(therapy)})"
            for name, therapy in document.therapies.items()
        ],
    )
    if len(ways) == 1:
        return [f"Therapies: {told}." if told else "There was no therapy." for told in ways]
    return [f"Therapies in {_listed(labels)}: {told or 'none'}." for told, labels in ways.items()]


def _at_the_start(compared: Mapping[str, Sequence[Result]]) -> list[str]:
    """Quantities of the body that are not 0 at first, such as antibodies of an immune host."""
    ways = _ways(
        compared,
        lambda document: [
            f"{quantity_label(document, name)} {number(quantity.initial, quantity.unit):.4g} {quantity.unit}"
            for name, quantity in document.body.quantities.items()
            if number(quantity.initial, quantity.unit)
        ],
    )
    if len(ways) == 1:
        return [f"Initial quantities of the body: {told}." for told in ways if told]
    return [f"Initial quantities of the body in {_listed(labels)}: {told or 'none'}." for told, labels in ways.items()]


def _ways(compared: Mapping[str, Sequence[Result]], of: Callable[[Document], Sequence[str]]) -> dict[str, list[str]]:
    """Labels of what is compared, by what is said of their scenarios."""
    ways: dict[str, list[str]] = {}
    for label, results in compared.items():
        ways.setdefault(_listed(of(results[0].scenario.document)), []).append(label)
    return ways


def _changed(arm: str, values: Mapping[str, object]) -> str:
    """Such as "naive host, body.quantities.antibody.initial = 0"; a value that is null leaves a part out."""
    told = [f"without {path}" if value is None else f"{path} = {_plain(value)}" for path, value in values.items()]
    return f"{arm}, {_listed(told) or 'nothing'}"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _version(summary: Mapping[str, object]) -> str:
    versions = summary.get("versions")
    return str(versions.get("gpusim", "")) if isinstance(versions, dict) else ""


def _digest(result: Result) -> str:
    return str((result.summary or {}).get("digest") or "unknown, as the run has not finished")


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    run = list(seeds) == list(range(seeds[0], seeds[0] + len(seeds)))
    return f"{len(seeds)} seeds " + (f"({seeds[0]} to {seeds[-1]})" if run else f"({', '.join(map(str, seeds))})")


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
