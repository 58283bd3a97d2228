"""Thin nipype interfaces to the core and to ANTs, from files to files; torch and ants are imported only on a run."""

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
