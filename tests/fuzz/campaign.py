"""Coverage-guided fuzzing of the loader and the model's building, by atheris (pip install atheris).

    PYTHONPATH=tests python tests/fuzz/campaign.py -runs=100000 -timeout=10 CORPUS

An input is either YAML text, or a list of changes to a good scenario. Anything but a scenario or a
`GpusimError` ends the campaign with the input in a file.
"""

import sys
import warnings

import atheris
import yaml

with atheris.instrument_imports(include=["gpusim.scenario", "gpusim.model", "gpusim.units", "gpusim.tissue"]):
    import gpusim
    from gpusim.model import build
from fuzz.scenarios import KEYS, NASTY, PATHS, SMALL, mutated

warnings.simplefilter("error")


def changed(data):
    """A scenario as the bytes say."""
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
    return yaml.safe_dump(mutated(made), allow_unicode=True)


def one_input(bytes_):
    """Load and build one input."""
    data = atheris.FuzzedDataProvider(bytes_)
    if data.ConsumeBool():
        text = changed(data)
    else:
        place = data.ConsumeIntInRange(0, len(SMALL))
        text = SMALL[:place] + data.ConsumeUnicode(80) + SMALL[place + data.ConsumeIntInRange(0, 60) :]
    try:
        build(gpusim.Scenario.parse(text))
    except gpusim.GpusimError:
        pass


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
