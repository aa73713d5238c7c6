"""Mutation testing: small faults put into the scenario model and the rule engine, one at a time; do tests notice?

    pip install cosmic-ray
    PYTHONPATH=tests python tests/mutation/campaign.py OUT.jsonl [SECONDS [MODULE...]]

Mutants are cosmic-ray's, in an order drawn at random but the same each time. No file is changed: each mutant lives
in a fork of a process that has loaded everything, which takes half a second instead of four, and runs the quick
tests of that module until one fails, then the others. A line of OUT.jsonl for each mutant; those that stand there
already are not tried again. SECONDS are shared out among the modules.
"""

import ast
import contextlib
import difflib
import importlib
import json
import os
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parents[2]
_LONGEST = 60
_MOST_ALIKE = 3
_MOST_MEMORY = 8 << 30
_OF_MODELS = (
    ("tests/model",),
    (
        "tests/scenario",
        "tests/verification/test_effects.py",
        "tests/verification/test_rules.py",
        "tests/verification/test_exchange_with_body.py",
        "tests/engine/test_therapies.py",
        "tests/body",
    ),
)
_OF_SCENARIOS = (
    ("tests/scenario/test_checks.py", "tests/scenario/test_loading.py"),
    ("tests/model", "tests/body", "tests/engine/test_therapies.py"),
)
_OF_RULES = (
    ("tests/backends/test_rules.py", "tests/backends/test_random.py"),
    (
        "tests/verification/test_rules.py",
        "tests/verification/test_effects.py",
        "tests/verification/test_exchange_with_body.py",
        "tests/verification/test_motion.py",
        "tests/backends/test_bits.py",
    ),
)
TESTS = {
    "gpusim/model/tables.py": _OF_MODELS,
    "gpusim/model/cells.py": _OF_MODELS,
    "gpusim/model/build.py": _OF_MODELS,
    "gpusim/scenario/checks.py": _OF_SCENARIOS,
    "gpusim/scenario/loading.py": _OF_SCENARIOS,
    "gpusim/backends/numpy/rules.py": _OF_RULES,
    "gpusim/backends/numpy/modulators.py": _OF_RULES,
    "gpusim/backends/numpy/random.py": _OF_RULES,
}
"""The tests of each module: the quick ones, and those for what survives them."""


class Mutant(NamedTuple):
    """A change to a module: which operator of cosmic-ray, and where."""

    module: str
    operator: str
    occurrence: int
    line: int


def _annotations(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where type annotations stand, which no program reads: (line, column) of first and end."""
    found = []
    for node in ast.walk(ast.parse(source)):
        for name in ("annotation", "returns"):
            hint = getattr(node, name, None)
            if hint is not None:
                found.append(((hint.lineno, hint.col_offset), (hint.end_lineno, hint.end_col_offset)))
    return found


def mutants(module: str) -> list[Mutant]:
    """Mutants of a module, shuffled; not of type annotations, and at most three of a kind at one place."""
    source = (ROOT / module).read_text()
    hints, nodes, found = _annotations(source), list(ast_nodes(get_ast(source))), []
    kept: list[Mutant] = []
    for name in operator_names():
        operator = get_operator(name)
        if operator.arguments() or name.endswith("NoOp"):
            continue
        places = (place for node in nodes for place in operator().mutation_positions(node))
        for occurrence, (first, _) in enumerate(places):
            if not any(begin <= first < end for begin, end in hints):
                found.append((first, Mutant(module, name, occurrence, first[0])))
    random.Random(0).shuffle(found)
    alike = Counter()
    for place, mutant in found:
        # Of the dozen operators that one may be replaced by, a few.
        alike[place, mutant.operator.split("_")[0]] += 1
        if alike[place, mutant.operator.split("_")[0]] <= _MOST_ALIKE:
            kept.append(mutant)
    return kept


def _in_a_function(source: str, line: int) -> bool:
    return any(
        node.body[0].lineno <= line <= (node.end_lineno or 0)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    )


def _functions(module: ModuleType) -> Iterator[tuple[str, FunctionType]]:
    """Functions and methods that a module defines, by name."""
    own = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
    inner = [value for each in own if isinstance(each, type) for value in vars(each).values()]
    for value in (*own, *inner):
        function = getattr(value, "fget", None) or getattr(value, "__func__", value)
        if isinstance(function, FunctionType):
            yield function.__qualname__, function


def _take(module: str, source: str, line: int) -> None:
    """Let the package have `source` for a module: its functions' code alone, where the mutant is in one."""
    path, name = str(ROOT / module), module.removesuffix(".py").replace("/", ".")
    code = compile(source, path, "exec")
    if _in_a_function((ROOT / module).read_text(), line):
        mutated = ModuleType(name)
        exec(code, mutated.__dict__)
        changed = dict(_functions(mutated))
        for qualname, function in _functions(sys.modules[name]):
            function.__code__ = changed[qualname].__code__
        return
    original = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, name: str) -> Any:
        return code if self.path == path else original(self, name)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
    for loaded in [loaded for loaded in sys.modules if loaded.split(".")[0] == "gpusim"]:
        del sys.modules[loaded]


