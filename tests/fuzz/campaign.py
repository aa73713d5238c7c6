"""Coverage-guided fuzzing of the loader and the model's building, by atheris (pip install atheris).

    PYTHONPATH=tests python tests/fuzz/campaign.py -runs=100000 -timeout=10 CORPUS

An input is changes to a good scenario (sites, therapies, exchange with the body and a trial in it), as data
or as YAML, or YAML text that is torn, in a file of its own. Anything but a scenario or a `GpusimError` ends
the campaign with the input in a file. Only the loader is instrumented, and nothing is compiled or run.
"""

import sys
import warnings

import atheris

with atheris.instrument_imports(include=["gpusim.scenario", "gpusim.units"]):
    import gpusim
from fuzz.scenarios import KEYS, NASTY, PATHS, SMALL, mutated, written

from gpusim.model import build
from gpusim.scenario.loading import validated
from gpusim.scenario.reading import Read

warnings.simplefilter("error")


def changed(data):
    """A scenario's data as the bytes say."""
    made = []
    for _ in range(data.ConsumeIntInRange(1, 5)):
        path = PATHS[data.ConsumeIntInRange(0, len(PATHS) - 1)]
        kind = ("set", "set", "text", "number", "rename", "drop")[data.ConsumeIntInRange(0, 5)]
        if kind == "set":
            value = NASTY[data.ConsumeIntInRange(0, len(NASTY) - 1)]
        elif kind == "text":
            kind, value = "set", data.ConsumeUnicodeNoSurrogates(20)
        elif kind == "number":
            kind, value = "set", data.ConsumeFloat()
        else:
            value = KEYS[data.ConsumeIntInRange(0, len(KEYS) - 1)]
        made.append((path, kind, value))
    return mutated(made)


def scenario(data):
    """A scenario as the bytes say. Raises `GpusimError`."""
    kind = data.ConsumeIntInRange(0, 9)
    if kind < 7:
        return gpusim.Scenario(validated(Read(changed(data)), "data"))
    if kind < 8:
        return gpusim.Scenario.parse(written(changed(data)))
    place = data.ConsumeIntInRange(0, len(SMALL))
    return gpusim.Scenario.parse(
        SMALL[:place] + data.ConsumeUnicode(80) + SMALL[place + data.ConsumeIntInRange(0, 60) :]
    )


def one_input(bytes_):
    """Load and build one input."""
    data = atheris.FuzzedDataProvider(bytes_)
    try:
        loaded = scenario(data)
        if loaded.arms and data.ConsumeBool():
            loaded = loaded.arm(loaded.arms[-1])
        build(loaded.site(loaded.sites[data.ConsumeIntInRange(0, len(loaded.sites) - 1)]))
    except gpusim.GpusimError:
        pass


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
