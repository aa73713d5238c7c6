"""What another compiler, flag, SIMD width or number of threads must not change, and what sanitizers say.

builds.py, run by hand, goes further.
"""

import re
import shutil
import sys

import pytest
from backends.builds import digests, sanitized

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or shutil.which("g++") is None, reason="needs Linux and g++"
    ),
]


def test_optimisation_simd_width_and_threads_do_not_change_a_bit():
    found = dict(digests(4, ["g++"], ["-O0", "-O3"], ["native"], [1, 4]))
    found |= dict(digests(4, ["g++"], ["-O3"], ["SSE2"], [3]))
    assert len(found) == 6
    assert len(set(found.values())) == 1, found


@pytest.mark.parametrize("kind", ["address", "thread"])
def test_sanitizers_find_nothing_in_randomised_models(kind):
    assert sanitized(kind, "digest(6, Machine('cpu', 3))") == ""


@pytest.mark.parametrize(
    ("expression", "finding"), [("a[n]", "insufficient space|heap-buffer-overflow"), ("n << 40", "shift exponent")]
)
def test_sanitizers_find_what_is_wrong(expression, finding):
    source = f'extern "C" int f(int n) {{ int* a = new int[4](); int v = {expression}; delete[] a; return v; }}'
    assert re.search(
        finding, sanitized("address", f"from gpusim.backends import compiler; compiler.load({source!r}).f(4)")
    )
