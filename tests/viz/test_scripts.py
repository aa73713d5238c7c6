"""The scripts that users copy run, and a scenario without roles is drawn."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyvista", reason="PyVista is not installed")
mpl = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
mpl.use("Agg")

from PIL import Image  # noqa: E402

import gpusim  # noqa: E402
from gpusim.record import Result  # noqa: E402
from gpusim.viz.moment import moment_of_result  # noqa: E402
from gpusim.viz.palette import state_colours  # noqa: E402

SCRIPTS = Path(__file__).parents[2] / "viz"
PLAIN = """
name: plain
grid: {shape: [10, 10, 10]}
time: {until: 10 min}
record: {every: 5 min}
fields: {fluid: {unit: ng/mL, diffusion: 60 um^2/min}, signal: {unit: ng/mL, diffusion: 60 um^2/min, initial: 1}}
states:
  weed: {secretion: {fluid: 1 ng/mL/min}}
  soil: {}
  worm: {layer: immune, motility: {speed: 4 um/min}}
rules: {grow: {transition: soil -> weed, rate: 0.01 /min}}
tissue:
  shapes:
    soil: {kind: sphere, state: soil, radius: 80 um}
    weed: {kind: sphere, state: weed, radius: 40 um}
    worm: {kind: everywhere, state: worm, fraction: 0.05}
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain") / "out"
    gpusim.run(gpusim.Scenario.parse(PLAIN), folder, backend="numpy").close()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("script", [path.stem for path in sorted(SCRIPTS.glob("*.py")) if path.stem != "film"])
def test_a_script_draws_a_scenario_without_roles(script, plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [script, str(plain)])
    runpy.run_path(str(SCRIPTS / f"{script}.py"))
    pixels = np.asarray(Image.open(tmp_path / f"{script}.png").convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_states_without_colours_get_distinct_ones(plain):
    moment = moment_of_result(Result(plain))
    colours = state_colours(moment.document)
    assert len({colours[name] for name in ("weed", "soil", "worm", "empty")}) == 4
    assert moment.tumour_states == ["weed", "soil"]
    assert moment.field_names == ["fluid", "signal"]


def test_a_role_a_label_and_a_colour_stand_in_the_scenario():
    text = PLAIN.replace("  soil: {}", '  soil: {label: Old soil, colour: "#112233", role: dead}').replace(
        "signal: {", "signal: {role: virus, label: Alarm, colours: magma, "
    )
    document = gpusim.Scenario.parse(text.replace("weed: {secretion", "weed: {role: tumour, secretion")).document
    with gpusim.Simulation(gpusim.Scenario.parse(text), "numpy") as simulation:
        from gpusim.viz.moment import moment_of_simulation
        from gpusim.viz.palette import THEMES

        moment = moment_of_simulation(simulation)
        assert (moment.colours["soil"], moment.label("soil"), moment.having("dead")) == (
            "#112233",
            "Old soil",
            ["soil"],
        )
        assert moment.field_names == ["signal", "fluid"]
        assert moment.label("signal") == "Alarm"
        assert moment.map("signal", THEMES["dark"]).name == "magma"
    from gpusim.analysis import tumour_states

    assert tumour_states(document) == ["weed"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("soil: {}", "soil: {role: tumor}", "states.soil.role: input should be 'tumour'"),
        ("soil: {}", "soil: {colour: red}", "states.soil.colour: "),
        ("fluid: {", "fluid: {colours: jet, ", "fields.fluid.colours: input should be 'viridis'"),
    ],
)
def test_a_role_or_colour_that_is_none_is_refused(old, new, message):
    with pytest.raises(gpusim.ScenarioError) as caught:
        gpusim.Scenario.parse(PLAIN.replace(old, new))
    assert message in str(caught.value)


def test_no_state_field_or_cell_of_the_library_is_named_in_what_draws():
    """Roles, whose names are of the schema, may be."""
    import re
    from typing import get_args

    from gpusim.scenario.schema import StateRole

    names = set()
    for preset in gpusim.presets():
        document = gpusim.Scenario.load(preset).document
        names |= {*document.fields, *document.states, *document.body.quantities, *document.rules}
    names -= {*get_args(StateRole), "virus", "memory", "effector"}
    names.remove("plasma")  # a colour map, too
    package = Path(gpusim.__file__).parent
    for path in [*(package / "viz").glob("*.py"), package / "cli" / "progress.py", package / "analysis" / "roles.py"]:
        quoted = set(re.findall(r"""["'](\w+)["']""", path.read_text(encoding="utf-8")))
        assert not quoted & names, path.name
