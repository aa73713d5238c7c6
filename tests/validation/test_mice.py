"""Tumours in mice that grow to a multiple of their cells."""

import numpy as np
import pandas as pd
import pytest
from validation.mice import days_to


def test_days_to_a_multiple_are_read_along_an_exponential():
    frame = pd.DataFrame({"day": [11.0, 12.0, 13.0], "cells": [100, 200, 400]})
    assert days_to(frame, 2 * np.sqrt(2)) == pytest.approx(12.5)
    assert days_to(frame, 5) == np.inf


def test_a_multiple_counts_once_the_tumour_stays_above_it():
    frame = pd.DataFrame({"day": [0.0, 1.0, 2.0, 3.0, 4.0], "cells": [100, 200, 100, 200, 400]})
    assert days_to(frame, np.sqrt(2)) == pytest.approx(2.5)
