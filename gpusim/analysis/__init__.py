"""What a state of the tissue means: tumour heat, lesions, immune phenotype."""

from gpusim.analysis.heat import heat_of
from gpusim.analysis.phenotype import Lesion, Phenotype, lesions, phenotype, phenotype_of_table
from gpusim.analysis.reading import read_lesions

__all__ = ["Lesion", "Phenotype", "heat_of", "lesions", "phenotype", "phenotype_of_table", "read_lesions"]
