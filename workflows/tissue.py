"""Segmentation into tissues."""

from __future__ import annotations

from nipype import Node, Workflow
from nipype.interfaces.utility import IdentityInterface

from getnet_bids.interfaces import TissueSegmentation

MEM_GB = 4.0
"""Upper estimate of the memory that the segmentation of one head takes, GB."""
OUTPUTS = ["dseg", "dseg_tsv", "tissue_maps", "tissue_names", "brain_mask", "method", "note"]
GIVEN = ["dseg", "probsegs", "brain_mask"]
"""What there may be already."""


def init_tissue_wf(
    *,
    method: str = "auto",
    template: str = "bundled",
    omp_nthreads: int = 1,
    mem_scale: float = 1.0,
    name: str = "tissue_wf",
) -> Workflow:
    """Build a workflow that segments an image into CSF, GM and WM, or into classes where it is no brain.

    Workflow Graph
        .. workflow::
            :graph2use: orig
            :simple_form: yes

            from getnet_bids.workflows import init_tissue_wf
            wf = init_tissue_wf()

    Parameters
    ----------
    method : {"auto", "derivatives", "atropos", "classes"}
        See `getnet_bids.interfaces.TissueSegmentation`.
    template : str
        ``bundled``, or the name of a template of TemplateFlow.
    omp_nthreads : int
        Threads of ITK.
    mem_scale : float
        Size of the image relative to a head's.
    name : str
        Of the workflow.

    Inputs
    ------
    in_file
        Image before correction.
    bias_images
        Optional: fields of the methods that are to be compared; what is segmented is divided by their geometric mean.
    dseg
        Optional: labels that there are already.
    probsegs
        Optional: tissue probabilities that there are already.
    brain_mask
        Optional: a mask of the brain that there is already.

    Outputs
    -------
    dseg
        Labels.
    dseg_tsv
        Their names.
    tissue_maps
        Probability of each tissue or class.
    tissue_names
        CSF, GM, WM; or class 1, class 2 ...
    brain_mask
        The brain, if there is one.
    method
        How it was made.
    note
        What a reader should know of it, if there is something.
    """
    workflow = Workflow(name=name)
    inputnode = Node(IdentityInterface(fields=["in_file", "bias_images", *GIVEN]), name="inputnode")
    outputnode = Node(IdentityInterface(fields=OUTPUTS), name="outputnode")
    tissues = Node(
        TissueSegmentation(method=method, template=template, num_threads=omp_nthreads),
        name="tissues",
        n_procs=omp_nthreads,
        mem_gb=MEM_GB * mem_scale,
    )
    workflow.connect(
        [
            (
                inputnode,
                tissues,
                [("in_file", "input_image"), ("bias_images", "bias_images"), *[(name, name) for name in GIVEN]],
            ),
            (tissues, outputnode, [(output, output) for output in OUTPUTS]),
        ]
    )
    return workflow
