"""Limits of what a scenario may say that follow from how it is computed."""

LONGEST_AXIS = 4096
"""Voxels: kernels have room for a row of so many."""

LARGEST = 1e15
"""Of a concentration, in its field's unit, that is still added up exactly."""
