"""Whatever stands on the command line, what comes is a line and exit code 2."""

import sys

import pytest

from gpusim.cli.app import main

SMALL = """
grid: {shape: [4, 4, 4]}
time: {until: 10 min}
fields: {drug: {unit: mg/L, initial: 1}, tracer: {unit: mg/L}}
states: {tumour: {uptake: {drug: 1 /min}}}
rules: {death: {transition: tumour -> empty, rate: 1e-3 /min, modulators: [{field: drug, half: 1}]}}
tissue: {background: tumour}
"""
LONG = "n" * 300


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs a command in a folder with `small.yaml`; gives its exit code, output and messages."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)
    (tmp_path / "folder.yaml").mkdir()

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gpusim", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "~nosuch/x.yaml"], "~nosuch/x.yaml: unknown user after '~'"),
        (["check", f"{LONG}.yaml"], "File name too long"),
        (["check", LONG], "File name too long"),
        (["check", "folder.yaml"], "folder.yaml: not a result folder of a run, a trial or a study"),
        (["check", "\udcff.yaml"], "no such file"),
        (["check", "a\0b.yaml"], "no such file"),
        (["check", "small.yaml", "--set", f"tissue.image.file={LONG}", "--set", "tissue.image.labels={1: tumour}"], ""),
        (["run", "small.yaml", "-o", LONG], "File name too long"),
        (["run", "small.yaml", "-o", "small.yaml"], "File exists"),
        (["run", "--resume", LONG], "File name too long"),
        (["digest", LONG], "File name too long"),
        (["show", LONG], "File name too long"),
        (["export", LONG, "-o", "x.csv"], "File name too long"),
        (["sweep", f"{LONG}.yaml"], "File name too long"),
        (["run", "small.yaml", "--until", "10 %"], "expected a quantity in 'min'"),
        (["run"], "run: expected a SCENARIO, --resume OUT or --from OUT; see 'gpusim run -h'"),
        (["run", "small.yaml", "--sede", "4"], "--seed"),
        (["run", "small.yaml", "--seed"], "run: option '--seed' requires an argument; see 'gpusim run -h'"),
        (["run", "small.yaml", "--threads", "many"], "'many'"),
        (["run", "small.yaml", "--replicates=0"], "run: '--replicates': "),
        (["run", "small.yaml", "--log", "xml"], "'text', 'json'"),
        (["run", "small.yaml", "other.yaml"], "(other.yaml); see 'gpusim run -h'"),
        (["export"], "export: missing argument 'OUT'; see 'gpusim export -h'"),
        (["import", "physicell"], "missing argument 'CONFIG.xml'; see 'gpusim import physicell -h'"),
        (["chek", "small.yaml"], "no such command 'chek'"),
        (["--bogus"], "no such option: --bogus"),
        ([], "expected a command"),
    ],
)
def test_a_mistake_is_one_line(command, arguments, message):
    code, _, said = command(*arguments)
    (line,) = said.splitlines()
    assert code == 2
    assert line.startswith("gpusim: ")
    assert message in line
    assert len(line) < 600


def test_check_and_run_note_the_same(command):
    note = "gpusim: note: nothing reads field 'tracer': it is recorded, and has no effect"
    _, _, checked = command("check", "small.yaml")
    _, _, ran = command("run", "small.yaml", "--backend", "numpy", "--no-picture")
    assert note in checked.splitlines()
    assert [line for line in ran.splitlines() if "note" in line] == checked.splitlines()


@pytest.mark.parametrize(("ran", "others"), [("sweep", ["sensitivity"]), ("sensitivity", ["design"])])
def test_a_study_for_another_command_is_noted(ran, others, command, tmp_path):
    (tmp_path / "study.yaml").write_text("""
scenario: small.yaml
parameters: {rules.death.rate: {from: 1e-4 /min, to: 1e-3 /min, levels: 2}}
design: grid
outcomes: {cells: {count: tumour}}
sensitivity: {method: morris, trajectories: 2}
""")
    *_, told = command(ran, "study.yaml", "--backend", "numpy", "--workers", "1")
    notes = [line for line in told.splitlines() if "of the study has no effect here" in line]
    used = {"sensitivity": "sensitivity", "design": "sweep"}
    assert notes == [
        f"gpusim: note: '{key}' of the study has no effect here; 'gpusim {used[key]}' uses it" for key in others
    ]
