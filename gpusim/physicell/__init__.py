"""Import of PhysiCell models: settings, rules, cells and initial substrates as a scenario, with an account."""

from gpusim.physicell.project import Imported, import_project

__all__ = ["Imported", "import_project"]
