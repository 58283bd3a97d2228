"""Nipype interfaces, thin: files in, core or ANTs, files out. torch and ants are imported only when one runs."""

from .gain import SimulateGain
from .getnet import GetNetCorrection
from .inhomogeneity import InhomogeneityMetrics
from .n4 import N4Correction

__all__ = ["GetNetCorrection", "InhomogeneityMetrics", "N4Correction", "SimulateGain"]
