"""Nipype workflows for GetNet, N4 and their comparison, and a MultiProc plugin that notices when a worker is killed."""

from .comparison import init_comparison_wf, init_tissue_wf
from .corrections import init_getnet_wf, init_n4_wf
from .plugin import LinearPlugin, WatchedMultiProcPlugin

__all__ = [
    "LinearPlugin",
    "WatchedMultiProcPlugin",
    "init_comparison_wf",
    "init_getnet_wf",
    "init_n4_wf",
    "init_tissue_wf",
]
