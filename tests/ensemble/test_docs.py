"""What docs/studies.md shows is what happens."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import gpusim
from gpusim.ensemble.study import Study

DOCS = (Path(__file__).parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", DOCS, re.S)


def command(line, folder):
    name, *arguments = line.split()
    assert name == "gpusim"
    return subprocess.run(
        [sys.executable, "-m", "gpusim.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "160"},
        check=False,
    )


def test_the_mistake_reads_so(tmp_path):
    path = tmp_path / "spread.yaml"
    path.write_text(blocks("yaml")[0].replace("count: tumour", "count: tumor"))
    with pytest.raises(gpusim.ScenarioError) as caught:
        Study.load(path)
    shown = re.search(r"`(spread\.yaml:\d+: outcomes.*?)`", DOCS, re.S)
    assert " ".join(shown[1].split()) in str(caught.value).replace(str(tmp_path) + "/", "")


@pytest.mark.slow
def test_the_worked_example(tmp_path, monkeypatch):
    (tmp_path / "spread.yaml").write_text(blocks("yaml")[0])
    (line,) = [text.strip() for text in blocks("sh") if "sweep" in text]
    done = command(line, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "3 points, 2 arms, 2 replicates: 12 runs" in done.stdout
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(blocks("python")[0], names)
    table = names["table"]
    assert len(table) == 12
    assert table.attrs["units"] == {"rules.infection.rate": "/min"}
    means = table.groupby("arm")["virus"].mean()
    assert means["control"] == 0.0 < means["virus"]
    again = command(line, tmp_path)
    assert again.returncode == 0, again.stderr
    assert "worker" not in again.stdout, "nothing was left to run, yet workers were started"
    pd.testing.assert_frame_equal(pd.read_parquet("results/spread/table.parquet"), table, check_exact=True)


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("name: x", ["sweep"], "study.yaml: scenario: is missing"),
        ("", ["sweep"], "study.yaml: the file is empty"),
        (blocks("yaml")[0], ["sensitivity"], "needs 'parameters', and 'sensitivity: {method: morris}'"),
        (blocks("yaml")[0], ["sweep", "-o", "."], "holds other files than a study"),
    ],
)
def test_a_mistake_is_a_line_and_exit_code_2(tmp_path, text, arguments, message):
    (tmp_path / "study.yaml").write_text(text)
    done = command(" ".join(["gpusim", arguments[0], "study.yaml", *arguments[1:]]), tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
