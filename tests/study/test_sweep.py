import csv
import os
import signal
import sys
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from distributed import default_client

import gpusim
from gpusim.record import sums
from gpusim.study.design import points
from gpusim.study.execution import Setting, shares, workers
from gpusim.study.folder import put
from gpusim.study.runs import Study
from gpusim.study.sweep import save, sweep

pytestmark = pytest.mark.slow

GROWING = """\
name: growing
scenario: growth.yaml
parameters:
  rules.division.rate: {from: 0.001 /min, to: 0.008 /min, levels: 2}
arms:
  control:
  killing: {rules.death.rate: 0.001 /min}
replicates: 3
outcomes:
  tumour: {count: tumour, at: [0 min, 6 h, 12 h]}
  size: {volume: tumour}
  deaths: {fired: death}
"""


def setting(study, folder, **more):
    return Setting(folder, "numpy", 1, **more)


def run(path, folder, connect, **more):
    study = Study.load(path)
    return sweep(study, points(study.document), setting(study, folder, **more), connect)


def log(folder):
    with (folder / "log.csv").open(newline="") as file:
        return [(key, event) for _, key, event, _, _ in csv.reader(file)]


def test_a_table_holds_what_single_runs_give(write, tmp_path, connect):
    frame = run(write(GROWING), tmp_path / "out", connect)
    assert list(frame.columns[:5]) == ["point", "arm", "replicate", "seed", "rules.division.rate"]
    assert frame.attrs["units"] == {"rules.division.rate": "/min"}
    assert len(frame) == 12
    assert (frame["failure"] == "").all()
    row = frame.iloc[-1]
    scenario = gpusim.Scenario.load(
        tmp_path / "growth.yaml", {"rules.division.rate": "0.008 /min", "rules.death.rate": "0.001 /min"}
    )
    with gpusim.Simulation(scenario, "numpy", seed=int(row["seed"])) as simulation:
        assert row["tumour@0 min"] == simulation.count("tumour")
        simulation.run(until="6 h")
        assert row["tumour@6 h"] == simulation.count("tumour")
        simulation.run()
        assert row["tumour@12 h"] == simulation.count("tumour")
        assert row["size"] == pytest.approx(simulation.count("tumour") * 8e-6, rel=1e-12)
        assert row["deaths"] == simulation.fired["death"]


def test_replicates_that_are_stepped_together_give_the_same_table(write, tmp_path, connect):
    path = write(GROWING + "keep: stores\n")
    apart = run(path, tmp_path / "apart", connect)
    together = run(path, tmp_path / "together", connect, together=2)
    pd.testing.assert_frame_equal(together, apart, check_exact=True)
    assert Counter(event for _, event in log(tmp_path / "together")) == {"begun": 12, "finished": 12}
    for store in apart["store"]:
        counts = [(tmp_path / way / store / "counts.csv").read_bytes() for way in ("apart", "together")]
        assert counts[0] == counts[1]


def test_without_dask_processes_give_the_same_table(write, tmp_path, connect, monkeypatch):
    path = write(GROWING)
    by_dask = run(path, tmp_path / "dask", connect)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with workers(2) as processes:
        by_processes = run(path, tmp_path / "processes", lambda: processes)
    assert processes.page is None
    pd.testing.assert_frame_equal(by_processes, by_dask, check_exact=True)


BURSTING = """\
name: bursting
scenario: bursts.yaml
replicates: 8
outcomes: {left: {count: cell}}
"""
BURSTS = """\
grid: {shape: [1, 1, 1]}
time: {until: 10 min, step: {field: 10 min, rules: 10 min}}
record: {every: 10 min}
fields: {a: {unit: ng/mL}}
states: {cell: {}}
rules: {burst: {transition: cell -> empty, rate: 0.07 /min, releases: {a: 1e20}}}
tissue: {background: cell}
"""


def test_of_runs_that_are_stepped_together_each_has_its_own_failure(write, tmp_path, connect):
    path = write(BURSTING)
    path.with_name("bursts.yaml").write_text(BURSTS)
    apart = run(path, tmp_path / "apart", connect)
    assert 0 < (apart["failure"] != "").sum() < 8
    together = run(path, tmp_path / "together", connect, together=8)
    pd.testing.assert_frame_equal(together, apart, check_exact=True)


def test_arms_are_paired_by_their_random_numbers(write, tmp_path, connect):
    """Replicates of both arms start alike: their difference varies less than that of unpaired ones."""
    study = GROWING.replace("replicates: 3", "replicates: 12").replace("0.001 /min}", "1.1e-4 /min}")
    frame = run(write(study), tmp_path / "out", connect)
    fast = frame[frame["point"] == 0].pivot(index="replicate", columns="arm", values="tumour@6 h")
    paired = np.var(fast["control"] - fast["killing"])
    assert paired < 0.5 * (np.var(fast["control"]) + np.var(fast["killing"]))


