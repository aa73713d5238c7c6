import json

import pytest
from typer.testing import CliRunner

from gpusim.bench import COSTS
from gpusim.cli import app
from gpusim.errors import BackendError

run = CliRunner().invoke


def test_bench_prints_each_kernel_and_each_case():
    done = run(app, ["bench", "--backend", "cpu", "--threads", "1", "--voxels", "16", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["machine"]["bandwidth"] > 1e8
    assert told["machine"]["arithmetic"] > 1e8
    rows = {(row["kernel"], row["case"]): row for row in told["kernels"]}
    assert set(rows) == {(cost.kernel, cost.case) for cost in COSTS}
    for row in rows.values():
        assert row["ratio"] == pytest.approx(row["measured_ms"] / row["best_ms"])


@pytest.mark.slow
def test_predictions_need_no_gpu():
    pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings is not installed")
    done = run(app, ["bench", "--predict", "h100", "--voxels", "128", "--fields", "8"])
    assert done.exit_code == 0, done.output
    first, names, *rows = done.stdout.splitlines()
    assert "NVIDIA H100 SXM: 3350 GB/s" in first
    assert "registers" in names
    assert len(rows) == len(COSTS)


def test_numpy_has_no_kernels_to_time():
    with pytest.raises(BackendError, match="'numpy' has no kernels to time; expected cpu or cuda"):
        run(app, ["bench", "--backend", "numpy"], catch_exceptions=False)
