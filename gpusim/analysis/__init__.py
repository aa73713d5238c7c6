"""Analysis of states: tumour heat, lesions, immune phenotype."""

from gpusim.analysis.amount import Whole, volume_label, whole
from gpusim.analysis.heat import heat_of
from gpusim.analysis.phenotype import Lesion, Phenotype, lesions, phenotype, phenotype_of_table
from gpusim.analysis.reading import read_lesions
from gpusim.analysis.roles import (
    field_label,
    main_field,
    quantity_label,
    state_label,
    states_with,
    trait_label,
    tumour_cells_label,
    tumour_name,
    tumour_states,
    watched_states,
)

__all__ = [
    "Lesion",
    "Phenotype",
    "Whole",
    "field_label",
    "heat_of",
    "lesions",
    "main_field",
    "phenotype",
    "phenotype_of_table",
    "quantity_label",
    "read_lesions",
    "state_label",
    "states_with",
    "trait_label",
    "tumour_cells_label",
    "tumour_name",
    "tumour_states",
    "volume_label",
    "watched_states",
    "whole",
]
