"""Exceptions, threads and forks at any moment of a step."""

import importlib.util
import os
import signal
import threading
from pathlib import Path

import pytest

import gpusim
from gpusim.backends import availability, create
from gpusim.errors import StateError
from gpusim.record import Recorder

spec = importlib.util.spec_from_file_location("interrupts", Path(__file__).with_name("interrupts.py"))
interrupts = importlib.util.module_from_spec(spec)
spec.loader.exec_module(interrupts)

needs_cpu = pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler")
OPERATIONS = (
    "explicit_step",
    "combine",
    "smooth_finest",
    "restrict_finest",
    "prolong",
    "deposit",
    "write",
    "count_members",
    "apply_rules",
    "advect",
    "react",
    "change_traits",
    "divide",
    "close_up",
    "swap_cells",
    "measure_outflow",
    "propose_moves",
    "move",
    "circulate",
    "foresee",
)
each_operation = pytest.mark.parametrize(
    ("one_backend_each", "operation"), [*((("cpu", 2), each) for each in OPERATIONS), (("numpy", None), "move")]
)


@pytest.fixture
def machine(one_backend_each):
    made = create(*one_backend_each)
    yield made
    made.close()


@pytest.fixture(scope="module")
def expected():
    simulation = interrupts.simulation("numpy")
    simulation.run("14 min")
    return simulation.digest()


