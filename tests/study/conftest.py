import textwrap

import pytest

pytest.importorskip("distributed")


@pytest.fixture(scope="session")
def connect():
    """A worker in this process."""
    from distributed import Client

    from gpusim.study.execution import Workers

    with Client(
        processes=False, n_workers=1, threads_per_worker=1, memory_limit=None, dashboard_address=":0"
    ) as client:
        yield lambda: Workers(client.get_executor(pure=False), 1)


DECAY = """
name: decay
grid: {shape: [1, 1, 1]}
time: {until: 1 h, step: {field: 1 min, rules: 30 min}}
fields: {drug: {unit: ng/mL, initial: 5, decay: 0.01 /min}}
"""

GROWTH = """
name: growth
grid: {shape: [8, 8, 8]}
time: {until: 12 h, step: {field: 30 min, rules: 30 min}}
states: {tumour: {}}
rules:
  division: {transition: empty -> tumour, rate: 0.002 /min, modulators: [{neighbours: tumour, per: 1}]}
  death: {transition: tumour -> empty, rate: 1e-4 /min}
tissue: {shapes: {seed: {kind: sphere, state: tumour, radius: 30 um}}}
"""


@pytest.fixture
def write(tmp_path):
    """Write a study file beside scenarios `decay.yaml` and `growth.yaml`."""
    (tmp_path / "decay.yaml").write_text(DECAY)
    (tmp_path / "growth.yaml").write_text(GROWTH)

    def text(study):
        path = tmp_path / "study.yaml"
        path.write_text(textwrap.dedent(study))
        return path

    return text
