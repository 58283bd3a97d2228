from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from nipype.interfaces.base import isdefined

from getnet_bids.workflows import init_comparison_wf, init_n4_wf
from tests.datasets import read_table
from tests.phantoms import flat as phantom

QUICK_N4 = {"settings": {"shrink_factor": 4, "n_iterations": [20, 20], "bspline_fitting_distance": 100.0}}
QUICK_GETNET = {"device": "cpu"}
NODES = ("getnet_wf.getnet", "n4_wf.n4", "tissue_wf.tissues", "metrics", "figure")


@pytest.fixture
def original(tmp_path):
    """Return the phantom without gain as a file, and its dseg."""
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    level = phantom.head(noise=0.0)
    labels = 1 * np.isclose(level, 0.6) + 2 * np.isclose(level, 1.0) + 3 * np.isclose(level, 0.25)
    image, dseg = tmp_path / "sub-01_T1w.nii.gz", tmp_path / "sub-01_dseg.nii.gz"
    nib.Nifti1Image(1000 * phantom.head(), affine).to_filename(image)
    nib.Nifti1Image(labels.astype(np.uint8), affine).to_filename(dseg)
    return image, dseg


def outputs_of(graph, name):
    return next(node for node in graph.nodes() if node.name == name).result.outputs


@pytest.mark.usefixtures("antspyx")
def test_a_simulated_gain_is_measured_against_the_original(folder, original):
    image, dseg = original
    workflow = init_comparison_wf(simulate_gain=30, seed=2, arguments={"GetNet": QUICK_GETNET, "N4": QUICK_N4})
    workflow.base_dir = str(folder)
    workflow.inputs.inputnode.in_file = str(image)
    workflow.inputs.inputnode.dseg = str(dseg)
    graph = workflow.run()
    metrics = outputs_of(graph, "metrics")
    table = {row["method"]: row for row in read_table(metrics.out_table)}
    assert list(table) == ["Gain", "GetNet", "N4"]
    assert list(table["Gain"]) == ["method", "entire image", "CSF", "GM", "WM", "seconds"]
    for region in ("GM", "WM"):
        assert float(table["GetNet"][region]) < 0.5 * float(table["Gain"][region])
        assert float(table["N4"][region]) < float(table["Gain"][region])
    rows = {(row["method"], row["region"]): row for row in read_table(metrics.out_tsv)}
    assert {method for method, _ in rows} == {"input", "GetNet", "N4"}
    assert float(rows["GetNet", "WM"]["disagreement_with_N4"]) > 0
    assert outputs_of(graph, "tissues").method == "derivatives"
    assert outputs_of(graph, "figure").out_file.endswith("comparison.png")


def test_both_the_table_and_the_figure_are_of_the_tissues():
    graph = init_comparison_wf()._create_flat_graph()
    fed = {
        node.name for source, node, data in graph.edges(data=True) for _, port in data["connect"] if "tissue" in port
    }
    assert {"metrics", "figure"} <= fed


@pytest.mark.usefixtures("antspyx")
def test_without_a_segmentation_all_that_has_signal_is_compared(folder, original):
    image, _ = original
    workflow = init_comparison_wf(segmentation="none", arguments={"GetNet": QUICK_GETNET, "N4": QUICK_N4})
    assert not [name for name in workflow.list_node_names() if "tissue" in name]
    workflow.base_dir = str(folder)
    workflow.inputs.inputnode.in_file = str(image)
    graph = workflow.run()
    assert {row["region"] for row in read_table(outputs_of(graph, "metrics").out_tsv)} == {"entire image"}
    assert outputs_of(graph, "figure").out_file.endswith("comparison.png")


def test_two_methods_of_one_builder():
    two = {"N4 (ANTs)": init_n4_wf, "N4-rough": init_n4_wf}
    rough = {"N4-rough": {"settings": {"shrink_factor": 4}}}
    workflow = init_comparison_wf(methods=two, arguments=rough, segmentation="none")
    made = workflow.get_node("outputnode").outputs.copyable_trait_names()
    for key in ("n4__ants_", "n4_rough"):
        assert workflow.get_node(f"{key}_wf.n4") is not None
        assert {f"{key}_file", f"{key}_bias", f"{key}_seconds"} <= set(made)
    assert workflow.get_node("n4_rough_wf.n4").inputs.shrink_factor == 4
    assert workflow.get_node("metrics").inputs.methods == list(two)
    assert {node.name for node in workflow._create_flat_graph().nodes()} >= {"n4", "metrics", "figure"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"arguments": {"n4": {}}}, "arguments for n4, but the methods are GetNet, N4"),
        ({"methods": {"N4-a": init_n4_wf, "n4 a": init_n4_wf}}, "two methods 'n4_a'"),
        ({"methods": {"Input": init_n4_wf}}, "'input' stands for the image before correction"),
    ],
)
def test_methods_that_could_not_be_told_apart_and_unknown_ones_are_refused(given, said):
    with pytest.raises(ValueError, match=said):
        init_comparison_wf(**given)


def test_estimates_of_memory_grow_with_the_image():
    one, three = ({n: init_comparison_wf(mem_scale=s).get_node(n).mem_gb for n in NODES} for s in (1.0, 3.0))
    assert three == {name: 3 * size for name, size in one.items()}


@pytest.mark.usefixtures("antspyx")
def test_without_a_gain_nothing_is_simulated(folder, original):
    image, _ = original
    workflow = init_comparison_wf(segmentation="classes", arguments={"GetNet": QUICK_GETNET, "N4": QUICK_N4})
    assert workflow.get_node("simulate") is None
    workflow.base_dir = str(folder)
    workflow.inputs.inputnode.in_file = str(image)
    graph = workflow.run()
    assert not isdefined(outputs_of(graph, "metrics").out_table)
    assert outputs_of(graph, "tissues").tissue_names == ["class 1", "class 2", "class 3"]
    regions = {row["region"] for row in read_table(outputs_of(graph, "metrics").out_tsv)}
    assert regions == {"entire image", "class 1", "class 2", "class 3"}
