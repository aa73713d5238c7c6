"""What the README shows is what happens."""

import re
import textwrap
from pathlib import Path

import pytest
from machines import backend_parameters

import gpusim

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def block(language):
    return [textwrap.dedent(text) for text in re.findall(rf"```{language}\n(.*?)```", README, re.S)]


@pytest.mark.slow
@pytest.mark.parametrize("backend", [p for p in backend_parameters() if p.id in ("cpu2", "cuda")])
def test_the_digests_printed_are_equal_and_true(backend):
    shown = re.findall(r"^digest +([0-9a-f]{64})$", README, re.M)
    assert len(shown) == 2
    assert shown[0] == shown[1]
    with gpusim.Simulation("cold-to-hot", backend[0], threads=backend[1]) as simulation:
        simulation.run(until="12 h")
        assert simulation.digest() == shown[0]


def test_the_scenario_is_one_and_its_mistake_reads_so(tmp_path):
    (text,) = block("yaml")
    path = tmp_path / "armed.yaml"
    path.write_text(text)
    assert "il12" in gpusim.Scenario.load(path).document.fields
    path.write_text(text.replace("diffusion", "difusion"))
    with pytest.raises(gpusim.ScenarioError) as caught:
        gpusim.Scenario.load(path)
    shown = re.search(r"`(armed\.yaml:4: .*?)`", README, re.S)
    assert shown
    assert " ".join(shown[1].split()) == str(caught.value).replace(str(tmp_path) + "/", "")


def test_the_commands_exist():
    import typer

    from gpusim.cli import app

    known = set(typer.main.get_command(app).commands)
    used = set(re.findall(r"^gpusim (\w+)", "\n".join(block("sh")), re.M))
    assert used <= known
    assert {"run", "check", "presets", "info", "show", "digest"} <= known
