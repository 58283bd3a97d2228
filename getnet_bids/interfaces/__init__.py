"""Nipype interfaces, thin: files in, core or ANTs, files out. torch and ants are imported only when one runs."""

from .fields import ApplyField, MeanVolume, SimulateGain
from .figure import ComparisonFigure
from .getnet import GetNetCorrection
from .inhomogeneity import InhomogeneityMetrics
from .n4 import N4Correction
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
