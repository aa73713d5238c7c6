"""What docs/studies.md shows is what happens."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import gpusim
from gpusim.cli import app
from gpusim.errors import GpusimError
from gpusim.study.execution import Setting
from gpusim.study.fit import fit
from gpusim.study.measured import Data
from gpusim.study.problem import pose
from gpusim.study.runs import Study

DOCS = (Path(__file__).parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", DOCS, re.S)


def command(line, folder):
    name, *arguments = line.split()
    assert name == "gpusim"
    return subprocess.run(
        [sys.executable, "-m", "gpusim", *arguments],
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
    (line,) = [text.strip() for text in blocks("sh") if "sweep spread" in text]
    done = command(line, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "3 points, 2 arms, 2 replicates: 12 runs" in done.stdout
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(blocks("py")[0], names)
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
        ("", ["sweep", "study.yaml"], "study.yaml: the file is empty"),
        (blocks("yaml")[0], ["sensitivity", "study.yaml"], "needs 'parameters', and 'sensitivity: {method: morris}'"),
        (blocks("yaml")[0], ["sweep", "study.yaml", "-o", "."], "contains other files than a study"),
        (blocks("yaml")[0], ["fit", "study.yaml", "--data", "none.csv"], "none.csv: not a table"),
        ("name: x", ["sweep", "nowhere.yaml"], "nowhere.yaml: no such file"),
    ],
)
def test_a_mistake_is_a_line(tmp_path, monkeypatch, text, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(GpusimError) as caught:
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        ("pyarrow", ["sweep"], r"studies need pyarrow: pip install 'gpusim\[study\]'"),
        ("SALib", ["sensitivity"], r"studies need SALib\S*: pip install 'gpusim\[study\]'"),
        ("distributed", ["sweep", "--scheduler", "tcp://a:1"], r"need distributed: pip install 'gpusim\[study\]'"),
    ],
)
def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch, module, arguments, message):
    for name in {module, *(name for name in sys.modules if name.startswith(f"{module}."))}:
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "spread.yaml").write_text(f"{blocks('yaml')[0]}sensitivity: {{method: morris}}\n")
    command, *options = arguments
    with pytest.raises(gpusim.BackendError, match=message):
        CliRunner().invoke(
            app, [command, str(tmp_path / "spread.yaml"), "-o", str(tmp_path / "out"), *options], catch_exceptions=False
        )


@pytest.mark.slow
def test_the_published_growth_curve(tmp_path, connect):
    *_, scenario, study = blocks("yaml")
    for name, text in (("lung.yaml", scenario), ("lung-study.yaml", study), ("lung.csv", blocks("csv")[0])):
        (tmp_path / name).write_text(text)
    loaded = Study.load(tmp_path / "lung-study.yaml")
    data = Data.read(tmp_path / "lung.csv", loaded)
    found = fit(pose(loaded, data, Setting(tmp_path / "out", "auto")), connect)
    for row in found.estimates:
        (shown,) = re.findall(rf"^{re.escape(row.parameter)} .*", DOCS, re.M)
        estimate, low, high = (float(word) for word in shown.split()[2:])
        # Another version of Optuna may try other points, but must find the same minimum.
        assert row.estimate == pytest.approx(estimate, abs=0.25 * (high - low))
        assert row.high - row.low == pytest.approx(high - low, rel=0.5)
    assert found.trials["chi2"].min() < 1.0
