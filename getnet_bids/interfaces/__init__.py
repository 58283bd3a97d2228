"""Nipype interfaces, thin: files in, core or ANTs, files out. torch and ants are imported only when one runs."""

from .figure import ComparisonFigure
from .gain import SimulateGain
from .getnet import GetNetCorrection
from .inhomogeneity import InhomogeneityMetrics
from .n4 import N4Correction
from .tissues import TissueSegmentation

__all__ = [
    "ComparisonFigure",
    "GetNetCorrection",
    "InhomogeneityMetrics",
    "N4Correction",
    "SimulateGain",
    "TissueSegmentation",
]
