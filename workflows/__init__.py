"""Nipype workflows: GetNet, N4, and the two side by side; and a MultiProc that notices when a worker is killed."""

from .getnet import init_getnet_wf
from .n4 import init_n4_wf
from .plugin import WatchedMultiProcPlugin

__all__ = ["WatchedMultiProcPlugin", "init_getnet_wf", "init_n4_wf"]
