"""What nipype's own checkspecs asks of every interface."""

from __future__ import annotations

import os
import pickle
import shlex

import nibabel as nib
import numpy as np
import pytest
from nipype import Node
from nipype.interfaces.base import isdefined

from getnet_bids import interfaces
from getnet_bids.cli import one

CLASSES = [getattr(interfaces, name) for name in interfaces.__all__]


@pytest.mark.parametrize("interface", CLASSES)
def test_specs(interface):
    assert interface.__doc__
    assert interface.__name__ + "InputSpec" == interface.input_spec.__name__
    assert interface.__name__ + "OutputSpec" == interface.output_spec.__name__
    inputs = interface.input_spec()
    for name, trait in inputs.traits(transient=None).items():
        assert trait.desc, name
        for other in [*(trait.xor or ()), *(trait.requires or ())]:
            assert other in inputs.copyable_trait_names(), name
        # A default that is not declared one is not passed on, and one that is declared has to be there.
        if trait.usedefault:
            assert isdefined(getattr(inputs, name)), name
    for name, trait in interface.output_spec().traits(transient=None).items():
        assert trait.desc, name
        assert not isdefined(getattr(interface.output_spec(), name)), name


@pytest.mark.parametrize("interface", CLASSES)
def test_nodes_survive_pickling_and_say_what_is_missing(interface, tmp_path):
    node = Node(interface(), name="node", base_dir=str(tmp_path))
    again = pickle.loads(pickle.dumps(node))
    assert again.inputs.get_traitsfree() == node.inputs.get_traitsfree()
    with pytest.raises(ValueError, match="requires a value for input"):
        interface().run()
    assert interface.help(returnhelp=True)


COMMANDS = [interfaces.GetNetCorrection, interfaces.N4Correction]


@pytest.fixture
def scan(tmp_path, image, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image.to_filename("scan one.nii.gz")
    return "scan one.nii.gz"


def test_the_command_line_of_getnet_does_the_same(scan, tmp_path):
    correction = interfaces.GetNetCorrection(input_image=scan, save_bias=True, refine=False, smoothness=90.0)
    program, *arguments = shlex.split(correction.cmdline)
    assert (program, correction.cmd) == ("getnet", "getnet")
    assert one.main(arguments) == 0
    made = [nib.load(tmp_path / f"scan one_{name}.nii.gz").get_fdata() for name in ("corrected", "bias")]
    (tmp_path / "by_nipype").mkdir()
    correction.inputs.input_image = str(tmp_path / scan)
    outputs = correction.run(cwd=str(tmp_path / "by_nipype")).outputs
    for array, path in zip(made, (outputs.output_image, outputs.bias_image), strict=True):
        np.testing.assert_array_equal(array, nib.load(path).get_fdata())


def test_the_command_line_of_n4_is_that_of_ants(scan):
    n4 = interfaces.N4Correction(input_image=scan, save_bias=True, n_iterations=[20, 10], convergence_threshold=1e-6)
    said = shlex.split(n4.cmdline)
    assert said[0] == n4.cmd == "N4BiasFieldCorrection"
    assert "20x10" in n4.cmdline
    assert scan in said


def test_the_command_line_of_n4_names_the_files_that_are_made(scan):
    os.link(scan, "scan.nii.gz")
    n4 = interfaces.N4Correction(input_image="scan.nii.gz", output_image="c_%s", bias_image="b_%s.nii.gz")
    assert shlex.split(n4.cmdline)[-4:] == ["[", "c_scan.nii.gz,", "b_scan.nii.gz", "]"]
    n4 = interfaces.N4Correction(input_image="scan.nii.gz", rescale_intensities=True)
    assert shlex.split(n4.cmdline)[-3:] == ["--output", "scan_corrected.nii.gz", "-r"]


@pytest.mark.parametrize("interface", COMMANDS)
def test_what_scripts_set_on_commands(interface, scan):
    with pytest.raises(ValueError, match="requires a value for input 'input_image'"):
        _ = interface().cmdline
    made = interface(input_image=scan, terminal_output="none")
    assert made.terminal_output == "none"
    made.terminal_output = "file"
    assert pickle.loads(pickle.dumps(made)).terminal_output == "file"
    assert interface().terminal_output == "stream"
    with pytest.raises(AttributeError, match="terminal_output must be one of"):
        made.terminal_output = "loud"
    assert made.version


@pytest.mark.parametrize("interface", COMMANDS)
def test_defaults_of_a_class(interface, scan):
    class Own(interface):
        pass

    Own.set_default_num_threads(3)
    Own.set_default_terminal_output("file_split")
    assert Own().inputs.num_threads == 3
    assert Own(num_threads=2).inputs.num_threads == 2
    assert Own().terminal_output == "file_split"
    assert interface().inputs.num_threads == 1
    assert interface().terminal_output == "stream"
