from __future__ import annotations

import time

import pytest
from nipype import Node, Workflow
from nipype.interfaces.utility import Function

from getnet_bids.workflows import WatchedMultiProcPlugin
from tests.workflows.killed import Killed


def add_one(number):
    return number + 1


def add(name):
    return Node(Function(function=add_one, input_names=["number"], output_names=["out"]), name=name)


@pytest.fixture
def workflow(folder):
    workflow = Workflow("wf", base_dir=str(folder))
    workflow.config["execution"] = {"crashdump_dir": str(folder / "crash"), "poll_sleep_duration": 0.1}
    return workflow


def test_a_killed_worker_ends_the_run_with_an_error(workflow, folder):
    before, killed, after, other, last = (
        add("before"),
        Node(Killed(), "killed"),
        add("after"),
        add("other"),
        add("last"),
    )
    before.inputs.number = other.inputs.number = 1
    workflow.connect(
        [
            (before, killed, [("out", "number")]),
            (killed, after, [("out", "number")]),
            (other, last, [("out", "number")]),
        ]
    )
    # One process: `last` is waiting when the pool breaks, and has to be done all the same.
    started = time.monotonic()
    with pytest.raises(
        RuntimeError, match=r"wf\.killed: a worker process was killed .* fewer processes or more memory"
    ):
        workflow.run(plugin=WatchedMultiProcPlugin({"n_procs": 1}))
    assert time.monotonic() - started < 30
    assert list((folder / "wf" / "last").glob("result_*"))
    assert not list((folder / "wf").glob("after/result_*"))
    assert len(list((folder / "crash").iterdir())) == 1


def test_a_run_without_trouble_is_as_with_multiproc(workflow):
    first, second = add("first"), add("second")
    first.inputs.number = 1
    workflow.connect([(first, second, [("out", "number")])])
    graph = workflow.run(plugin=WatchedMultiProcPlugin({"n_procs": 2}))
    assert {node.name: node.result.outputs.out for node in graph.nodes()} == {"first": 2, "second": 3}
