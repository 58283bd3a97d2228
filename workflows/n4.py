"""Correction by N4, to compare with."""

from __future__ import annotations

from typing import Any

from nipype import Node, Workflow
from nipype.interfaces.utility import IdentityInterface

from getnet_bids.interfaces import N4Correction

MEM_GB = 2.0
"""Upper estimate of the memory that the correction of one head takes, GB."""


def init_n4_wf(
    *,
    backend: str = "antspyx",
    settings: dict[str, Any] | None = None,
    omp_nthreads: int = 1,
    mem_scale: float = 1.0,
    name: str = "n4_wf",
) -> Workflow:
    """Build a workflow that corrects the intensity of an image by N4.

    Workflow Graph
        .. workflow::
            :graph2use: orig
            :simple_form: yes

            from getnet_bids.workflows import init_n4_wf
            wf = init_n4_wf()

    Parameters
    ----------
    backend : {"antspyx", "ants"}
        The Python package, or ANTs' binary on the PATH.
    settings : dict, optional
        Inputs of `getnet_bids.interfaces.N4Correction`, such as ``{"shrink_factor": 3}``; default the backend's.
    omp_nthreads : int
        Threads of ITK.
    mem_scale : float
        Size of the image relative to a head's.
    name : str
        Of the workflow.

    Inputs
    ------
    in_file
        Image in 2-D, 3-D or 4-D.
    in_mask
        Optional: N4's mask.

    Outputs
    -------
    out_file
        Corrected image.
    bias_image
        The field that it was divided by.
    seconds
        Time of N4, files apart.
    """
    workflow = Workflow(name=name)
    inputnode = Node(IdentityInterface(fields=["in_file", "in_mask"]), name="inputnode")
    outputnode = Node(IdentityInterface(fields=["out_file", "bias_image", "seconds"]), name="outputnode")
    n4 = Node(
        N4Correction(save_bias=True, backend=backend, num_threads=omp_nthreads, **(settings or {})),
        name="n4",
        n_procs=omp_nthreads,
        mem_gb=MEM_GB * mem_scale,
    )
    workflow.connect(
        [
            (inputnode, n4, [("in_file", "input_image"), ("in_mask", "mask_image")]),
            (n4, outputnode, [("output_image", "out_file"), ("bias_image", "bias_image"), ("seconds", "seconds")]),
        ]
    )
    return workflow
