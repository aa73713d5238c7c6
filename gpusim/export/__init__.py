"""Export of results to the formats of other tools: ParaView, napari, pandas, PhysiCell."""

from gpusim.export.formats import FORMATS, export, format_of

__all__ = ["FORMATS", "export", "format_of"]
