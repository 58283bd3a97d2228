"""MultiProc that ends with an error, not never, when one of its workers is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from threading import Thread
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
    """nipype's MultiProc plugin, which notices that a worker is gone.

    nipype waits for ever for the result of a worker that was killed, by the kernel's out-of-memory killer say. Here
    the nodes that ran at that moment fail, each with a crash file, nodes that do not depend on them go on in fresh
    workers, and the run ends with an error. Of the nodes that are ready, those furthest down the graph go first, so
    that of many images those that have been begun are brought to an end before others are begun.

    Workers are started by ``forkserver``, on Windows ``spawn``, rather than ``fork``, since neither CUDA nor OpenMP
    survives a fork; another way can be named as ``mp_context``. They log as much as the process that starts them, and
    whatever ends the run, an interrupt or the end of the process, ends them too. As with all of multiprocessing, a
    script that runs a workflow in this way needs its ``if __name__ == "__main__":``.

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
        # The parts of a map node come after all nodes of the graph, and go first.
        return sorted(jobids, key=lambda jobid: -self._depths[jobid] if jobid < len(self._depths) else -jobid)

    def _submit_job(self, node: Any, updatehash: bool = False) -> int:
        try:
            return super()._submit_job(node, updatehash)
        except BrokenProcessPool:
            self.pool.shutdown(wait=False)
            self.pool = self._workers()
            return super()._submit_job(node, updatehash)

    def _async_callback(self, future: Future[dict[str, Any]]) -> None:
        # An exception here would be logged and lost, and the result waited for without end.
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
        self._done[self._count] = run_node(node, updatehash, self._count)
        os.chdir(folder)
        return self._count

    def _get_result(self, taskid: int) -> dict[str, Any]:
        return self._done[taskid]

    def _clear_task(self, taskid: int) -> None:
        del self._done[taskid]


def begin_worker(folder: str, level: int) -> None:
    """Prepare a worker: it logs at some level, ends with the process that it works for, and leaves Ctrl-C to that."""
    process_initializer(folder)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in logging.loggers:
        logging.getLogger(name).setLevel(level)
    if (parent := multiprocessing.parent_process()) is not None:
        end_with(parent.sentinel)


def start_method() -> str:
    """Return how processes are started without a fork of one that has threads: `forkserver` where there is one."""
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


def end_with(sentinel: int) -> None:
    """Let this process end when another does, whose end closes a pipe, even amid work that Python cannot interrupt.

    Otherwise a worker outlives a process that is killed, and waits for ever. Elsewhere than on Linux a thread waits
    for it, which comes to its turn only when a computation outside of Python lets it.
    """
    if sys.platform != "linux":
        Thread(target=wait_and_end, args=(sentinel,), daemon=True).start()
        return
    import fcntl

    fcntl.fcntl(sentinel, fcntl.F_SETOWN, os.getpid())
    # From now on the system sends SIGIO when the pipe is closed, which ends a process that does not handle it.
    fcntl.fcntl(sentinel, fcntl.F_SETFL, fcntl.fcntl(sentinel, fcntl.F_GETFL) | os.O_ASYNC)
    if wait([sentinel], 0):
        os._exit(1)


def wait_and_end(sentinel: int) -> None:
    """End this process as soon as a pipe is closed."""
    wait([sentinel])
    os._exit(1)
