"""Results in the files of other tools: ParaView, napari, pandas, PhysiCell."""

from gpusim.exchange.formats import FORMATS, export, format_of

__all__ = ["FORMATS", "export", "format_of"]
