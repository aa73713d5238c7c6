"""Randomised models."""

import os
import subprocess
import sys

_PRINTED = (
    "from random import Random; from gpusim.verification.models import randomised; "
    "print([randomised(Random(number)) for number in range(60)])"
)


def printed(hash_seed: str) -> str:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", _PRINTED]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_a_randomised_model_depends_on_its_number_alone():
    """Python orders sets of texts anew in every process unless PYTHONHASHSEED is given."""
    assert printed("1") == printed("2")
