"""A paragraph for the methods of a paper, written out from the results."""

import html
from collections.abc import Mapping, Sequence

from gpusim.record import Result
from gpusim.scenario import numbers
from gpusim.units import duration


def part(compared: Mapping[str, Sequence[Result]]) -> str:
    """The paragraph, for copying, and a table of digests."""
    rows = "\n".join(
        f"{label}\tseed {result.scenario.document.seed}\t{_digest(result)}"
        for label, results in compared.items()
        for result in results
    )
    return (
        f"<h2>Methods</h2><p class=copy>{html.escape(paragraph(compared))}</p>"
        f"<details><summary>Digests</summary><pre>{html.escape(rows)}</pre></details>"
    )


def paragraph(compared: Mapping[str, Sequence[Result]]) -> str:
    """Model, lattice, time steps, numbers, seeds, program and digest, in sentences."""
    return " ".join(_sentences(compared))


def _sentences(compared: Mapping[str, Sequence[Result]]) -> list[str]:
    results = [result for each in compared.values() for result in each]
    first = results[0]
    document = first.scenario.document
    names = list(dict.fromkeys(result.scenario.document.name for result in results))
    summaries = [result.summary or {} for result in results]
    versions = list(dict.fromkeys(_version(summary) for summary in summaries))
    backends = list(dict.fromkeys(str(summary["backend"]) for summary in summaries if "backend" in summary))
    sites = [Result(first.folder, site) for site in first.sites]
    lattices = list(
        dict.fromkeys(
            f"{' x '.join(map(str, reversed(site.array('tissue', 0).shape)))} voxels of {site.spacing:g} um"
            for site in sites
        )
    )
    kinds = numbers.in_words(numbers.counts(first.scenario.numbers))
    ends = list(dict.fromkeys(duration(float(result.times[-1])) for result in results))
    found = [
        f"Tumour, virus and immune cells were simulated with gpusim {_listed(versions)}"
        + (f" ({_listed(backends)} backend)" if backends else "")
        + f", with the scenario{'s' if len(names) > 1 else ''} {_listed(names)}, for {_listed(ends)} on a lattice of "
        f"{_listed(lattices)}" + (f" at each of {len(sites)} sites." if len(sites) > 1 else "."),
        f"The model has {len(document.states)} cell states, {len(document.fields)} fields (reaction-diffusion "
        f"equations) and {len(document.rules)} stochastic rules; its numbers are {kinds}.",
    ]
    if len(compared) > 1:
        seeds = {name: tuple(sorted(r.scenario.document.seed for r in each)) for name, each in compared.items()}
        shared = len(set(seeds.values())) == 1
        found.append(
            f"The {len(compared)} arms ({_listed(list(compared))}) were run "
            + (f"with the same {_seeds(next(iter(seeds.values())))}." if shared else "with different seeds.")
        )
    else:
        found.append(f"It was run with {_seeds(tuple(sorted(r.scenario.document.seed for r in results)))}.")
    found.append(
        "A scenario and a seed determine the trajectory bit for bit; the digest of the last state of the first run "
        f"(seed {document.seed}) is {_digest(first)}."
    )
    return found


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
