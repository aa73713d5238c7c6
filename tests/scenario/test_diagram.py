"""Diagrams: every rule and process is an arrow between boxes that exist."""

import re
from pathlib import Path

import pytest

import gpusim
from gpusim.scenario import presets

ARROW = re.compile(r'  (\w+) (-->|-\.->)\|"([^"]+)"\| (\w+)')
BOX = re.compile(r'\s+(\w+)(\["\w+"\]|\(\["\w+"\]\)|\(\("nothing"\)\))')


@pytest.mark.parametrize("name", ["combination", "random-walk", "escape", "monolayer-growth"])
def test_every_rule_and_process_is_an_arrow_between_boxes(name):
    scenario = gpusim.Scenario.load(presets()[name])
    first, *lines = scenario.diagram().splitlines()
    assert first == "flowchart LR"
    arrows = [found for line in lines if (found := ARROW.fullmatch(line))]
    boxes = {found[1] for line in lines if (found := BOX.fullmatch(line))}
    structure = [line for line in lines if not ARROW.fullmatch(line) and not BOX.fullmatch(line)]
    assert all(re.fullmatch(r'  subgraph \w+\["[\w ]+"\]|  end', line) for line in structure)
    assert {end for found in arrows for end in (found[1], found[4])} <= boxes
    named = {rule for found in arrows for rule in found[3].split("<br>")}
    assert named == {*scenario.document.rules, *scenario.document.body.processes}


def test_groups_divisions_partners_and_the_body_are_arrows_of_their_own():
    text = gpusim.Scenario.load("combination").diagram()
    for line in (
        'state_tumour -->|"infection"| state_exposed',
        'state_tumour -->|"division"| state_tumour',
        'state_dc_mature -.->|"egress"| body_dc_travelling',
        'body_ctl -.->|"ctl_recruitment"| state_ctl',
        'body_ctl -->|"contraction"| nothing',
    ):
        assert f"  {line}\n" in text


def test_the_diagram_of_the_docs_is_current():
    page = (Path(__file__).parents[2] / "docs" / "your-own.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{gpusim.Scenario.load('plaque').diagram()}```" in page
