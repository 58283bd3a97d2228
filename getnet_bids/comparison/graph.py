"""The nipype workflow of one image: the comparison, and a last node that writes the results into the dataset."""

from __future__ import annotations

from pathlib import Path

from nipype import Node, Workflow

from getnet_bids.bids.discovery import Source
from getnet_bids.labels import table_of
from getnet_bids.run import console
from getnet_bids.run.pipeline import voxels_of
from getnet_bids.settings import Settings
from getnet_bids.workflows import comparison, init_getnet_wf
from getnet_bids.workflows.corrections import VERDICT_OUTPUTS

from .jobs import CompareJob
from .methods import GETNET
from .sink import ComparisonSink
from .watch import LAST_NODE

HEAD_VOXELS = 256 * 256 * 192
"""Number of voxels for which the memory estimates of the nodes hold."""


def workflow_name(source: Source) -> str:
    """Name an image's workflow, without plus signs; the same in every run, so that a kept work folder can be reused."""
    return str(source.name).removesuffix(source.name.extension).replace("+", "--")


def image_workflow(name: str, job: CompareJob, settings: Settings) -> Workflow:
    """Build the workflow of an image, which ends with writing the results."""
    options = job.recipe.options
    scale = memory_scale(job.source.path)
    tissues = [name for name in job.existing if name not in ("dseg", "brain_mask")]
    method = settings.segmentation
    if method == "auto" and (tissues or "dseg" in job.existing):
        method = "derivatives"
    workflow = comparison.init_comparison_wf(
        simulate_gain=options.get("simulate_gain"),
        seed=options.get("gain_seed", 0),
        segmentation=method,
        template=settings.template,
        methods={GETNET: init_getnet_wf, job.method.name: job.method.builder},
        arguments={
            GETNET: {**job.correction.options, "weights": job.correction.weights, "device": job.device}
            | {"batch_size": settings.batch_size}
        },
        omp_nthreads=job.threads,
        mem_scale=scale,
        name=name,
    )
    inputs = workflow.inputs.inputnode
    inputs.in_file = str(job.source.path)
    inputs.title = Path(job.source.relative).name
    for key in ("dseg", "brain_mask"):
        if key in job.existing:
            setattr(inputs, key, str(job.existing[key]))
    if "dseg" in job.existing and (table := table_of(job.existing["dseg"])):
        inputs.dseg_table = str(table)
    if tissues:
        inputs.probsegs = [str(job.existing[tissue]) for tissue in tissues]
    sink = Node(ComparisonSink(job=job), name=LAST_NODE, mem_gb=comparison.MEM_GB * scale)
    ports = comparison.MEASURED
    if settings.simulate_gain is None:
        ports = [port for port in ports if port not in comparison.SIMULATED]
    if method != "none":
        ports = [*ports, *comparison.TISSUE_OUTPUTS]
    both = {GETNET.lower(): "getnet", job.method.key: "other"}
    pairs = [(f"{key}_{what}", f"{role}_{what}") for key, role in both.items() for what in comparison.METHOD_OUTPUTS]
    pairs += [(port, port) for port in ports]
    workflow.connect([(workflow.get_node("outputnode"), sink, pairs)])
    getnet, other = (workflow.get_node(f"{key}_wf") for key in both)
    workflow.connect(
        [
            (getnet, sink, [(f"outputnode.{name}", name) for name in VERDICT_OUTPUTS]),
            (getnet, sink, [("outputnode.device", "getnet_device")]),
            (other, sink, [("outputnode.device", "other_device")]),
        ]
    )
    return workflow


def memory_scale(path: Path) -> float:
    """Return a factor for memory estimates from an image's size relative to a head; 1 if it cannot be read."""
    return 0.25 + 0.75 * voxels / HEAD_VOXELS if (voxels := voxels_of(path)) else 1.0


def draw_graph(workflow: Workflow, path: Path) -> None:
    """Draw a workflow's graph; without Graphviz write only its description."""
    try:
        workflow.write_graph(str(path), graph2use="colored", format="svg", simple_form=True)
    except OSError:
        console.say(f"{path}: not drawn, since Graphviz's dot is not installed")
