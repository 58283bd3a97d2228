"""GetNetCorrection where N4BiasFieldCorrection was: nipype's specs, its plugins, niworkflows' workflows."""

from __future__ import annotations

import importlib
import inspect
import os
import pickle

import nibabel as nib
import numpy as np
import pytest
from nipype import MapNode, Node, Workflow
from nipype.interfaces.ants import N4BiasFieldCorrection
from nipype.interfaces.base import isdefined

from getnet_bids.interfaces import GetNetCorrection, N4Correction

OF_A_COMMAND = {"argstr", "min_ver", "position", "sep"}
"""Metadata that make a command line of an input."""
LOOSER = {
    ("copy_header", "mandatory"),  # it has a default
    ("bspline_order", "requires"),  # ignored, with and without what N4 requires beside it
    ("convergence_threshold", "requires"),
}
"""Where ours takes more than N4 does."""


def test_nipypes_own_spec_of_n4_is_met():
    """The tables of nipype's own test, which its checkspecs makes of N4's spec, against ours."""
    theirs = importlib.import_module("nipype.interfaces.ants.tests.test_auto_N4BiasFieldCorrection")
    for test, spec in (
        (theirs.test_N4BiasFieldCorrection_inputs, GetNetCorrection.input_spec()),
        (theirs.test_N4BiasFieldCorrection_outputs, GetNetCorrection.output_spec()),
    ):
        source = inspect.getsource(test)
        table = eval(source[source.index("dict(") : source.rindex("\n    )") + 6])
        assert "bias_image" in table
        for name, metadata in table.items():
            for key, value in metadata.items():
                if key not in OF_A_COMMAND and (name, key) not in LOOSER:
                    assert getattr(spec.traits()[name], key) == value, (name, key)


@pytest.mark.parametrize("interface", [GetNetCorrection, N4Correction])
def test_what_a_command_has_and_pipelines_use(interface):
    ours, theirs = dir(interface(input_image=__file__)), dir(N4BiasFieldCorrection(input_image=__file__))
    public = {name for name in theirs if not name.startswith("_")}
    # What makes or parses output of a process, of which there is none.
    assert public - set(ours) == {"raise_exception", "version_from_command"}
    made = interface(input_image=__file__, resource_monitor=False, ignore_exception=True, write_cmdline=True)
    assert (made.resource_monitor, made.ignore_exception, made.write_cmdline) == (False, True, True)


def test_every_input_of_n4_is_taken_as_n4_takes_it(scan):
    settings = {
        "args": "--verbose 1",
        "environ": {"OMP_NUM_THREADS": "2"},
        "bspline_order": 3,
        "convergence_threshold": 1e-6,
        "histogram_sharpening": (0.15, 0.01, 200),
        "dimension": 2,
    }
    made = GetNetCorrection(input_image=str(scan), **settings)
    for name, value in settings.items():
        assert getattr(made.inputs, name) == value
    assert set(made.ignored) == set(settings)
    made.inputs.environ["NSLOTS"] = "4"
    with pytest.raises(Exception, match="dimension"):
        made.inputs.dimension = 5


def test_outputs_are_known_before_and_collected_after_a_run_elsewhere(folder, scan):
    made = GetNetCorrection(input_image=str(scan), save_bias=True, refine=False)
    n4 = N4BiasFieldCorrection(input_image=str(scan), save_bias=True)
    n4._parse_inputs()
    assert {key: made._list_outputs()[key] for key in ("output_image", "bias_image")} == n4._list_outputs()
    with pytest.raises(FileNotFoundError, match=r"output_image|bias_image"):
        made.aggregate_outputs()
    result = made.run()
    assert result.runtime.returncode == 0
    assert result.runtime.cmdline == made.cmdline
    again = GetNetCorrection(input_image=str(scan), save_bias=True)
    assert again.aggregate_outputs().bias_image == result.outputs.bias_image
    assert not isdefined(again.aggregate_outputs(needed_outputs=["output_image"]).bias_image)


def test_a_second_run_has_its_own_outputs(folder, scan):
    made = GetNetCorrection(input_image=str(scan), save_bias=True, refine=False)
    assert isdefined(made.run().outputs.bias_image)
    made.inputs.save_bias = False
    assert not isdefined(made.run().outputs.bias_image)
    assert isdefined(pickle.loads(pickle.dumps(made)).run().outputs.output_image)


