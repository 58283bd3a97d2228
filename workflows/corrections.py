"""Workflows that correct an image by GetNet and by N4."""

from __future__ import annotations

import os
from typing import Any

from nipype import Node, Workflow
from nipype.interfaces.utility import IdentityInterface
from nipype.utils.gpu_count import gpu_count

from getnet_bids.core import BATCH_SIZE
from getnet_bids.interfaces import GetNetCorrection, N4Correction

MEM_GB = 2.0
"""Upper estimate of the memory for correcting one head, GB."""


CORRECTION_OUTPUTS = ["seconds", "device"]
"""Outputs of a correction besides its images."""
VERDICT_OUTPUTS = ["verdict", "reasons", "field_sd_median", "field_sd_p95", "known_fields_found"]
"""Outputs for the verdict and the uncertainty of a result."""


def init_getnet_wf(
    *,
    refine: bool = True,
    smoothness: float | None = None,
    precision: str = "auto",
    weights: str | os.PathLike[str] | None = None,
    device: str = "auto",
    batch_size: int = BATCH_SIZE,
    omp_nthreads: int = 1,
    mem_scale: float = 1.0,
    name: str = "getnet_wf",
) -> Workflow:
    """Build a workflow that corrects the bias field of an image by GetNet.

    Workflow Graph
        .. workflow::
            :graph2use: orig
            :simple_form: yes

            from getnet_bids.workflows import init_getnet_wf
            wf = init_getnet_wf()

    Parameters
    ----------
    refine : bool
        Refine the network's field with the image's own tissues.
    smoothness : float, optional
        Smoothness of the field, mm: it has no half waves shorter than a third to a half of this. Default: 100 for a
        head, scaled to the size of other objects.
    precision : {"auto", "float32", "bfloat16"}
        Precision of the network.
    weights : str or path, optional
        File of the network's weights; default: the package's own.
    device : str
        ``cpu``, ``cuda``, ``cuda:N``, ``mps``, or ``auto``: CUDA if nvidia-smi shows a GPU, otherwise the CPU. It is
        determined when the workflow is built, so that the plugin knows whether the node needs one of its GPU slots.
    batch_size : int
        Number of slices that the network processes at a time.
    omp_nthreads : int
        Threads on the CPU.
    mem_scale : float
        Size of the image relative to a head's.
    name : str
        Name of the workflow.

    Inputs
    ------
    in_file
        Image in 2-D, 3-D or 4-D. The volumes of a series share one field, and are read one at a time.
    in_mask
        Optional: the field is fitted where this is above 0.
    in_bvals
        Optional: b-values of a diffusion series, whose field is then estimated from its mean b = 0 volume.

    Outputs
    -------
    out_file
        Corrected image.
    bias_image
        The field that the image was divided by, with a geometric mean of 1 over the foreground.
    seconds
        Time of the correction, without reading and writing files.
    device
        The device that computed the field, and its type or the number of threads.
    verdict, reasons, field_sd_median, field_sd_p95, known_fields_found
        The verdict on the result, the uncertainty of the field, and how much the network found of known fields.
    """
    workflow = Workflow(name=name)
    inputnode = Node(IdentityInterface(fields=["in_file", "in_mask", "in_bvals"]), name="inputnode")
    fields = ["out_file", "bias_image", *CORRECTION_OUTPUTS, *VERDICT_OUTPUTS]
    outputnode = Node(IdentityInterface(fields=fields), name="outputnode")

    on_gpu = device.startswith("cuda") or (device == "auto" and gpu_count() > 0)
    getnet = Node(
        GetNetCorrection(
            save_bias=True,
            refine=refine,
            precision=precision,
            device=device,
            use_gpu=on_gpu,
            batch_size=batch_size,
            num_threads=omp_nthreads,
        ),
        name="getnet",
        # A GPU node occupies as many GPU slots as it has processes.
        n_procs=1 if on_gpu else omp_nthreads,
        mem_gb=MEM_GB * mem_scale,
    )
    if smoothness is not None:
        getnet.inputs.smoothness = smoothness
    if weights is not None:
        getnet.inputs.weights = os.path.abspath(weights)

    workflow.connect(
        [
            (inputnode, getnet, [("in_file", "input_image"), ("in_mask", "mask_image"), ("in_bvals", "bvals")]),
            (
                getnet,
                outputnode,
                [("output_image", "out_file"), ("bias_image", "bias_image")]
                + [(name, name) for name in (*CORRECTION_OUTPUTS, *VERDICT_OUTPUTS)],
            ),
        ]
    )
    return workflow


def init_n4_wf(
    *,
    backend: str = "antspyx",
    settings: dict[str, Any] | None = None,
    omp_nthreads: int = 1,
    mem_scale: float = 1.0,
    name: str = "n4_wf",
) -> Workflow:
    """Build a workflow that corrects the bias field of an image by N4.

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
        Inputs of `getnet_bids.interfaces.N4Correction`, such as ``{"shrink_factor": 3}``; default: the backend's.
    omp_nthreads : int
        Threads of ITK.
    mem_scale : float
        Size of the image relative to a head's.
    name : str
        Name of the workflow.

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
        The field that the image was divided by.
    seconds
        Time of N4, without reading and writing files.
    device
        ``cpu``, and the number of threads.
    """
    workflow = Workflow(name=name)
    inputnode = Node(IdentityInterface(fields=["in_file", "in_mask"]), name="inputnode")
    outputnode = Node(IdentityInterface(fields=["out_file", "bias_image", *CORRECTION_OUTPUTS]), name="outputnode")
    n4 = Node(
        N4Correction(save_bias=True, backend=backend, num_threads=omp_nthreads, **(settings or {})),
        name="n4",
        n_procs=omp_nthreads,
        mem_gb=MEM_GB * mem_scale,
    )
    workflow.connect(
        [
            (inputnode, n4, [("in_file", "input_image"), ("in_mask", "mask_image")]),
            (
                n4,
                outputnode,
                [("output_image", "out_file"), ("bias_image", "bias_image")]
                + [(name, name) for name in CORRECTION_OUTPUTS],
            ),
        ]
    )
    return workflow
