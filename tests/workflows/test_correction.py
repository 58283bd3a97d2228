from __future__ import annotations

import shutil

import numpy as np
import pytest
from nipype import Node, Workflow
from nipype.interfaces.utility import IdentityInterface

import getnet_bids
from getnet_bids.workflows import WatchedMultiProcPlugin, init_getnet_wf, init_n4_wf
from tests.datasets import data

QUICK_N4 = {"shrink_factor": 3, "n_iterations": [5]}


def results(graph):
    return {node.fullname: node.result.outputs for node in graph.nodes()}


@pytest.mark.parametrize(
    ("init", "judged"),
    [
        (init_getnet_wf, {"verdict", "reasons", "field_sd_median", "field_sd_p95", "known_fields_found"}),
        (init_n4_wf, set()),
    ],
)
def test_nodes_are_named_and_connected_in_the_niworkflows_manner(init, judged):
    workflow = init()
    assert workflow.name == init.__name__.removeprefix("init_")
    assert {"inputnode", "outputnode"} < set(workflow.list_node_names())
    outputs = set(workflow.get_node("outputnode").outputs.copyable_trait_names())
    assert outputs == {"out_file", "bias_image", "seconds", "device"} | judged


@pytest.mark.parametrize("plugin", ["Linear", "MultiProc"])
def test_getnet_under_a_plugin(folder, scan, mask, plugin):
    workflow = init_getnet_wf(device="cpu", refine=False)
    workflow.base_dir = str(folder)
    workflow.inputs.inputnode.in_file = str(scan)
    workflow.inputs.inputnode.in_mask = str(mask)
    runner = WatchedMultiProcPlugin({"n_procs": 2}) if plugin == "MultiProc" else plugin
    outputs = results(workflow.run(plugin=runner))["getnet_wf.getnet"]
    expected = getnet_bids.correct(scan, mask=mask, device="cpu", options=getnet_bids.Options(refine=False))
    np.testing.assert_array_equal(data(outputs.output_image), expected.image.dataobj)
    np.testing.assert_array_equal(data(outputs.bias_image), expected.field.dataobj)
    left = {p.name for p in (folder / "getnet_wf" / "getnet").glob("*.nii.gz")}
    assert left == {"sub-01_T1w_corrected.nii.gz", "sub-01_T1w_bias.nii.gz"}


@pytest.mark.slow
def test_two_images_in_parallel(folder, scan):
    other = scan.with_name("sub-02_T1w.nii.gz")
    shutil.copy(scan, other)
    parallel = Workflow("parallel", base_dir=str(folder))
    for i, path in enumerate((scan, other)):
        one = init_getnet_wf(device="cpu", refine=False, name=f"getnet_{i}_wf")
        one.inputs.inputnode.in_file = str(path)
        two = init_n4_wf(settings=QUICK_N4, name=f"n4_{i}_wf")
        two.inputs.inputnode.in_file = str(path)
        parallel.add_nodes([one, two])
    made = results(parallel.run(plugin=WatchedMultiProcPlugin({"n_procs": 2})))
    np.testing.assert_array_equal(
        data(made["parallel.getnet_0_wf.getnet"].output_image), data(made["parallel.getnet_1_wf.getnet"].output_image)
    )
    assert made["parallel.n4_0_wf.n4"].seconds > 0


def test_a_finished_node_is_not_run_again_for_another_device_or_batch(folder, scan):
    made = []
    for batch_size in (32, 8):
        workflow = init_getnet_wf(device="cpu", refine=False, batch_size=batch_size)
        workflow.base_dir = str(folder)
        workflow.inputs.inputnode.in_file = str(scan)
        workflow.run()
        made += [p.stat().st_mtime_ns for p in (folder / "getnet_wf" / "getnet").glob("*_corrected.nii.gz")]
    assert made[0] == made[1]


def test_settings_reach_the_nodes(tmp_path):
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"weights")
    getnet = init_getnet_wf(smoothness=50.0, weights=weights, device="cuda:0", omp_nthreads=4).get_node("getnet")
    assert (getnet.inputs.smoothness, getnet.inputs.weights) == (50.0, str(weights))
    assert getnet.is_gpu_node()
    assert getnet.n_procs == 1
    n4 = init_n4_wf(settings=QUICK_N4, omp_nthreads=4).get_node("n4")
    assert (n4.inputs.shrink_factor, n4.inputs.num_threads, n4.n_procs) == (3, 4, 4)


def test_an_unused_mask_is_no_trouble(folder, scan):
    outer = Workflow("outer", base_dir=str(folder))
    source = Node(IdentityInterface(fields=["image", "mask"]), name="source")
    source.inputs.image = str(scan)
    getnet_wf = init_getnet_wf(device="cpu", refine=False)
    outer.connect([(source, getnet_wf, [("image", "inputnode.in_file"), ("mask", "inputnode.in_mask")])])
    assert "outer.getnet_wf.getnet" in results(outer.run())