@pytest.mark.parametrize("plugin", ["Linear", pytest.param("MultiProc", marks=pytest.mark.slow)])
def test_nipypes_plugins_run_it_in_nodes_and_map_nodes(scan, tmp_path, plugin):
    workflow = Workflow("wf", base_dir=str(tmp_path))
    one = Node(GetNetCorrection(input_image=str(scan), save_bias=True, num_threads=1, refine=False), "one")
    several = MapNode(GetNetCorrection(refine=False), ["input_image"], "several")
    second = tmp_path / "second.nii.gz"
    second.write_bytes(scan.read_bytes())
    workflow.connect(one, "output_image", several, "mask_image")
    workflow.config["execution"] = {"remove_unnecessary_outputs": "false"}
    several.inputs.input_image = [str(scan), str(second)]
    assert Node(GetNetCorrection(num_threads=2), "two").n_procs == 2
    # As fMRIPrep runs it: what has used torch's threads, as this process may have, cannot be forked.
    arguments = {"n_procs": 2, "mp_context": "forkserver"} if plugin == "MultiProc" else {}
    graph = workflow.run(plugin=plugin, plugin_args=arguments)
    outputs = {node.name: node.result.outputs for node in graph.nodes()}
    assert os.path.isfile(outputs["one"].bias_image)
    first, other = (np.asanyarray(nib.load(path).dataobj) for path in outputs["several"].output_image)
    np.testing.assert_array_equal(first, other)


TEMPLATE = {"longitudinal": False, "num_files": 2, "image_type": "T1w"}
OTHERS = [
    ("niworkflows.anat.skullstrip", None, "afni_wf", {}, "inu_n4", 1),
    ("niworkflows.workflows.epi.refmap", "nipype.interfaces.ants", "init_epi_reference_wf", {}, "n4_avgs", 2),
    ("smriprep.workflows.anatomical", None, "init_anat_template_wf", TEMPLATE, "n4_correct", 1),
]
"""Further workflows: their module, where N4 is replaced if not there, function, arguments, node and its processors."""


@pytest.mark.slow
@pytest.mark.parametrize(("module", "place", "function", "options", "node", "processors"), OTHERS)
def test_other_peoples_workflows(scan, tmp_path, monkeypatch, module, place, function, options, node, processors):
    made_by = pytest.importorskip(module)
    monkeypatch.setattr(importlib.import_module(place or module), "N4BiasFieldCorrection", GetNetCorrection)
    if "omp_nthreads" in inspect.signature(getattr(made_by, function)).parameters:
        options = {**options, "omp_nthreads": 2}
    workflow = getattr(made_by, function)(**options)
    names = workflow.list_node_names()
    assert [name for name in names if isinstance(workflow.get_node(name).interface, GetNetCorrection)] == [node]
    found = workflow.get_node(node)
    assert found.n_procs == processors
    found.base_dir = str(tmp_path)
    found.inputs.input_image = [str(scan)] * 2 if isinstance(found, MapNode) else str(scan)
    outputs = found.run().outputs
    paths = outputs.output_image if isinstance(found, MapNode) else [outputs.output_image]
    assert all(os.path.isfile(path) for path in paths)


def test_it_has_the_output_that_niworkflows_adds_to_n4(folder, scan):
    fixes = pytest.importorskip("niworkflows.interfaces.fixes")
    theirs = fixes.FixN4BiasFieldCorrection.output_spec().copyable_trait_names()
    assert set(theirs) <= set(GetNetCorrection.output_spec().copyable_trait_names())
    negative = nib.load(scan)
    nib.Nifti1Image(negative.get_fdata() - 5, negative.affine).to_filename("negative.nii.gz")
    outputs = GetNetCorrection(input_image="negative.nii.gz", refine=False).run().outputs
    assert outputs.negative_values is False


@pytest.mark.slow
def test_niworkflows_with_one_class_replaced(scan, mask, tmp_path, monkeypatch):
    util = pytest.importorskip("niworkflows.func.util")
    anat = importlib.import_module("niworkflows.anat.ants")
    for module in (util, anat):
        monkeypatch.setattr(module, "N4BiasFieldCorrection", GetNetCorrection)
    bold = util.init_enhance_and_skullstrip_bold_wf(omp_nthreads=1, pre_mask=True)
    bold.base_dir = str(tmp_path)
    bold.inputs.inputnode.in_file, bold.inputs.inputnode.pre_mask = str(scan), str(mask)
    names = bold.list_node_names()
    assert [n for n in names if isinstance(bold.get_node(n).interface, GetNetCorrection)] == ["n4_correct"]
    # What follows are binaries of FSL and AFNI.
    bold.remove_nodes([bold.get_node(name) for name in names if name not in ("inputnode", "n4_correct")])
    (node,) = bold.run().nodes()
    assert node.result.outputs.verdict
    t1w = anat.init_n4_only_wf(atropos_refine=False)
    t1w.base_dir = str(tmp_path)
    t1w.inputs.inputnode.in_files = [str(scan)]
    outputs = {node.name: node.result.outputs for node in t1w.run().nodes()}
    assert os.path.isfile(outputs["inu_n4"].bias_image[0])
    assert os.path.isfile(outputs["binarize"].out_mask)
