"""Nodes under nipype's plugins for clusters and GPUs: slots of MultiProc, jobs of SLURM."""

from __future__ import annotations

import itertools
import sys

import nibabel as nib
import numpy as np
import pytest
from nipype import MapNode, Node, Workflow

from getnet_bids.interfaces import GetNetCorrection
from tests.slurm import slurm_runs


def two_nodes(scan, folder, **inputs):
    """Make a workflow of two nodes that do not wait for each other; what nobody takes is kept."""
    workflow = Workflow("wf", base_dir=str(folder))
    workflow.config["execution"] = {"remove_unnecessary_outputs": "false"}
    workflow.add_nodes([Node(GetNetCorrection(input_image=str(scan), refine=False, **inputs), name) for name in "ab"])
    return workflow


def times(node):
    runtime = node.result.runtime
    return runtime.startTime, runtime.endTime


@pytest.mark.slow
def test_a_node_for_the_gpu_takes_one_of_its_slots(scan, tmp_path):
    resources = {"n_procs": 4, "mp_context": "forkserver"}
    # Without a GPU the device auto is the CPU all the same; the slots are of nipype's own counting.
    graph = two_nodes(scan, tmp_path / "one", use_gpu=True).run("MultiProc", {**resources, "n_gpu_procs": 1})
    first, second = sorted(map(times, graph.nodes()))
    assert first[1] <= second[0]
    with pytest.raises(RuntimeError, match="Insufficient GPU"):
        two_nodes(scan, tmp_path / "none", use_gpu=True).run("MultiProc", {**resources, "n_gpu_procs": 0})
    graph = two_nodes(scan, tmp_path / "cpu").run("MultiProc", {**resources, "n_gpu_procs": 0})
    assert len(graph.nodes()) == 2


@pytest.mark.skipif(not slurm_runs(), reason="no SLURM runs here")
def test_slurm_runs_it_as_jobs(scan, tmp_path, monkeypatch):
    monkeypatch.setenv("LOGNAME", "someone")
    workflow = Workflow("wf", base_dir=str(tmp_path))
    workflow.config["execution"] = {"remove_unnecessary_outputs": "false", "poll_sleep_duration": "1"}
    one = Node(GetNetCorrection(input_image=str(scan), save_bias=True, refine=False), "one")
    several = MapNode(GetNetCorrection(refine=False), ["input_image"], "several")
    several.inputs.input_image = [str(scan)] * 2
    workflow.connect(one, "output_image", several, "mask_image")
    template = f"#!/bin/bash\nexport PATH={sys.prefix}/bin:$PATH PYTHONPATH={':'.join(filter(None, sys.path))}\n"
    graph = workflow.run("SLURM", {"template": template, "sbatch_args": "--cpus-per-task=1 --mem=1G"})
    outputs = {node.name: node.result.outputs for node in graph.nodes()}
    plain = GetNetCorrection(input_image=str(scan), refine=False).run(cwd=str(tmp_path)).outputs.output_image
    ours, expected = (np.asanyarray(nib.load(path).dataobj) for path in (outputs["one"].output_image, plain))
    np.testing.assert_array_equal(ours, expected)
    for path, other in itertools.pairwise(outputs["several"].output_image):
        np.testing.assert_array_equal(nib.load(path).get_fdata(), nib.load(other).get_fdata())
