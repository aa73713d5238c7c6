"""Every backend, the same bits: on randomised models, whatever the number of threads."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from machines import backend_parameters

import gpusim
from gpusim.backends import cpu
from gpusim.backends.numpy import slabs

FIELDS = ("alpha", "beta", "gamma")
TISSUE = ("one", "two", "three")
IMMUNE = ("killer", "helper")

sizes = st.sampled_from([1, 2, 3, 5, 8, 13, 17])
small = st.floats(0, 2)


@st.composite
def modulators(draw):
    kind = draw(st.sampled_from(["hill", "linear", "step", "neighbours", "contact", "body"]))
    if kind == "hill":
        return {
            "field": draw(st.sampled_from(FIELDS)),
            "half": draw(st.floats(0.01, 5)),
            "power": draw(st.integers(1, 4)),
            "effect": draw(st.sampled_from(["activates", "inhibits"])),
            "at_zero": draw(st.none() | small),
        }
    if kind == "linear":
        return {"field": draw(st.sampled_from(FIELDS)), "per": draw(st.floats(0.01, 5))}
    if kind == "step":
        return {"field": draw(st.sampled_from(FIELDS)), draw(st.sampled_from(["above", "below"])): draw(small)}
    states = draw(st.lists(st.sampled_from([*TISSUE, *IMMUNE, "empty", "none"]), min_size=1, max_size=4, unique=True))
    if kind == "contact":
        return {"contact": states, "at_zero": draw(st.none() | small)} | ({"half": 1} if draw(st.booleans()) else {})
    if kind == "body":
        return {"body": "drug", draw(st.sampled_from(["half", "per", "above"])): draw(st.floats(0.1, 5))}
    return {"neighbours": states, "neighbourhood": draw(st.sampled_from([6, 18, 26])), "per": draw(st.floats(0.5, 9))}


@st.composite
def rules(draw):
    layer = draw(st.sampled_from([("empty", *TISSUE), ("none", *IMMUNE)]))
    states = draw(st.permutations(layer))
    leaves = draw(st.integers(1, 2))
    return {
        "transition": f"{'|'.join(states[:leaves])} -> {states[leaves]}",
        "rate": f"{draw(st.sampled_from([0.001, 0.05, 0.3, 50.0]))} /min",
        "after": f"{draw(st.integers(0, 4))} min",
        "modulators": draw(st.lists(modulators(), max_size=3)),
        "releases": draw(st.dictionaries(st.sampled_from(FIELDS), small, max_size=2)),
        "to_body": draw(st.none() | st.just("blood")),
        "from_body": draw(st.none() | st.just("blood")),
    }


@st.composite
def motilities(draw):
    chemotaxis = st.fixed_dictionaries(
        {"field": st.sampled_from(FIELDS), "half": st.floats(0.01, 5), "sensitivity": st.just("300 um")}
    )
    return {
        "speed": draw(st.sampled_from(["1 um/min", "12 um/min", "90 um/min"])),
        "persistence": draw(st.sampled_from(["0 min", "3 min", "30 min"])),
        "chemotaxis": draw(st.none() | chemotaxis),
        "modulators": draw(st.lists(modulators(), max_size=2)),
    }


diffusivities = st.sampled_from([0, 1.5, 60, 700, 90000]).map(lambda d: f"{d} um^2/min")
tables = st.dictionaries(st.sampled_from(["empty", *TISSUE]), diffusivities, min_size=1)
sides = st.one_of(
    st.just("no-flux"),
    st.fixed_dictionaries({"value": small}),
    st.fixed_dictionaries({"permeability": st.sampled_from(["0.1 um/min", "50 um/min"]), "far": small}),
)


@st.composite
def boundaries(draw):
    axes = {axis: "periodic" for axis in "xyz" if draw(st.booleans())}
    ends = [f"{axis}_{end}" for axis in "xyz" if axis not in axes for end in ("low", "high")]
    return axes | {end: draw(sides) for end in ends if draw(st.booleans())}


@st.composite
def scenarios(draw):
    rates = small.map(lambda r: f"{r:.6f} /min")
    modulated = st.lists(modulators(), max_size=2)
    secretion = small | st.fixed_dictionaries({"rate": small, "modulators": modulated})
    loss = rates | st.fixed_dictionaries({"rate": rates, "modulators": modulated})
    wall = st.fixed_dictionaries(
        {"permeability": rates, "body": st.just("depot"), "volume": st.just("1e-7 mL"), "modulators": modulated}
    )
    effects = st.fixed_dictionaries(
        {},
        optional={
            "secretion": st.dictionaries(st.sampled_from(FIELDS), secretion, max_size=2),
            "uptake": st.dictionaries(st.sampled_from(FIELDS), loss, max_size=2),
            "exchange": st.dictionaries(st.sampled_from(FIELDS), wall, max_size=1),
            "motility": motilities(),
        },
    )
    states = {name: draw(effects) for name in TISSUE}
    states |= {name: {"layer": "immune"} | draw(effects) for name in IMMUNE}
    shapes = {
        f"s{i}": {"kind": "everywhere", "state": name, "fraction": draw(st.floats(0.2, 0.9))}
        for i, name in enumerate((*TISSUE, *IMMUNE))
    }
    return {
        "grid": {"shape": [draw(sizes), draw(sizes), draw(sizes)]},
        "seed": draw(st.integers(0, 2**64 - 1)),
        "time": {"until": "8 min", "step": {"field": "1 min", "rules": f"{draw(st.integers(1, 3))} min"}},
        "record": {"every": "8 min"},
        "fields": {
            name: {
                "unit": "ng/mL",
                "diffusion": draw(
                    st.one_of(diffusivities, st.builds(lambda t, d: t | {"default": d}, tables, diffusivities))
                ),
                "boundary": draw(st.one_of(st.just({}), boundaries())),
                "decay": f"{draw(st.sampled_from([0, 0.01, 0.5, 3]))} /min",
                "initial": draw(small),
                "clearance": draw(st.dictionaries(st.sampled_from(["c", "d"]), loss, max_size=2)),
                "solver": draw(st.sampled_from(["auto", "explicit", "implicit", "implicit2", "steady"])),
            }
            for name in FIELDS
        },
        "states": states,
        "rules": {f"r{i}": draw(rules()) for i in range(draw(st.integers(0, 6)))},
        "tissue": {"shapes": shapes},
        "therapies": {
            "dose": {"inject": "alpha", "amount": "9 fg", "radius": "50 um", "start": "2 min"},
            "infusion": {"infuse": "drug", "amount": 3, "start": "3 min"},
        },
        "body": {
            "quantities": {
                "blood": {"initial": 40},
                "drug": {"unit": "mg", "initial": 1},
                "depot": {"unit": "ng", "initial": 1e-7},
            },
            "processes": {"decay": {"transition": "drug -> nothing", "rate": "0.1 /min"}},
        },
    }


def without_blanks(value):
    if isinstance(value, dict):
        return {k: without_blanks(v) for k, v in value.items() if v is not None}
    return [without_blanks(v) for v in value] if isinstance(value, list) else value


@pytest.fixture(scope="module", autouse=True)
def share_small_launches():
    """Let threads share even the small lattices of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "_SMALLEST_SHARE", 64)
        yield


