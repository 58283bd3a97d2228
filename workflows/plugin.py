"""A MultiProc plugin that ends with an error when one of its workers is killed, rather than waiting forever."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from threading import Thread
from traceback import format_exception
from typing import Any

from nipype import logging
from nipype.pipeline.plugins.base import DistributedPluginBase
from nipype.pipeline.plugins.multiproc import MultiProcPlugin, process_initializer, run_node

KILLED = (
    "a worker process was killed while this node ran, most often because the memory was full. Run again with "
    "fewer processes or more memory; nodes that are done are kept.\n"
)
FAILED = "could not be handed to a worker or its result back: {error!r}\n"


class WatchedMultiProcPlugin(MultiProcPlugin):
    """nipype's MultiProc plugin, extended so that it notices when a worker was killed.

    The original waits forever for the result of a worker that was killed, for example by the kernel's out-of-memory
    killer. With this plugin the nodes that were running at that moment fail, each with a crash file, nodes that do not
    depend on them continue in new workers, and the run ends with an error. Of the nodes that are ready, those furthest
    down the graph run first, so that images that have been started are finished before others are started.

    Workers are started by ``forkserver``, or ``spawn`` on Windows, rather than ``fork``, since neither CUDA nor OpenMP
    survives a fork; ``mp_context`` selects another method. They have the log level of the process that starts them, and
    end with the run, whether by an interrupt or the end of the process. As always with multiprocessing, a script that
    runs a workflow with this plugin needs ``if __name__ == "__main__":``.

    Parameters
    ----------
    plugin_args : dict, optional
        As for MultiProc: ``n_procs``, ``memory_gb``, ``n_gpu_procs``, ``mp_context`` ...

    Examples
    --------
    >>> from getnet_bids.workflows import WatchedMultiProcPlugin, init_getnet_wf
    >>> workflow = init_getnet_wf()
    >>> workflow.run(plugin=WatchedMultiProcPlugin({"n_procs": 2}))  # doctest: +SKIP
    """

    def __init__(self, plugin_args: dict[str, Any] | None = None) -> None:
        super().__init__({"mp_context": start_method(), **(plugin_args or {})})
        self._depths: list[int] = []
        self.pool = self._workers()

    def _workers(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            max_workers=self.processors,
            initializer=begin_worker,
            initargs=(self._cwd, logging.getLogger("nipype.workflow").level),
            mp_context=multiprocessing.get_context(self.plugin_args["mp_context"]),
        )

    def run(self, graph: Any, config: Any, updatehash: bool = False) -> None:
        """Run a graph; workers that are still busy when an error or an interrupt ends the run are killed."""
        try:
            super().run(graph, config, updatehash)
        except BaseException:
            workers = list((self.pool._processes or {}).values())
            self.pool.shutdown(wait=False, cancel_futures=True)
            for worker in workers:
                worker.kill()
            raise

    def _generate_dependency_list(self, graph: Any) -> None:
        super()._generate_dependency_list(graph)
        depths: dict[Any, int] = {}
        for node in self.procs:
            depths[node] = 1 + max((depths[before] for before in graph.predecessors(node)), default=-1)
        self._depths = list(depths.values())

    def _sort_jobs(self, jobids: Any, scheduler: str | None = None) -> Any:
        if scheduler is not None:
            return super()._sort_jobs(jobids, scheduler)
        # The parts of a map node are listed after all nodes of the graph, and run first.
        return sorted(jobids, key=lambda jobid: -self._depths[jobid] if jobid < len(self._depths) else -jobid)

    def _submit_job(self, node: Any, updatehash: bool = False) -> int:
        # As in nipype, a worker does not print what a command prints.
        if getattr(node.interface, "terminal_output", "") == "stream":
            node.interface.terminal_output = "allatonce"
        self._taskid += 1
        try:
            future = self.pool.submit(run_reporting, node, updatehash, self._taskid)
        except BrokenProcessPool:
            self.pool.shutdown(wait=False)
            self.pool = self._workers()
            future = self.pool.submit(run_reporting, node, updatehash, self._taskid)
        future.add_done_callback(self._async_callback)
        self._task_obj[self._taskid] = future
        return self._taskid

    def _async_callback(self, future: Future[dict[str, Any]]) -> None:
        # An exception here would be logged and lost, and nipype would wait for the result forever.
        if not future.cancelled() and future.exception() is None:
            super()._async_callback(future)

    def _get_result(self, taskid: int) -> dict[str, Any] | None:
        future = self._task_obj[taskid]
        if future.done() and (error := future.exception()) is not None:
            text = KILLED if isinstance(error, BrokenProcessPool) else FAILED
            return {"result": None, "traceback": [text.format(error=error)], "taskid": taskid}
        return super()._get_result(taskid)


class LinearPlugin(DistributedPluginBase):
    """Run nodes one after another in this process, and report failures as nipype's distributed plugins do.

    Parameters
    ----------
    plugin_args : dict, optional
        As for nipype's own ``Linear``.
    """

    def __init__(self, plugin_args: dict[str, Any] | None = None) -> None:
        super().__init__({"max_jobs": 1, **(plugin_args or {})})
        self._done: dict[int, dict[str, Any]] = {}
        self._count = 0

    def _submit_job(self, node: Any, updatehash: bool = False) -> int:
        folder = os.getcwd()
        self._count += 1
        self._done[self._count] = run_reporting(node, updatehash, self._count)
        os.chdir(folder)
        return self._count

    def _get_result(self, taskid: int) -> dict[str, Any]:
        return self._done[taskid]

    def _clear_task(self, taskid: int) -> None:
        del self._done[taskid]


def run_reporting(node: Any, updatehash: bool, taskid: int) -> dict[str, Any]:
    """Run a node as nipype's `run_node` does, and report errors raised before the interface ran as well.

    `run_node` itself fails after such an error, since it reads a result file that does not exist.
    """
    try:
        return run_node(node, updatehash, taskid)
    except Exception as error:
        cause = error.__context__ or error
        if not isinstance(cause, Exception):
            raise cause from None  # an interrupt
        return {"result": None, "traceback": format_exception(cause), "taskid": taskid}


def begin_worker(folder: str, level: int) -> None:
    """Prepare a worker: set its log level, let it end with its parent process, and leave Ctrl-C to the parent."""
    process_initializer(folder)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in logging.loggers:
        logging.getLogger(name).setLevel(level)
    if (parent := multiprocessing.parent_process()) is not None:
        end_with(parent.sentinel)


def start_method() -> str:
    """Return the start method that does not fork a process with threads: `forkserver` if available."""
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


def end_with(sentinel: int) -> None:
    """End this process when another ends, which closes a pipe, even during work that Python cannot interrupt.

    Otherwise a worker outlives a parent that is killed, and waits forever. On systems other than Linux a thread waits
    for the pipe, which runs only when a computation outside Python releases the interpreter.
    """
    if sys.platform != "linux":
        Thread(target=wait_and_end, args=(sentinel,), daemon=True).start()
        return
    import fcntl

    fcntl.fcntl(sentinel, fcntl.F_SETOWN, os.getpid())
    # From now on the system sends SIGIO when the pipe is closed, which ends a process without a handler for it.
    fcntl.fcntl(sentinel, fcntl.F_SETFL, fcntl.fcntl(sentinel, fcntl.F_GETFL) | os.O_ASYNC)
    if wait([sentinel], 0):
        os._exit(1)


def wait_and_end(sentinel: int) -> None:
    """End this process as soon as a pipe is closed."""
    wait([sentinel])
    os._exit(1)
