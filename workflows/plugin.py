"""MultiProc that ends with an error, not never, when one of its workers is killed."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from nipype.pipeline.plugins.multiproc import MultiProcPlugin, process_initializer

KILLED = (
    "{node}: a worker process was killed while this node ran, most often because the memory was full. Run again with "
    "fewer processes or more memory; nodes that are done are kept.\n"
)
FAILED = "{node}: could not be handed to a worker or its result back: {error!r}\n"


class WatchedMultiProcPlugin(MultiProcPlugin):
    """nipype's MultiProc plugin, which notices that a worker is gone.

    nipype waits for ever for the result of a worker that was killed, by the kernel's out-of-memory killer say. Here
    the nodes that ran at that moment fail, each with a crash file, nodes that do not depend on them go on in fresh
    workers, and the run ends with an error.

    Workers are started by ``forkserver`` rather than ``fork``, since neither CUDA nor OpenMP survives a fork; another
    way can be named as ``mp_context``. As with all of multiprocessing, a script that runs a workflow in this way
    needs its ``if __name__ == "__main__":``.

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
        super().__init__({"mp_context": "forkserver", **(plugin_args or {})})
        self._names: dict[int, str] = {}

    def _submit_job(self, node: Any, updatehash: bool = False) -> int:
        try:
            taskid = super()._submit_job(node, updatehash)
        except BrokenProcessPool:
            self.pool.shutdown(wait=False)
            self.pool = ProcessPoolExecutor(
                max_workers=self.processors,
                initializer=process_initializer,
                initargs=(self._cwd,),
                mp_context=multiprocessing.get_context(self.plugin_args["mp_context"]),
            )
            taskid = super()._submit_job(node, updatehash)
        self._names[taskid] = node.fullname
        return taskid

    def _async_callback(self, future: Future[dict[str, Any]]) -> None:
        # An exception here would be logged and lost, and the result waited for without end.
        if not future.cancelled() and future.exception() is None:
            super()._async_callback(future)

    def _get_result(self, taskid: int) -> dict[str, Any] | None:
        future = self._task_obj[taskid]
        if future.done() and (error := future.exception()) is not None:
            text = KILLED if isinstance(error, BrokenProcessPool) else FAILED
            return {"result": None, "traceback": [text.format(node=self._names[taskid], error=error)], "taskid": taskid}
        return super()._get_result(taskid)
