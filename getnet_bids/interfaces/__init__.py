"""Nipype interfaces, thin: files in, core or ANTs, files out. torch and ants are imported only when one runs."""

from .figure import ComparisonFigure
from .gain import SimulateGain
from .getnet import GetNetCorrection
from .inhomogeneity import InhomogeneityMetrics
from .n4 import N4Correction
from .series import ApplyField, MeanVolume
from .tissues import TissueSegmentation

__all__ = [
    "ApplyField",
    "ComparisonFigure",
    "GetNetCorrection",
    "InhomogeneityMetrics",
    "MeanVolume",
    "N4Correction",
    "SimulateGain",
    "TissueSegmentation",
]
