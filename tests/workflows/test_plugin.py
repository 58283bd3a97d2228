from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from itertools import pairwise

import pytest
from nipype import Node, Workflow
from nipype.interfaces.utility import Function

from getnet_bids.interfaces import SimulateGain
from getnet_bids.workflows import LinearPlugin, WatchedMultiProcPlugin
from tests.workflows.killed import Killed

BUSY = """
from nipype import Node, Workflow
from nipype.interfaces.utility import Function
from getnet_bids.workflows import WatchedMultiProcPlugin


def sleep():
    import ctypes
    import os
    from pathlib import Path

    Path(f"worker.{{os.getpid()}}.pid").touch()
    ctypes.PyDLL(None).sleep(100)  # and keeps Python's lock meanwhile, as ITK does


if __name__ == "__main__":
    workflow = Workflow("wf", base_dir={folder!r})
    workflow.add_nodes([Node(Function(function=sleep, output_names=["out"]), "node")])
    workflow.run(plugin=WatchedMultiProcPlugin({{"n_procs": 1}}))
"""


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
    with pytest.raises(RuntimeError, match=r"a worker process was killed .* fewer processes or more memory"):
        workflow.run(plugin=WatchedMultiProcPlugin({"n_procs": 1}))
    assert time.monotonic() - started < 120
    assert list((folder / "wf" / "last").glob("result_*"))
    assert not list((folder / "wf").glob("after/result_*"))
    (crash,) = (folder / "crash").iterdir()
    assert re.match(r"crash-\d{8}-\d{6}-.*-killed-", crash.name)


@pytest.mark.parametrize("plugin", [LinearPlugin, WatchedMultiProcPlugin])
def test_an_error_before_an_interface_runs_names_its_cause_and_stops_no_other_node(workflow, folder, plugin):
    good = add("good")
    good.inputs.number = 1
    workflow.add_nodes([Node(SimulateGain(), "bad"), good])
    with pytest.raises(RuntimeError, match="SimulateGain requires a value for input 'input_image'") as caught:
        workflow.run(plugin=plugin({"n_procs": 1}))
    assert "FileNotFoundError" not in str(caught.value)
    assert list((folder / "wf" / "good").glob("result_*"))


class Interrupted(Node):
    """A node that Ctrl-C reaches before its interface runs."""

    def run(self, updatehash=False):
        raise KeyboardInterrupt


def test_an_interrupt_before_an_interface_runs_ends_the_run(workflow):
    workflow.add_nodes([Interrupted(SimulateGain(), "interrupted")])
    with pytest.raises(KeyboardInterrupt):
        workflow.run(plugin=LinearPlugin())


def test_a_run_without_trouble_is_as_with_multiproc(workflow):
    first, second = add("first"), add("second")
    first.inputs.number = 1
    workflow.connect([(first, second, [("out", "number")])])
    graph = workflow.run(plugin=WatchedMultiProcPlugin({"n_procs": 2}))
    assert {node.name: node.result.outputs.out for node in graph.nodes()} == {"first": 2, "second": 3}


def test_what_is_begun_is_brought_to_an_end_first(workflow):
    ended = []
    for name in ("a", "b"):
        chain = [add(f"{name}{i}") for i in range(3)]
        chain[0].inputs.number = 1
        workflow.connect([(one, two, [("out", "number")]) for one, two in pairwise(chain)])
    plugin = WatchedMultiProcPlugin(
        {"n_procs": 1, "status_callback": lambda node, status: ended.append(node.name) if status == "end" else None}
    )
    workflow.run(plugin=plugin)
    assert ended in (["a0", "a1", "a2", "b0", "b1", "b2"], ["b0", "b1", "b2", "a0", "a1", "a2"])


def test_no_worker_outlives_the_run_even_amid_what_python_cannot_interrupt(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(BUSY.format(folder=str(tmp_path / "work")))
    run = subprocess.Popen([sys.executable, str(script)])
    limit = time.monotonic() + 60
    while not list(tmp_path.glob("work/*/*/*.pid")) and time.monotonic() < limit:
        time.sleep(0.05)
    worker = int(next(tmp_path.glob("work/*/*/*.pid")).suffixes[0][1:])
    run.kill()
    run.wait()
    limit = time.monotonic() + 10
    while running(worker) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not running(worker)


def running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"
