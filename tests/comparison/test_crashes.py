from __future__ import annotations

import pytest
from nipype import Node, Workflow
from nipype.interfaces.utility import Function

from getnet_bids.comparison.plugins import Plugin
from getnet_bids.workflows.plugin import KILLED
from tests.workflows.killed import Killed

TRUNCATED = "raise GetNetError('truncated', '/data/sub-01_T1w.nii.gz')"
LINES = "raise ValueError('first\\nsecond')"


def fail(text):
    from getnet_bids.errors import GetNetError

    exec(text, {"GetNetError": GetNetError})


def crashes_of(node, folder, plugin):
    """Run a node that fails; return the calls back."""
    calls = []
    image, root = Workflow("sub-01_acq-a--b_T1w"), Workflow("root", base_dir=str(folder))
    image.add_nodes([node])
    root.add_nodes([image])
    root.config["execution"] = {"crashdump_dir": str(folder / "logs"), "crashfile_format": "txt"}
    with pytest.raises(Exception, match=r".*"):
        root.run(plugin=plugin.runner(lambda *_: None, lambda *call: calls.append(call)))
    return calls


@pytest.mark.parametrize("plugin", [Plugin("Linear"), Plugin("MultiProc", {"n_procs": 1})], ids=lambda p: p.name)
@pytest.mark.parametrize(
    ("text", "reason"),
    [(TRUNCATED, "/data/sub-01_T1w.nii.gz: truncated"), (LINES, "ValueError: first second")],
)
def test_an_error_of_a_node(tmp_path, plugin, text, reason):
    node = Node(Function(function=fail, input_names=["text"], output_names=["out"]), name="n4")
    node.inputs.text = text
    ((failed, said, file),) = crashes_of(node, tmp_path, plugin)
    assert failed.fullname == "root.sub-01_acq-a--b_T1w.n4"
    assert said == reason
    assert "Traceback" in file.read_text()


def test_a_killed_worker(tmp_path):
    ((node, reason, _),) = crashes_of(Node(Killed(), "tissues"), tmp_path, Plugin("MultiProc", {"n_procs": 1}))
    assert reason == " ".join(KILLED.split())
    assert node.name == "tissues"
