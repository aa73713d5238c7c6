"""The study of the tutorials answers its question; the scripts for clusters run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from gpusim.study.runs import Study

PAGE = (Path(__file__).parents[2] / "docs" / "tutorials.md").read_text(encoding="utf-8")
STUDY = re.search(r"```yaml\n(# dosing\.yaml\n.*?)```", PAGE, re.S)[1]
COMMANDS = re.search(r"```sh\n(gpusim sweep.*?)```", PAGE, re.S)[1].splitlines()
ARRAY = re.search(r"```sh\n(#!/bin/bash\n#SBATCH --array.*?)```", PAGE, re.S)[1]
ON_PATH = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def test_the_study_of_doses_is_valid(tmp_path):
    (tmp_path / "dosing.yaml").write_text(STUDY)
    assert set(Study.load(tmp_path / "dosing.yaml").document.arms) == {"once", "three times"}


@pytest.mark.slow
def test_the_study_of_doses_answers_its_question(tmp_path):
    """Which dose halves the tumour, and are three doses better than one?"""
    pytest.importorskip("pyarrow")
    (tmp_path / "dosing.yaml").write_text(STUDY)
    for command in COMMANDS:
        subprocess.run(command.split(), cwd=tmp_path, env=ON_PATH, check=True)
    table = pd.read_parquet(tmp_path / "results" / "dosing" / "table.parquet")
    amount = "therapies.injection.amount"
    medians = table.groupby(["arm", amount])["tumour"].median().unstack("arm")
    assert len(table) == 16
    assert medians["once"].is_monotonic_decreasing
    assert (medians["three times"] < medians["once"]).all()
    page = (tmp_path / "dosing.html").read_text(encoding="utf-8")
    assert "Dose-response of therapies.injection.amount" in page


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a script of bash")
def test_a_job_of_an_array_runs_and_goes_on_when_it_is_submitted_again(tmp_path):
    (tmp_path / "job.sh").write_text(ARRAY.replace("--threads 8", "--threads 1"))
    (tmp_path / "own.yaml").write_text(
        "name: own\ngrid: {shape: [6, 6, 6]}\ntime: {until: 1 hour}\nrecord: {every: 30 min}\n"
        "states: {tumour: {role: tumour}}\ntissue: {background: tumour}\n"
        "rules: {death: {transition: tumour -> empty, rate: 0.1 /hour}}\n"
    )
    job = ON_PATH | {"SLURM_ARRAY_TASK_ID": "7"}
    summary = tmp_path / "out" / "7" / "summary.json"
    subprocess.run(["bash", "job.sh"], cwd=tmp_path, env=job, check=True)
    assert json.loads(summary.read_text())["seed"] == 7
    written = summary.stat().st_mtime_ns
    subprocess.run(["bash", "job.sh"], cwd=tmp_path, env=job, check=True)
    assert summary.stat().st_mtime_ns == written
    summary.unlink()  # as of a run that its time limit stopped
    subprocess.run(["bash", "job.sh"], cwd=tmp_path, env=job, check=True)
    assert json.loads(summary.read_text())["seed"] == 7