def _arguments(tests: Iterable[str]) -> list[str]:
    options = ["-xq", "-p", "no:cacheprovider", "--hypothesis-seed=0", "-m", "not slow", "-k", "not cpu2 and not cuda"]
    return [*options, *(str(ROOT / test) for test in tests)]


def _tested(module: str, source: str, line: int) -> int:
    """pytest's exit code with `source` for a module, in a process of its own; below 0 where a signal ended it."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (_LONGEST, _LONGEST))
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        code = 99
        with contextlib.suppress(BaseException):
            _take(module, source, line)
            for tests in TESTS[module]:
                code = int(pytest.main(_arguments(tests)))
                if code:
                    break
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _difference(before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))


def attempts(module: str, known: set[tuple], seconds: float) -> Iterator[dict[str, Any]]:
    """Try the mutants of a module that are not known yet, until the time is up."""
    source, end = (ROOT / module).read_text(), time.monotonic() + seconds
    for mutant in mutants(module):
        if time.monotonic() > end:
            return
        if tuple(mutant) in known:
            continue
        changed = mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence)
        begin, code = time.monotonic(), _tested(module, changed, mutant.line)
        # 1 is a failed test, 2 and 4 a module that can't be imported, a signal that of a limit.
        said = "killed (limit)" if code < 0 else {0: "survived", 1: "killed"}.get(code, "killed (import)")
        took = round(time.monotonic() - begin, 2)
        yield mutant._asdict() | {"outcome": said, "seconds": took, "diff": _difference(source, changed)}


def _load_all() -> None:
    """What a fork then has: the package, the libraries, the units."""
    for name in ("gpusim.cli", "gpusim.study.verdict", "gpusim.verification", "hypothesis", "scipy.stats"):
        importlib.import_module(name)
    for module in TESTS:
        importlib.import_module(module.removesuffix(".py").replace("/", "."))
    importlib.import_module("gpusim").Scenario.load("cold-to-hot")


def main() -> None:
    """Run a campaign and say what survived."""
    out, seconds = Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else float("inf")
    modules = sys.argv[3:] or list(TESTS)
    os.chdir(ROOT)
    _load_all()
    lines = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    known = {tuple(line[key] for key in Mutant._fields) for line in lines}
    with out.open("a") as file:
        for module in modules:
            for line in (0, len((ROOT / module).read_text().splitlines())):
                if code := _tested(module, (ROOT / module).read_text(), line):
                    sys.exit(f"{module}: its tests fail without a mutant (exit code {code})")
            for attempt in attempts(module, known, seconds / len(modules)):
                file.write(json.dumps(attempt) + "\n")
                file.flush()
                lines.append(attempt)
    for line in lines:
        if line["outcome"] == "survived":
            print(f"{line['module']}:{line['line']}\n{line['diff']}\n")
    for module in modules:
        counts = Counter(line["outcome"] for line in lines if line["module"] == module)
        print(f"{module}: {sum(counts.values())} of {len(mutants(module))} mutants tried:", dict(counts))


if __name__ == "__main__":
    main()
