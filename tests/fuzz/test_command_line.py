"""Whatever is written on the command line, in a scenario or in a result: an answer, or a message and exit code 2."""

import random
import re
import shutil
from pathlib import Path

import pytest
from commands import run
from fuzz.scenarios import KEYS, NASTY, PATHS, SMALL, mutated, written
from hypothesis import given, settings
from hypothesis import strategies as st

from gpusim.record import Result, layout

SINGLE = re.sub(r"trial:\n(  .*\n)+", "", SMALL).replace("name: small", "name: single")
TEXTS = sorted({value for value in NASTY if isinstance(value, str) and len(value) < 200} | set(KEYS))
PLACES = [
    "time.until",
    "seed",
    "grid.shape",
    "fields.virus.decay",
    "rules.growth.rate",
    "tissue.shapes.a",
    "sites",
    "x",
]

values = st.one_of(st.sampled_from(TEXTS), st.integers(-3, 2**70).map(str), st.floats().map(str), st.text(max_size=12))
words = values.filter(lambda text: not text.startswith("-"))
sets = st.tuples(st.sampled_from(PLACES), values).map("=".join)
paths = st.sampled_from(["scenario.yaml", "good", "damaged", "nowhere", ".", "/dev/null", "a\nb", "é" * 300, "good/x"])
FREE = {
    "run": [
        "--seed",
        "--replicates",
        "--arm",
        "--until",
        "--set",
        "--threads",
        "--together",
        "--overwrite",
        "--resume",
    ],
    "check": ["--set", "--replicates", "--json", "--diagram"],
    "show": ["--rows", "--site", "--means"],
    "heat": [],
    "digest": [],
    "export": ["--format", "--at", "--site", "--overwrite", "-o"],
    "compare": ["--no-pictures"],
    "presets": [],
}
FLAGS = {"--overwrite", "--no-pictures", "--json", "--diagram", "--means"}
ENDINGS = st.sampled_from(
    ["t.csv", "t.parquet", "t.zarr", "t.vtkhdf", "t.pvd", "t", "", "no/such/t.csv", "good", "a.txt"]
)


@st.composite
def command_lines(draw):
    command = draw(st.sampled_from(sorted(FREE)))
    line = [command]
    for option in draw(st.lists(st.sampled_from([*FREE[command], "--nonsense"]), max_size=3)):
        line.append(option)
        if option not in FLAGS:
            kind = {"--set": sets, "--resume": paths, "-o": ENDINGS}.get(option, values)
            line.append(draw(kind))
    line += draw(st.lists(st.one_of(paths, paths, words), min_size=command != "presets", max_size=2))
    if command == "run":
        line += ["--backend", "numpy", "--no-picture", "-o", "out"]
        if "--until" not in line and draw(st.booleans()):
            line += ["--until", "2 min"]
    if command == "compare":
        line += ["--no-pictures", "-o", "page.html"]
    return [text.replace("\0", "?") for text in line]  # no system passes it on


@st.composite
def scenario_texts(draw):
    """A scenario with other values, without lines, with lines twice, or torn."""
    chosen = [draw(st.sampled_from(PATHS)) for _ in range(draw(st.integers(0, 2)))]
    changes = [
        (path, draw(st.sampled_from(["set", "rename", "drop"])), draw(st.sampled_from(NASTY))) for path in chosen
    ]
    changes = [
        (path, kind, draw(st.sampled_from(KEYS)) if kind == "rename" else value) for path, kind, value in changes
    ]
    how = draw(st.sampled_from(["data", "data", "lines", "torn"]))
    if how == "data":
        return written(mutated([*changes, (("trial",), "drop", None)]))
    lines = SINGLE.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        lines[at : at + 1] = draw(st.sampled_from([[], [lines[at]] * 2, [lines[at] + draw(values)]]))
    text = "\n".join(lines)
    return text if how == "lines" else text[: draw(st.integers(0, len(text)))] + draw(st.text(max_size=5))


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A finished result of two sites."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "scenario.yaml").write_text(SINGLE)
    done = run("run", "scenario.yaml", "--backend", "numpy", "--no-picture", "-o", "good", folder=folder)
    assert done.returncode == 0, done.stderr
    return folder / "good"