def run(data, backend, threads):
    import yaml

    scenario = gpusim.Scenario.parse(yaml.safe_dump(without_blanks(data)))
    with gpusim.Simulation(scenario, backend, threads=threads) as simulation:
        for _ in simulation.stretches():
            pass
        try:
            totals = simulation.totals()
        except gpusim.NumericalError as error:
            totals = {"fault": str(error)}
        return simulation.digest(), simulation.fired, simulation.counts, simulation.body, totals


def fits(data):
    """A shape may cover no voxel of a tiny grid: that is refused, and tested elsewhere."""
    try:
        return run(data, "numpy", None)
    except gpusim.ScenarioError as error:
        if "covers no voxel" in str(error) or "'steady' needs a decay" in str(error):
            return None
        raise


@pytest.mark.parametrize("other", backend_parameters()[1:])
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=scenarios())
def test_randomised_models_end_in_the_same_bits_on_every_backend(other, data):
    expected = fits(data)
    if expected:
        assert run(data, *other) == expected


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(data=scenarios(), planes=st.integers(1, 4))
def test_the_slabs_of_numpy_do_not_matter(data, planes):
    expected = fits(data)
    nx, ny, _ = data["grid"]["shape"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slabs, "SLAB_VOXELS", planes * nx * ny)
        assert fits(data) == expected


def test_sums_are_exact_and_faults_are_found(one_backend_each):
    from gpusim.backends import create

    backend = create(*one_backend_each)
    values = np.random.default_rng(1).random((2, 5, 7, 9)).astype(np.float32) * np.float32(1e4)
    sums = backend.sum_fields(backend.array(values))
    exact = [sum(int(v * 2.0**32) for v in field.ravel().astype(float)) for field in values]
    assert [int(w) * 2**32 + int(f) for w, f in zip(sums.whole, sums.fraction, strict=True)] == exact
    assert np.all(sums.fault == np.uint64(2**64 - 1))
    values[1, 2, 3, 4] = np.nan
    values[1, 4, 0, 0] = -1
    values[0, 0, 0, 1] = np.inf
    assert backend.sum_fields(backend.array(values)).fault.tolist() == [1, (2 * 7 + 3) * 9 + 4]
    backend.close()


def test_rows_that_go_past_the_cache_have_the_same_bits():
    # Over 32 MB a launch: the host then gathers lines (kernels/host.hpp). Odd rows begin within a line.
    shape = (64, 127, 131)
    names = [f"f{i}" for i in range(4)]
    scenario = gpusim.Scenario.parse("grid: {shape: [131, 127, 64]}").with_(
        fields={name: {"unit": "ng/mL", "diffusion": "100 um^2/min", "decay": "0.1 /min"} for name in names}
    )
    start = np.random.default_rng(3).random((4, *shape), np.float32)
    results = []
    for backend, threads in (("numpy", None), ("cpu", 2)):
        with gpusim.Simulation(scenario, backend, threads=threads) as simulation:
            simulation.site.state.fields = simulation.backend.array(start)
            simulation.step()
            results.append(simulation.digest())
    assert results[0] == results[1]
