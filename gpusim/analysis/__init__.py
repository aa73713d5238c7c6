"""What a state of the tissue means: tumour heat, lesions, immune phenotype."""

from gpusim.analysis.amount import Whole, volume_label, whole
from gpusim.analysis.heat import heat_of
from gpusim.analysis.phenotype import Lesion, Phenotype, lesions, phenotype, phenotype_of_table
from gpusim.analysis.reading import read_lesions
from gpusim.analysis.tumour import ALL_TUMOUR_CELLS, tumour_states

__all__ = [
    "ALL_TUMOUR_CELLS",
    "Lesion",
    "Phenotype",
    "Whole",
    "heat_of",
    "lesions",
    "phenotype",
    "phenotype_of_table",
    "read_lesions",
    "tumour_states",
    "volume_label",
    "whole",
]
