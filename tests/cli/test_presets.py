"""`gpusim presets` prints where numbers come from."""

import pytest
from commands import run


def test_a_part_of_the_library_has_the_numbers_of_what_it_extends(tmp_path):
    done = run("presets", "vaccinia", folder=tmp_path)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    (share,) = (line for line in lines if line.startswith("rules.lysis.releases.virus.each "))
    assert share.split()[1:8] == ["0.053", "PFU/vp", "assumed", "0.01", "to", "0.2", "PFU/vp"]
    assert any(line.startswith("fields.virus.decay ") for line in lines)  # of 'replication'
    cited = lines.index(next(line for line in lines if line.startswith("[vaccinia-monkey-kidney]")))
    assert "traits.load.changes.replication.modulators[0].half" in lines[cited + 1]


def test_a_file_of_one_s_own_is_listed_too_and_what_has_no_source_stands_out(tmp_path):
    (tmp_path / "own.yaml").write_text("extends: random-walk\nstates: {walker: {motility: {speed: 9 um/min}}}\n")
    lines = run("presets", "own.yaml", folder=tmp_path).stdout.splitlines()
    (speed,) = (line for line in lines if line.startswith("states.walker.motility.speed "))
    assert speed.split()[1:] == ["9", "um/min", "-", "without", "a", "source"]
    assert "3 numbers: 2 assumed, 1 without a source" in lines
    checked = run("check", "own.yaml", folder=tmp_path).stdout.splitlines()
    assert "3 numbers of the model: 2 assumed, 1 without a source" in checked
    assert "without a source: states.walker.motility.speed" in checked


def test_check_names_ten_numbers_without_a_source(tmp_path):
    fields = ", ".join(f"f{i}: {{unit: ng/mL, decay: 1 /min}}" for i in range(12))
    (tmp_path / "own.yaml").write_text(f"grid: {{shape: [4, 4, 4]}}\ntime: {{until: 1 h}}\nfields: {{{fields}}}\n")
    checked = run("check", "own.yaml", folder=tmp_path).stdout.splitlines()
    named = ", ".join(f"fields.f{i}.decay" for i in range(10))
    assert f"without a source: {named} and 2 more (see --json)" in checked


def test_the_references_are_listed_by_key(tmp_path):
    lines = run("presets", "--references", folder=tmp_path).stdout.splitlines()
    assert sum(line.startswith("[breart2008] Breart") and "doi:10.1172/JCI34388" in line for line in lines) == 1


def test_what_a_part_removes_is_not_among_what_it_has(tmp_path):
    lines = run("presets", "immunodeficient", folder=tmp_path).stdout.splitlines()
    (removes,) = (line for line in lines if line.startswith("removes "))
    assert removes.split(maxsplit=1)[1].split(", ")[0] == "rules.treg_recruitment"
    assert not any(line.startswith(("rules ", "body ")) for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vacinia"], "vacinia: neither a shipped scenario nor a file; did you mean 'vaccinia'?"),
        (["vaccinia", "--references"], "vaccinia: --references prints those of all shipped files"),
    ],
)
def test_what_it_cannot_list_is_a_line(arguments, message, tmp_path):
    done = run("presets", *arguments, folder=tmp_path)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())
