import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

import gpusim
from gpusim import ResultError
from gpusim.record import Recorder, Result

TEXT = """
name: small
grid: {shape: [6, 5, 4]}
time: {until: 10 min, step: {field: 1 min, rules: 2 min}}
record: {every: 4 min}
fields:
  virus: {unit: PFU/voxel, diffusion: 100 um^2/min, initial: 2}
states: {tumour: {}}
rules:
  growth: {transition: empty -> tumour, rate: 0.1 /min}
"""


def record(folder, **options):
    simulation = gpusim.Simulation(gpusim.Scenario.parse(TEXT), "numpy")
    with Recorder(simulation, folder, **options) as recorder:
        for _ in simulation.stretches():
            recorder.record()
        recorder.finish()
    return simulation


def test_a_result_opens_with_xarray_and_pandas(tmp_path):
    simulation = record(tmp_path / "out")
    with xr.open_zarr(tmp_path / "out" / "snapshots.zarr", consolidated=False) as data:
        assert data["virus"].dims == ("time", "z", "y", "x")
        assert data["virus"].attrs["units"] == "PFU/voxel"
        assert data["time"].values.tolist() == [0, 4, 8, 10]
        assert data["x"].values.tolist() == [10, 30, 50, 70, 90, 110]
        assert data["tissue"].attrs["flag_meanings"].split() == ["empty", "tumour", "none"]
        assert np.array_equal(data["tissue"].values[-1], simulation.tissue)
        assert np.array_equal(data["virus"].values[-1], simulation.field("virus"))
        assert gpusim.Scenario.parse(data.attrs["scenario"]).document == simulation.scenario.document
    counts = pd.read_csv(tmp_path / "out" / "counts.csv")
    assert counts["step"].tolist() == [0, 2, 4, 6, 8, 10]
    assert counts["cells.tumour"].iloc[-1] == simulation.count("tumour") == counts["fired.growth"].iloc[-1]
    assert counts["total.virus"].iloc[-1] == pytest.approx(240, rel=1e-6)


def test_the_digest_of_the_folder_is_that_of_the_run(tmp_path):
    simulation = record(tmp_path / "out")
    result = Result(tmp_path / "out")
    assert result.digest() == simulation.digest() == result.summary["digest"]
    assert result.dataset()["virus"].shape == (4, 4, 5, 6)


def test_the_digest_notices_one_bit(tmp_path):
    import zarr

    simulation = record(tmp_path / "out")
    group = zarr.open_group(str(tmp_path / "out" / "snapshots.zarr"), mode="r+")
    group["virus"][-1, 0, 0, 0] = np.nextafter(group["virus"][-1, 0, 0, 0], np.float32(9))
    with pytest.raises(ResultError, match=f"expected {simulation.digest()}"):
        Result(tmp_path / "out").digest()


def test_a_folder_with_a_result_is_kept_unless_told(tmp_path):
    record(tmp_path / "out")
    with pytest.raises(ResultError, match="is not empty"):
        record(tmp_path / "out")
    record(tmp_path / "out", overwrite=True)


def test_a_folder_of_other_files_is_never_overwritten(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ResultError, match="not overwritten"):
        record(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_what_is_no_result_is_said(tmp_path):
    with pytest.raises(ResultError, match="no such folder"):
        Result(tmp_path / "nowhere")
    with pytest.raises(ResultError, match="not a result of 'gpusim run'"):
        Result(tmp_path)


def damaged(data):
    """Bytes of a file that was cut short, overwritten or hit in the middle."""
    middle = len(data) // 2
    yield from (b"", data[:middle], b"\x00\xffrubbish {[")
    if data:
        yield data[:middle] + bytes([data[middle] ^ 0x55]) + data[middle + 1 :]


READ = {
    "summary": lambda result: result.summary,
    "counts": lambda result: result.counts,
    "states": lambda result: result.state_names,
    "spacing": lambda result: result.spacing,
    "unit": lambda result: result.unit("virus"),
    "tissue": lambda result: result.array("tissue", 1),
    "field": lambda result: result.array("virus"),
    "digest": lambda result: result.digest(),
    "dataset": lambda result: result.dataset(),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # xarray and zarr say what they pass over
def test_a_damaged_result_is_read_or_refused_in_a_line(tmp_path):
    record(tmp_path / "out")
    refusals = {}
    for path in sorted(p for p in (tmp_path / "out").rglob("*") if p.is_file()):
        whole = path.read_bytes()
        for data in (None, *damaged(whole)):
            path.unlink() if data is None else path.write_bytes(data)
            for name, read in READ.items():
                try:
                    read(Result(tmp_path / "out"))
                except gpusim.GpusimError as error:
                    refusals[name] = str(error)
        path.write_bytes(whole)
    assert refusals.keys() == READ.keys()
    assert all("\n" not in text and str(tmp_path) in text for text in refusals.values())
    assert Result(tmp_path / "out").digest() == Result(tmp_path / "out").summary["digest"]


def test_a_result_of_an_earlier_version_with_texts_on_sources_is_read(tmp_path):
    record(tmp_path / "out")
    path = tmp_path / "scenario.yaml"
    data = yaml.safe_load((tmp_path / "out" / "scenario.yaml").read_text(encoding="utf-8"))
    data.setdefault("states", {}).setdefault("old", {})["source"] = "Somebody et al. 1999."
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    assert "old" in gpusim.Scenario.recorded(path).document.states
    with pytest.raises(gpusim.ScenarioError, match="sources"):
        gpusim.Scenario.load(path)