@pytest.fixture
def raising():
    """SIGINT and SIGALRM raise."""
    before = {each: signal.signal(each, interrupts.interrupt) for each in (signal.SIGINT, signal.SIGALRM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def when(machine, monkeypatch, operation, action, call=1):
    """Let `action` happen once, before the given call of an operation."""
    method, calls = "write" if operation == "write" else "run", [0]
    original = getattr(machine, method)

    def called(*arguments, **named):
        calls[0] += method == "write" or arguments[0].kernel.name == operation
        if calls[0] == call:
            calls[0] += 1
            action()
        return original(*arguments, **named)

    monkeypatch.setattr(machine, method, called)


@needs_cpu
@each_operation
def test_a_handler_that_raises_leaves_a_whole_step(machine, raising, monkeypatch, operation, expected):
    simulation = interrupts.simulation(machine)
    simulation.step(6)
    when(machine, monkeypatch, operation, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(interrupts.Moment):
        simulation.run("14 min")
    assert 6 < simulation.steps < 14
    assert interrupts.holds_what_it_counts(simulation)
    simulation.run("14 min")
    assert simulation.digest() == expected


def test_further_signals_do_not_cut_the_wait_short(machine, raising, monkeypatch, expected):
    simulation = interrupts.simulation(machine)
    ended = threading.Event()

    def fire():
        for _ in range(3):
            signal.raise_signal(signal.SIGALRM)
        ended.wait(0.05)  # while the main thread waits

    when(machine, monkeypatch, "apply_rules", fire)
    with pytest.raises(interrupts.Moment):
        simulation.run()
    assert simulation.steps == 2
    simulation.run("14 min")
    assert simulation.digest() == expected


def test_random_moments(one_backend_each):
    assert interrupts.campaign(one_backend_each[0], 2, until="14 min") == (2, 0, 0)


def test_a_handler_may_look_at_the_simulation(machine, monkeypatch):
    simulation, seen = interrupts.simulation(machine), []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append((simulation.steps, simulation.counts)))
    try:
        when(machine, monkeypatch, "apply_rules", lambda: signal.raise_signal(signal.SIGINT))
        simulation.step(10)
    finally:
        signal.signal(signal.SIGINT, before)
    (found,) = seen
    assert sum(found[1].values()) == 2 * simulation.model.voxels


def fail():
    raise MemoryError("no room")


@needs_cpu
@each_operation
def test_a_step_that_fails_is_not_gone_on_from(machine, monkeypatch, operation, expected, tmp_path):
    simulation = interrupts.simulation(machine)
    simulation.step(6)
    kept = simulation.numbers, dict(simulation.arrays())
    with monkeypatch.context() as patch:
        when(machine, patch, operation, fail)
        with pytest.raises(MemoryError):
            simulation.run("14 min")
    message = r"step \d+ failed in its middle \(MemoryError: no room\)"
    for going_on in (simulation.step, simulation.run, simulation.digest, simulation.check):
        with pytest.raises(StateError, match=message):
            going_on()
    for look in ("counts", "fired", "tissue", "body"):
        with pytest.raises(StateError, match=message):
            getattr(simulation, look)
    with pytest.raises(StateError, match=message), Recorder(simulation, tmp_path / "out"):
        pass
    simulation.restore(*kept)
    simulation.run("14 min")
    assert simulation.digest() == expected


def test_all_replicates_are_restored_before_any_goes_on(monkeypatch):
    machine = create("numpy")
    simulation = gpusim.Simulation(gpusim.Scenario.parse(interrupts.SCENARIO), machine, seed=[1, 2])
    kept = [(each.numbers, dict(each.arrays())) for each in simulation.replicates]
    with monkeypatch.context() as patch:
        when(machine, patch, "move", fail)
        with pytest.raises(MemoryError):
            simulation.step()
    simulation.replicates[0].restore(*kept[0])
    with pytest.raises(StateError, match="step 1 failed in its middle"):
        simulation.step()
    simulation.replicates[1].restore(*kept[1])
    simulation.step()


def together(*actions):
    """Carry out actions on threads that begin at the same time; raises what one raises."""
    gate, errors = threading.Barrier(len(actions)), []

    def work(action):
        gate.wait()
        try:
            action()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_threads_that_run_one_simulation_end_where_one_does(machine, expected):
    simulation = interrupts.simulation(machine)

    def look():
        for _ in range(20):
            assert sum(simulation.counts.values()) == 2 * simulation.model.voxels

    together(lambda: simulation.run("14 min"), lambda: simulation.run("14 min"), look)
    assert (simulation.steps, simulation.digest()) == (14, expected)


def test_threads_that_share_a_backend_do_not_disturb_each_other(machine, expected):
    simulations = [interrupts.simulation(machine) for _ in range(2)]
    together(*(lambda each=each: each.run("14 min") for each in simulations))
    assert {each.digest() for each in simulations} == {expected}


def forked(action):
    """Exit status of `action` in a fork of this process, which an alarm ends where it hangs."""
    child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)
        try:
            os._exit(0 if action() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
@pytest.mark.parametrize("name", ["numpy", pytest.param("cpu", marks=needs_cpu)])
def test_a_forked_process_goes_on_with_threads_of_its_own(name, expected, monkeypatch):
    machine = create(name, 2)
    # Shares as small as the lattice, so that there is work for each thread.
    monkeypatch.setattr("gpusim.backends.cpu._SMALLEST_SHARE", 1)
    simulation = interrupts.simulation(machine)
    simulation.step(6)

    def go_on():
        simulation.run("14 min")
        return simulation.digest() == expected

    assert forked(go_on) == 0
    assert go_on()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_process_forked_in_the_middle_of_a_step_does_not_go_on(monkeypatch):
    machine, found = create("numpy"), []
    simulation = interrupts.simulation(machine)

    def refused():
        with pytest.raises(StateError, match="step 2 was cut off by a fork of the process"):
            simulation.step()
        return True

    when(machine, monkeypatch, "apply_rules", lambda: found.append(forked(refused)))
    simulation.step(4)
    assert found == [0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_device_is_not_used_in_a_forked_process():
    from gpusim.backends.worker import Worker

    worker = Worker(forks=False)
    assert worker.do(lambda: 1) == 1

    def refused():
        with pytest.raises(gpusim.BackendError, match="a forked process cannot use the GPU"):
            worker.do(lambda: 1)
        return True

    assert forked(refused) == 0
