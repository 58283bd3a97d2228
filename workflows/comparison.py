"""Workflows that compare GetNet with another method, usually N4, on one image, and that segment it into tissues."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from nipype import Node, Workflow
from nipype.interfaces.utility import IdentityInterface, Merge

from getnet_bids.interfaces import ComparisonFigure, InhomogeneityMetrics, SimulateGain, TissueSegmentation
from getnet_bids.interfaces.inhomogeneity import check_methods

from .corrections import init_getnet_wf, init_n4_wf

TISSUE_MEM_GB = 4.0
"""Upper estimate of the memory for segmenting one head, GB."""
TISSUE_OUTPUTS = ["dseg", "dseg_tsv", "tissue_maps", "tissue_names", "brain_mask", "method", "note"]
EXISTING_TISSUES = ["dseg", "dseg_table", "probsegs", "brain_mask"]
"""Inputs for an existing segmentation."""


def init_tissue_wf(
    *,
    method: str = "auto",
    template: str = "bundled",
    omp_nthreads: int = 1,
    mem_scale: float = 1.0,
    name: str = "tissue_wf",
) -> Workflow:
    """Build a workflow that segments an image into CSF, GM and WM, or into classes if it does not show a brain.

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
        ``bundled``, or the name of a TemplateFlow template.
    omp_nthreads : int
        Threads of ITK.
    mem_scale : float
        Size of the image relative to a head's.
    name : str
        Name of the workflow.

    Inputs
    ------
    in_file
        Image before correction.
    bias_images
        Optional: fields of the methods to compare; the image is divided by their geometric mean before segmentation.
    dseg
        Optional: existing labels.
    dseg_table
        Optional: table of these labels; default: the one that belongs to them by its name. As an input, it is part of
        the hash.
    probsegs
        Optional: existing tissue probabilities.
    brain_mask
        Optional: existing brain mask.

    Outputs
    -------
    dseg
        Labels.
    dseg_tsv
        Names of the labels.
    tissue_maps
        Probability of each tissue or class.
    tissue_names
        CSF, GM, WM; or class 1, class 2 ...
    brain_mask
        Brain mask, if there is a brain.
    method
        Method of the segmentation.
    note
        Remark for the reader, if there is one.
    """
    workflow = Workflow(name=name)
    inputnode = Node(IdentityInterface(fields=["in_file", "bias_images", *EXISTING_TISSUES]), name="inputnode")
    outputnode = Node(IdentityInterface(fields=TISSUE_OUTPUTS), name="outputnode")
    tissues = Node(
        TissueSegmentation(method=method, template=template, num_threads=omp_nthreads),
        name="tissues",
        n_procs=omp_nthreads,
        mem_gb=TISSUE_MEM_GB * mem_scale,
    )
    workflow.connect(
        [
            (
                inputnode,
                tissues,
                [
                    ("in_file", "input_image"),
                    ("bias_images", "bias_images"),
                    *[(name, name) for name in EXISTING_TISSUES],
                ],
            ),
            (tissues, outputnode, [(output, output) for output in TISSUE_OUTPUTS]),
        ]
    )
    return workflow


METHOD_OUTPUTS = ["file", "bias", "seconds"]
"""Outputs for each method, named ``<method in lower case>_<output>``, with ``_`` for signs."""
SIMULATED = ["simulated_file", "simulated_bias", "table1"]
"""Outputs that exist only with a simulated field."""
MEASURED = [*SIMULATED, "metrics_tsv", "metrics_json", "figure"]
MEM_GB = 2.0
"""Upper estimate of the memory for measuring or drawing one head, GB."""


def init_comparison_wf(
    *,
    simulate_gain: float | None = None,
    seed: int = 0,
    segmentation: str = "auto",
    template: str = "bundled",
    methods: Mapping[str, Callable[..., Workflow]] | None = None,
    arguments: Mapping[str, dict[str, Any]] | None = None,
    omp_nthreads: int = 1,
    mem_scale: float = 1.0,
    name: str = "comparison_wf",
) -> Workflow:
    """Build a workflow that corrects an image by GetNet and another method, and compares the results in each tissue.

    Workflow Graph
        .. workflow::
            :graph2use: orig
            :simple_form: yes

            from getnet_bids.workflows import init_comparison_wf
            wf = init_comparison_wf(simulate_gain=30)

    The image is segmented once, after division by the geometric mean of both fields, so that the labels favour
    neither method; all methods are measured in the same voxels.

    Parameters
    ----------
    simulate_gain : float, optional
        Percentage p: the image is first multiplied by a random smooth field that spans 1 - p/100 to 1 + p/100 over the
        foreground. Both methods are then judged by how well they restore the image (Simko et al. 2019). The image's own
        field counts as part of the image, so use one that has no field, or a weak one.
    seed : int
        Seed of that field.
    segmentation : {"auto", "derivatives", "atropos", "classes", "none"}
        See `getnet_bids.interfaces.TissueSegmentation`; ``none`` compares over the foreground, without tissues.
    template : str
        ``bundled``, or the name of a TemplateFlow template.
    methods : mapping of str to callable, optional
        Functions that build workflows with the inputs and outputs of `init_n4_wf`, by the methods' names in the order
        of all tables and figures; default: GetNet and N4. They are called with ``omp_nthreads``, ``mem_scale`` and
        ``name``.
    arguments : mapping of str to dict, optional
        Further arguments of these functions, by method.
    omp_nthreads : int
        Threads of each node.
    mem_scale : float
        Size of the image relative to a head's, for the memory estimates of the nodes.
    name : str
        Name of the workflow.

    Raises
    ------
    ValueError
        Two methods have the same name but for signs and case, one is named ``input``, or there are `arguments` for a
        method that is not among the methods.

    Inputs
    ------
    in_file
        Image in 2-D, 3-D or 4-D.
    dseg
        Optional: existing labels.
    dseg_table
        Optional: table of these labels; default: the one that belongs to them by its name. As an input, it is part of
        the hash.
    probsegs
        Optional: existing tissue probabilities.
    brain_mask
        Optional: existing brain mask.
    title
        Optional: title of the figure; default: the name of the image.

    Outputs
    -------
    getnet_file, getnet_bias
        Image corrected by GetNet, and the field.
    n4_file, n4_bias
        The same by N4.
    simulated_file, simulated_bias
        With `simulate_gain`: the image times the field, and the field.
    dseg, dseg_tsv, tissue_maps, tissue_names, brain_mask, method, note
        As for `init_tissue_wf`, unless the segmentation is ``none``.
    getnet_seconds, n4_seconds
        Time of each correction, without reading and writing files. Other `methods` have these three outputs under their
        own names.
    metrics_tsv, metrics_json
        A row per method and tissue, and descriptions of the columns.
    table1
        With `simulate_gain`: relative MAE in the form of the paper's Table 1.
    figure
        Slices, histograms, metrics.
    """
    workflow = Workflow(name=name)
    inputnode = Node(IdentityInterface(fields=["in_file", *EXISTING_TISSUES, "title"]), name="inputnode")
    methods = methods or {"GetNet": init_getnet_wf, "N4": init_n4_wf}
    names = list(methods)
    keys = [re.sub(r"\W", "_", method.lower()) for method in names]
    check_methods(keys)
    if unknown := (arguments or {}).keys() - methods.keys():
        raise ValueError(f"arguments for {', '.join(sorted(unknown))}, but the methods are {', '.join(names)}")
    made = [f"{key}_{what}" for key in keys for what in METHOD_OUTPUTS]
    outputnode = Node(IdentityInterface(fields=[*made, *TISSUE_OUTPUTS, *MEASURED]), name="outputnode")

    size: dict[str, Any] = {"omp_nthreads": omp_nthreads, "mem_scale": mem_scale}
    merge_files, merge_biases, merge_seconds = (
        Node(Merge(len(names)), name=f"merge_{what}", run_without_submitting=True)
        for what in ("files", "biases", "seconds")
    )
    metrics = Node(InhomogeneityMetrics(methods=names), name="metrics", mem_gb=MEM_GB * mem_scale)
    figure = Node(ComparisonFigure(methods=names), name="figure", mem_gb=MEM_GB * mem_scale)

    if simulate_gain is None:
        source, image = inputnode, "in_file"
    else:
        gain = SimulateGain(percent=float(simulate_gain), seed=seed)
        simulate = Node(gain, name="simulate", mem_gb=MEM_GB * mem_scale)
        source, image = simulate, "output_image"
        workflow.connect(
            [
                (inputnode, simulate, [("in_file", "input_image")]),
                (inputnode, metrics, [("in_file", "original_image")]),
                (simulate, outputnode, [("output_image", "simulated_file"), ("bias_image", "simulated_bias")]),
                (metrics, outputnode, [("out_table", "table1")]),
            ]
        )
    for i, (key, (method, init)) in enumerate(zip(keys, methods.items(), strict=True), 1):
        port = f"in{i}"
        method_wf = init(**{**size, "name": f"{key}_wf", **(arguments or {}).get(method, {})})
        workflow.connect(
            [
                (source, method_wf, [(image, "inputnode.in_file")]),
                (
                    method_wf,
                    outputnode,
                    [
                        ("outputnode.out_file", f"{key}_file"),
                        ("outputnode.bias_image", f"{key}_bias"),
                        ("outputnode.seconds", f"{key}_seconds"),
                    ],
                ),
                (method_wf, merge_files, [("outputnode.out_file", port)]),
                (method_wf, merge_biases, [("outputnode.bias_image", port)]),
                (method_wf, merge_seconds, [("outputnode.seconds", port)]),
            ]
        )
    for node in (metrics, figure):
        workflow.connect(
            [
                (source, node, [(image, "input_image")]),
                (merge_files, node, [("out", "corrected_images")]),
                (merge_biases, node, [("out", "bias_images")]),
            ]
        )
    if segmentation != "none":
        tissue_wf = init_tissue_wf(method=segmentation, template=template, **size)
        workflow.connect(
            [
                (inputnode, tissue_wf, [(name, f"inputnode.{name}") for name in EXISTING_TISSUES]),
                (source, tissue_wf, [(image, "inputnode.in_file")]),
                (merge_biases, tissue_wf, [("out", "inputnode.bias_images")]),
                *[
                    (tissue_wf, node, [(f"outputnode.{name}", name) for name in ("tissue_maps", "tissue_names")])
                    for node in (metrics, figure)
                ],
                (tissue_wf, outputnode, [(f"outputnode.{output}", output) for output in TISSUE_OUTPUTS]),
            ]
        )
    workflow.connect(
        [
            (merge_seconds, metrics, [("out", "seconds")]),
            (inputnode, figure, [("title", "title")]),
            (metrics, figure, [("out_tsv", "metrics_tsv")]),
            (metrics, outputnode, [("out_tsv", "metrics_tsv"), ("out_json", "metrics_json")]),
            (figure, outputnode, [("out_file", "figure")]),
        ]
    )
    return workflow
