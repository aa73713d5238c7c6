import errno
import shutil
import zipfile

import numpy as np
import pytest
from fuzz.scenarios import SMALL

import gpusim
from gpusim import ResultError
from gpusim.record import Recorder, Result, checkpoint, files, layout, recorder, sums
from gpusim.record.checkpoint import DamagedError

TEXT = """
name: small
grid: {shape: [6, 5, 4]}
time: {until: 12 min, step: {field: 1 min, rules: 2 min}}
record: {every: 4 min, checkpoints: {every: 3 min, keep: 2}}
fields:
  virus: {unit: PFU/voxel, diffusion: 100 um^2/min, initial: 2}
states:
  tumour: {}
  killer: {layer: immune, motility: {speed: 8 um/min, persistence: 3 min}}
body:
  quantities: {cells: {initial: 500}}
  processes: {growth: {transition: nothing -> cells, by: cells, rate: 0.01 /min}}
rules:
  growth: {transition: empty -> tumour, rate: 0.1 /min, after: 3 min, releases: {virus: 3 PFU}}
  arrival: {transition: none -> killer, rate: 0.02 /min, modulators: [{body: cells, half: 100}], from_body: cells}
"""


def simulation(backend=("numpy", None), text=TEXT):
    return gpusim.Simulation(gpusim.Scenario.parse(text), backend[0], threads=backend[1])


def record(folder, backend=("numpy", None), *, stop=None, text=TEXT, **options):
    """Run to the end, or only until step `stop`, as if killed there."""
    with simulation(backend, text) as running, Recorder(running, folder, **options) as recorder:
        for steps in running.stretches(at_most=1):
            recorder.record()
            if steps == stop:
                return running.steps
        return recorder.finish()


def contents(folder):
    data = Result(folder).dataset().load()
    return (folder / layout.COUNTS).read_bytes(), {name: a.values.tobytes() for name, a in data.variables.items()}


