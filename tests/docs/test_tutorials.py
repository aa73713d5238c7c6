"""The study of the tutorials is one."""

import re
from pathlib import Path

from gpusim.study.runs import Study

PAGE = (Path(__file__).parents[2] / "docs" / "tutorials.md").read_text(encoding="utf-8")
STUDY = re.search(r"```yaml\n(# dosing\.yaml\n.*?)```", PAGE, re.S)[1]


def test_the_study_of_doses_is_valid(tmp_path):
    (tmp_path / "dosing.yaml").write_text(STUDY)
    assert set(Study.load(tmp_path / "dosing.yaml").document.arms) == {"once", "three times"}