def test_nothing_is_run_twice_and_more_points_only_add(write, tmp_path, connect):
    first = run(write(GROWING), tmp_path / "out", connect)
    again = run(write(GROWING), tmp_path / "out", connect)
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    assert len(log(tmp_path / "out")) == 24
    more = run(write(GROWING.replace("levels: 2", "levels: 3")), tmp_path / "out", connect)
    assert len(log(tmp_path / "out")) == 24 + 12
    ends = more[more["point"] != 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(ends.drop(columns="point"), first.drop(columns="point"), check_exact=True)


def test_a_failed_run_is_listed_and_tried_again(write, tmp_path, connect):
    study = GROWING.replace("{from: 0.001 /min, to: 0.008 /min, levels: 2}", "[0.001 /min, 0.002 /min]")
    study = study.replace("parameters:", "parameters:\n  time.step.rules: [30 min, 45 min]")
    frame = run(write(study), tmp_path / "out", connect)
    failed = frame[frame["failure"] != ""]
    assert set(failed["point"]) == {2, 3}
    assert "time.step.rules: expected a multiple of time.step.field (30 min), found 45 min" in failed["failure"].iloc[0]
    assert failed["tumour@6 h"].isna().all()
    assert Counter(event.split(":")[0] for _, event in log(tmp_path / "out")) == {
        "begun": 24, "finished": 12, "failed": 12
    }  # fmt: skip
    run(write(study), tmp_path / "out", connect)
    assert Counter(event.split(":")[0] for _, event in log(tmp_path / "out"))["finished"] == 12


def test_a_time_that_is_no_step_or_after_the_end_is_said(write, tmp_path, connect):
    frame = run(write(GROWING.replace("[0 min, 6 h, 12 h]", "13 h")), tmp_path / "a", connect)
    assert frame["failure"][0] == "at: '13 h' is after the end of the run (12 h)"
    frame = run(write(GROWING.replace("[0 min, 6 h, 12 h]", "7 min")), tmp_path / "b", connect)
    assert "expected a multiple of the step (30 min), found 7 min" in frame["failure"][0]


def test_stores_are_kept_on_request(write, tmp_path, connect):
    frame = run(write(GROWING + "keep: stores\n"), tmp_path / "out", connect)
    from gpusim.record import Result

    result = Result(tmp_path / "out" / frame["store"][11])
    assert result.summary["counts"]["tumour"] == frame["tumour@12 h"][11]
    assert result.summary["seed"] == frame["seed"][11]


def test_values_that_are_no_quantities_are_text(write, tmp_path, connect):
    study = GROWING.replace(
        "rules.division.rate: {from: 0.001 /min, to: 0.008 /min, levels: 2}",
        "grid.shape: [[8, 8, 8], [6, 6, 6]]\n  rules.division.rate: [0.001 /min, 0.06 /h]",
    )
    frame = run(write(study), tmp_path / "out", connect)
    assert list(frame["grid.shape"].unique()) == ["[8, 8, 8]", "[6, 6, 6]"]
    assert np.allclose(frame["rules.division.rate"], 0.001, rtol=1e-12)
    save(frame, tmp_path / "table.parquet")
    back = pd.read_parquet(tmp_path / "table.parquet")
    pd.testing.assert_frame_equal(back, frame, check_exact=True)
    assert back.attrs == frame.attrs


def test_cores_are_shared_out_and_memory_bounds_the_workers(monkeypatch):
    monkeypatch.setattr("gpusim.study.execution.available_threads", lambda: 16)
    assert shares(memory=1, free=1000, backend="cpu") == (16, 1)
    assert shares(memory=250, free=1000, backend="cpu") == (4, 4)
    assert shares(memory=2000, free=1000, backend="cpu") == (1, 16)


CELLS = """\
name: cells
grid: {shape: [4, 4, 4]}
time: {until: 1 h, step: {field: 30 min, rules: 30 min}}
states: {tumour: {}}
tissue: {cells: cells.csv, types: [{state: tumour, where: {type: t}}]}
"""
COUNTED = "name: counted\nscenario: cells.yaml\noutcomes: {tumour: {count: tumour}}\n"


def test_an_input_that_has_changed_is_said_and_its_runs_are_not_taken(write, tmp_path, connect):
    def table(*rows):
        (tmp_path / "cells.csv").write_text("x,y,z,type\n" + "".join(f"{x},10,10,t\n" for x in rows))

    path = write(COUNTED)
    (tmp_path / "cells.yaml").write_text(CELLS)
    table(10)
    assert run(path, tmp_path / "out", connect)["tumour"].tolist() == [4]
    table(10, 30, 50)
    with pytest.raises(gpusim.ResultError, match=r"(?s)has changed since.*cells.csv: \w+\.\.\. then, \w+\.\.\. now"):
        run(path, tmp_path / "out", connect)
    with pytest.warns(UserWarning, match="is run again"):
        assert run(path, tmp_path / "out", connect, rerun=True)["tumour"].tolist() == [12]
    table(10)  # the runs of the first table are still there
    with pytest.warns(UserWarning, match="is run again"):
        assert run(path, tmp_path / "out", connect, rerun=True)["tumour"].tolist() == [4]
    assert Counter(event for _, event in log(tmp_path / "out")) == {"begun": 2, "finished": 2}


def test_damaged_outcomes_are_told_and_run_again(write, tmp_path, connect):
    first = run(write(GROWING), tmp_path / "out", connect)
    kept = sorted((tmp_path / "out" / "runs").iterdir())
    kept[0].write_text("{}")
    kept[1].write_bytes(kept[1].read_bytes().replace(b"0", b"1", 1))
    with pytest.warns(UserWarning, match="is damaged.*this run is repeated"):
        again = run(write(GROWING), tmp_path / "out", connect)
    pd.testing.assert_frame_equal(again, first, check_exact=True)
    assert Counter(event for _, event in log(tmp_path / "out"))["begun"] == 12 + 2


def test_workers_of_this_machine_are_seen_by_it_alone_and_a_failing_start_is_tried_again(monkeypatch):
    asked = []

    class Cluster:
        def __init__(self, **options):
            asked.append(options)
            raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr("distributed.LocalCluster", Cluster)
    with pytest.raises(gpusim.BackendError, match="workers cannot be started: Nanny failed"), workers(2):
        pass
    assert [options["dashboard_address"] for options in asked] == ["127.0.0.1:0"] * 3
    with pytest.raises(gpusim.BackendError), workers(2, dashboard="0.0.0.0:8787"):
        pass
    assert asked[-1]["dashboard_address"] == "0.0.0.0:8787"


@pytest.mark.slow
def test_a_killed_worker_costs_only_its_own_run(write, tmp_path):
    """64 points on 2 workers, one killed half-way: complete, nothing run twice after it finished, as on 1 worker."""
    path = write(
        """
        name: killed
        scenario: growth.yaml
        parameters:
          rules.division.rate: {from: 0.0005 /min, to: 0.004 /min}
          rules.death.rate: {from: 1e-5 /min, to: 1e-2 /min, scale: log}
        design: {kind: sobol, points: 64}
        outcomes: {tumour: {count: tumour, at: [6 h, 12 h]}, deaths: {fired: death}}
        """
    )
    study, done, killed = Study.load(path), [], []
    design = points(study.document)

    with workers(2) as two_workers:
        client = default_client()

        def tell(run, how):
            done.append(run.key)
            if len(done) == 32:
                killed.append(next(iter(client.run(os.getpid).values())))
                os.kill(killed[0], signal.SIGKILL)

        two = sweep(study, design, setting(study, tmp_path / "two"), lambda: two_workers, tell)
        one_left = client.nthreads()
    assert killed
    assert one_left
    assert len(two) == 64
    assert (two["failure"] == "").all()
    assert sorted(done) == sorted(run.key for run in study.runs(design))
    finished = set()
    for key, event in log(tmp_path / "two"):
        assert event != "begun" or key not in finished, "run again after it had finished"
        if event in {"finished", "found"}:  # the kill may fall between the outcomes and their line in the log
            finished.add(key)
    assert len(finished) == 64

    with workers(1) as one_worker:
        one = sweep(study, design, setting(study, tmp_path / "one"), lambda: one_worker)
    pd.testing.assert_frame_equal(two, one, check_exact=True)
    save(two, tmp_path / "two.parquet")
    save(one, tmp_path / "one.parquet")
    assert (tmp_path / "two.parquet").read_bytes() == (tmp_path / "one.parquet").read_bytes()


def test_a_file_that_is_listed_anew_hides_no_damage_of_another(tmp_path):
    put(tmp_path, "study.yaml", "a")
    put(tmp_path, "table", "b")
    (tmp_path / "table").write_text("c")
    put(tmp_path, "study.yaml", "d")
    assert list(sums.problems(tmp_path)) == [f"{tmp_path / 'table'}: is damaged: not what was written"]
    (tmp_path / "table").unlink()
    put(tmp_path, "study.yaml", "e")
    assert not list(sums.problems(tmp_path))