def steps_saved(folder):
    return [int(path.stem) for path in checkpoint.files(folder)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "out"
    return record(folder), folder


@pytest.mark.parametrize("stop", [1, 3, 4, 8, 11, 12])
def test_a_resumed_run_ends_in_the_same_bits(one_backend_each, tmp_path, whole, stop):
    record(tmp_path / "out", one_backend_each, stop=stop)
    if stop < 3:
        with pytest.warns(UserWarning, match="begins again at time 0"):
            summary = record(tmp_path / "out", one_backend_each, resume=True)
    else:
        summary = record(tmp_path / "out", one_backend_each, resume=True)
        assert summary["resumed_at_step"] == min(stop // 3 * 3, 9)
    assert summary["digest"] == whole[0]["digest"]
    assert contents(tmp_path / "out") == contents(whole[1])


@pytest.mark.parametrize("stop", [3, 7])
def test_sites_therapies_and_exchange_with_the_body_go_on_in_the_same_bits(one_backend_each, tmp_path, stop):
    """Two sites; doses, cells and an infusion given before and after the stop, one resection."""
    summary = record(tmp_path / "whole", one_backend_each, text=SMALL)
    record(tmp_path / "out", one_backend_each, text=SMALL, stop=stop)
    again = record(tmp_path / "out", one_backend_each, text=SMALL, resume=True)
    assert again["resumed_at_step"] == stop - 1
    assert {key: again[key] for key in ("digest", "counts", "fired", "totals", "sites")} == {
        key: summary[key] for key in ("digest", "counts", "fired", "totals", "sites")
    }
    whole, resumed = (tmp_path / folder / layout.COUNTS for folder in ("whole", "out"))
    assert resumed.read_bytes() == whole.read_bytes()
    for site in ("near", "far"):
        first, second = (Result(tmp_path / folder, site).dataset().load() for folder in ("whole", "out"))
        assert first.equals(second)


def test_the_last_few_are_kept_and_none_once_it_has_finished(tmp_path, whole):
    record(tmp_path / "out", stop=11)
    assert steps_saved(tmp_path / "out") == [9, 6]
    assert not (whole[1] / layout.CHECKPOINTS).exists()


def test_the_clock_is_a_cadence_too(tmp_path):
    text = TEXT.replace("every: 3 min, keep", "wall: 0 s, keep")
    record(tmp_path / "out", stop=5, text=text)
    assert steps_saved(tmp_path / "out") == [5, 4]


def test_a_checkpoint_holds_all_that_the_state_holds(tmp_path):
    """Whatever array or number a later state has is saved without a word here."""
    with simulation() as first, simulation() as second:
        first.step(5)
        path = checkpoint.save(tmp_path, 5, {}, first.numbers, first.arrays(), 1)
        saved = checkpoint.load(path)
        assert saved.arrays.keys() == dict(first.arrays()).keys()
        assert saved.arrays.keys() > {
            "primary.fields",
            "primary.tissue.cells",
            "primary.immune.clock",
            "primary.immune.heading",
            "primary.tally.fired",
            "circulation",
        }
        second.restore(saved.numbers, saved.arrays)
        first.step(7)
        second.step(7)
        assert first.digest() == second.digest()
        assert first.fired == second.fired
        with pytest.raises(ValueError, match="array 'clock'"):
            second.restore(saved.numbers, {**saved.arrays, "clock": np.zeros(3)})


def test_every_flipped_bit_is_noticed(tmp_path):
    record(tmp_path / "out", stop=4)
    (path,) = checkpoint.files(tmp_path / "out")
    good, expected = path.read_bytes(), checkpoint.load(path)
    rng = np.random.default_rng(0)
    unnoticed = 0
    for place in rng.integers(0, len(good) * 8, 400):
        bad = bytearray(good)
        bad[place // 8] ^= 1 << (place % 8)
        path.write_bytes(bad)
        try:
            found = checkpoint.load(path)
        except DamagedError:
            continue
        # A date or a flag of the archive: what was saved is as it was.
        unnoticed += 1
        assert found.numbers == expected.numbers
        assert all(np.array_equal(found.arrays[name], a) for name, a in expected.arrays.items())
    assert unnoticed < 100


@pytest.mark.parametrize("length", [0, 1, 100, 0.5, 0.99])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, whole, length):
    record(tmp_path / "out", stop=11)
    newest = checkpoint.files(tmp_path / "out")[0]
    data = newest.read_bytes()
    newest.write_bytes(data[: length if length >= 1 or length == 0 else int(len(data) * length)])
    with pytest.warns(UserWarning, match=r"000000000009\.zip: is damaged.*going back to the one before"):
        summary = record(tmp_path / "out", resume=True)
    assert summary["resumed_at_step"] == 6
    assert contents(tmp_path / "out") == contents(whole[1])


def test_with_all_damaged_the_run_begins_again(tmp_path, whole):
    record(tmp_path / "out", stop=11)
    for path in checkpoint.files(tmp_path / "out"):
        path.write_bytes(b"")
    with pytest.warns(UserWarning, match="damaged|begins again"):
        assert record(tmp_path / "out", resume=True)["digest"] == whole[0]["digest"]
    assert contents(tmp_path / "out") == contents(whole[1])


@pytest.mark.parametrize("missing", [layout.SUMS, layout.SUMMARY])
def test_a_run_that_a_full_disk_stopped_at_its_end_goes_on_from_its_last_checkpoint(
    tmp_path, whole, monkeypatch, missing
):
    def full(path, text, written=files.write_text):
        if path.name == missing and checkpoint.files(path.parent):
            raise OSError(errno.ENOSPC, "No space left on device")
        written(path, text)

    with monkeypatch.context() as patch:
        for module in (recorder, sums):
            patch.setattr(module, "write_text", full)
        with pytest.raises(ResultError, match="cannot be written: No space left"):
            record(tmp_path / "out")
        # Once more when it goes on: what is there can be read.
        with pytest.raises(ResultError, match="cannot be written: No space left"):
            record(tmp_path / "out", resume=True)
        assert Result(tmp_path / "out").counts["step"].iloc[-1] == 12
    expected, folder = whole
    done = record(tmp_path / "out", resume=True)
    assert done["resumed_at_step"] == 9
    assert done["digest"] == expected["digest"]
    assert contents(tmp_path / "out") == contents(folder)


def test_a_folder_that_lost_rows_or_snapshots_goes_back_further(tmp_path, whole):
    record(tmp_path / "out", stop=11)
    counts = tmp_path / "out" / layout.COUNTS
    counts.write_bytes(b"".join(counts.read_bytes().splitlines(keepends=True)[:5]))  # to step 6
    with pytest.warns(UserWarning, match="its files do not match the checkpoint"):
        assert record(tmp_path / "out", resume=True)["resumed_at_step"] == 6
    assert contents(tmp_path / "out") == contents(whole[1])


def test_another_scenario_does_not_go_on_from_it(tmp_path):
    record(tmp_path / "out", stop=4)
    said = r'(?s)has changed since.*rules.arrival.rate: "0.02 /min" then, "0.03 /min" now'
    with pytest.raises(ResultError, match=said):
        record(tmp_path / "out", resume=True, text=TEXT.replace("0.02 /min", "0.03 /min"))
    assert steps_saved(tmp_path / "out") == [3]


def test_a_checkpoint_with_objects_in_it_is_refused(tmp_path):
    path = tmp_path / layout.CHECKPOINTS / "000000000001.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("evil.npy", "w") as file:
            np.lib.format.write_array(file, np.array([print], object), allow_pickle=True)
        archive.writestr("sha256", "0" * 64 + "  evil.npy\n")
    with pytest.raises(DamagedError, match="allow_pickle"):
        checkpoint.load(path)


def test_a_second_writer_is_refused_and_the_first_goes_on(tmp_path, whole):
    with simulation() as running, Recorder(running, tmp_path / "out") as recorder:
        for options in ({}, {"overwrite": True}, {"resume": True}):
            with pytest.raises(ResultError, match="another run is writing into it"):
                record(tmp_path / "out", **options)
        for _ in running.stretches():
            recorder.record()
        assert recorder.finish()["digest"] == whole[0]["digest"]
    record(tmp_path / "out", overwrite=True)


def test_a_vanished_folder_is_said(tmp_path):
    with simulation() as running, Recorder(running, tmp_path / "out") as recorder:
        shutil.rmtree(tmp_path / "out")
        running.step(2)
        with pytest.raises(ResultError, match="cannot be written: No such file"):
            recorder.record()
    assert not (tmp_path / "out").exists()


def test_a_state_gone_wrong_is_never_saved(tmp_path):
    with simulation() as running, Recorder(running, tmp_path / "out") as recorder:
        running.step(3)
        recorder.record()
        running.step()
        running.site.stack.state.fields[0, 0, 1, 1, 1] = np.nan
        with pytest.raises(gpusim.NumericalError):
            recorder.checkpoint()
        with pytest.raises(gpusim.NumericalError):
            recorder.finish()
    assert steps_saved(tmp_path / "out") == [3]
    assert Result(tmp_path / "out").times.tolist() == [0]


@pytest.mark.parametrize(
    ("until", "rules", "every"), [(12, 2, 4), (12, 2, 5), (11, 2, 4), (12, 4, 3), (11, 4, 3), (7, 7, 9), (12, 1, 1)]
)
def test_the_store_has_room_for_just_the_snapshots_that_come(tmp_path, until, rules, every):
    text = TEXT.replace("until: 12 min", f"until: {until} min").replace("rules: 2 min", f"rules: {rules} min")
    text = text.replace("{every: 4 min", f"{{every: {every} min")
    with simulation(text=text) as running, Recorder(running, tmp_path / "out") as recorder:
        room = recorder._group["time"].shape[0]
        for _ in running.stretches():
            recorder.record()
        recorder.finish()
    assert len(Result(tmp_path / "out").times) == room
