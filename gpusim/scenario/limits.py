"""Limits of what a scenario may say that follow from how it is computed."""

LONGEST_AXIS = 4096
"""Voxels: kernels have room for a row of so many."""

LARGEST = 1e15
"""Of a concentration, in its field's unit, that is still added up exactly."""

FINEST_PROBABILITY = 2.0**-32
"""Of mutations; they are multiples of it."""

LEAST_POWER, MOST_POWER = 0.01, 1000
"""Of a Hill function."""
