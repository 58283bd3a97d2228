from __future__ import annotations

import pytest
from nipype import Node, Workflow
from nipype.interfaces.utility import Function

from getnet_bids.cli.crashes import collect
from getnet_bids.workflows import WatchedMultiProcPlugin
from tests.workflows.killed import Killed


def fail(text):
    from getnet_bids.errors import ImageError

    raise ImageError("/data/sub-01_T1w.nii.gz", text)


def crashes_of(node, folder, plugin):
    image, root = Workflow("sub-01_acq-a--b_T1w"), Workflow("root", base_dir=str(folder))
    image.add_nodes([node])
    root.add_nodes([image])
    root.config["execution"] = {"crashdump_dir": str(folder / "logs"), "crashfile_format": "txt"}
    with pytest.raises(Exception, match=r".*"):
        root.run(plugin=plugin)
    return collect(folder / "logs")


@pytest.mark.parametrize("text", ["truncated", "first line\nsecond"])
def test_an_error_of_a_node(tmp_path, text):
    node = Node(Function(function=fail, input_names=["text"], output_names=["out"]), name="n4")
    node.inputs.text = text
    (crash,) = crashes_of(node, tmp_path, "Linear")
    assert (crash.image, crash.node) == ("sub-01_acq-a--b_T1w", "n4")
    assert crash.reason == "ImageError: /data/sub-01_T1w.nii.gz: " + text.splitlines()[0]
    assert crash.path.name == "crash-sub-01_acq-a--b_T1w_n4.txt"
    assert "Traceback" in crash.path.read_text()
    assert collect(tmp_path / "logs") == []  # each once


def test_a_killed_worker(tmp_path):
    (crash,) = crashes_of(Node(Killed(), "tissues"), tmp_path, WatchedMultiProcPlugin({"n_procs": 1}))
    assert crash.reason.startswith("a worker process was killed while this node ran, most often because")
    assert crash.node == "tissues"