def damage(folder, seed):
    """Change some files of a folder: gone, cut, other bytes, a folder or a link in their place."""
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 3)):
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        if not files:
            return
        path = chance.choice(files)
        data = path.read_bytes()
        how = chance.randrange(6)
        path.unlink()
        if how == 1:
            path.write_bytes(data[: chance.randrange(len(data) + 1)])
        elif how == 2:
            at = chance.randrange(len(data) + 1)
            path.write_bytes(data[:at] + chance.randbytes(3) + data[at + 3 :])
        elif how == 3:
            path.mkdir()
        elif how == 4:
            path.symlink_to(path)
        elif how == 5:
            path.write_bytes(chance.choice([b"", b"{}", b"\xff" * 99, b"[" * 9999, b"null", b"a: &a [*a]"]))


def holds(folder, line, text, seed, good):
    """Run one command line in a new folder, and look at what it answers and leaves."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "scenario.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    shutil.copytree(good, folder / "good")
    shutil.copytree(good, folder / "damaged")
    damage(folder / "damaged", seed)
    done = run(*line, folder=folder)
    said = f"{line}\n{text}\n{done.stdout}\n{done.stderr}"
    assert done.returncode in (0, 2), said
    assert "Traceback" not in done.stderr, said
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", done.stderr), said
    if done.returncode == 2:
        assert done.stderr.strip(), said
        assert len(done.stderr) < 20_000, said
    left = [path for path in folder.rglob("*") if path.name.startswith(layout.UNREADY) or path.suffix == ".part"]
    assert not left, f"{said}\n{left}"
    if line[0] == "run" and done.returncode == 0 and "--resume" not in line and "--replicates" not in line:
        assert Result(folder / "out").digest() in done.stdout, said
    if line[0] != "run":
        assert not (folder / "out").exists()
    if "--overwrite" not in line:
        assert Result(folder / "good").digest(), said


@settings(max_examples=30)
@given(command_lines(), st.just(SINGLE), st.integers(0, 2**32))
def test_any_command_line_is_answered(tmp_path_factory, good, line, text, seed):
    holds(Path(tmp_path_factory.getbasetemp()) / "line", line, text, seed, good)


@settings(max_examples=15)
@given(st.sampled_from(["run", "check"]), scenario_texts())
def test_any_scenario_is_answered(tmp_path_factory, good, command, text):
    line = [command, "scenario.yaml", *(["--backend", "numpy", "--no-picture", "-o", "out"] * (command == "run"))]
    line += ["--until", "2 min"] * (command == "run")
    holds(Path(tmp_path_factory.getbasetemp()) / "text", line, text, 0, good)


OF_RESULTS = [
    ["show", "damaged"],
    ["digest", "damaged"],
    ["heat", "damaged"],
    ["check", "damaged"],
    ["export", "damaged", "-o", "t.csv"],
    ["compare", "damaged", "good", "--no-pictures", "-o", "page.html"],
    ["run", "--resume", "damaged", "--backend", "numpy", "--no-picture"],
]


@settings(max_examples=15)
@given(st.sampled_from(OF_RESULTS), st.integers(0, 2**32))
def test_any_damaged_result_is_answered(tmp_path_factory, good, line, seed):
    holds(Path(tmp_path_factory.getbasetemp()) / "damage", line, SINGLE, seed, good)


@pytest.mark.campaign
@settings(max_examples=150)
@given(st.one_of(command_lines(), st.sampled_from(OF_RESULTS)), scenario_texts(), st.integers(0, 2**32))
def test_any_of_all_is_answered(tmp_path_factory, good, line, text, seed):
    holds(Path(tmp_path_factory.getbasetemp()) / "all", line, text, seed, good)
