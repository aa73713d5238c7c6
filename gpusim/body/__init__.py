"""What is not on a lattice: blood, lymph node, drugs, as ordinary differential equations."""

from gpusim.body.circulation import Circulation

__all__ = ["Circulation"]
