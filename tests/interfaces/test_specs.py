"""What nipype's own checkspecs asks of every interface."""

from __future__ import annotations

import pickle

import pytest
from nipype import Node
from nipype.interfaces.base import isdefined

from getnet_bids import interfaces

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
