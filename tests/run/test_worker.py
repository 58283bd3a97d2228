from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from getnet_bids.bids.discovery import find_images
from getnet_bids.bids.jobs import Job
from getnet_bids.bids.metadata import Metadata
from getnet_bids.bids.outputs import Outputs
from getnet_bids.bids.provenance import Recipe
from getnet_bids.bids.status import RunLog
from getnet_bids.core.correction import correct_volume
from getnet_bids.core.network import GetNet
from getnet_bids.core.options import Options
from getnet_bids.errors import GetNetError, is_expected
from getnet_bids.run.worker import compute, load, run_jobs
from getnet_bids.weights import default_weights, load_network


class Failing(GetNet):
    """A network that always fails."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def log_gain(self, slices):
        raise self.error


def run(make_dataset, tmp_path, error, **options):
    raw = make_dataset("sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz")
    jobs = [Job(source, Outputs.of(source, tmp_path / "out")) for source in find_images(raw).sources]
    log = RunLog(tmp_path / "out" / "logs")
    recipe = Recipe(default_weights(), "sha256:0", {})
    run_jobs(jobs, Failing(error), Options(), recipe, log, **options)
    return log


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_out_of_memory_fails_each_image_with_a_reason(make_dataset, tmp_path, error):
    log = run(make_dataset, tmp_path, error)
    assert log.counts == {"done": 0, "skipped": 0, "failed": 2}
    assert "memory" in log.status.read_text().splitlines()[1]
    assert not list(log.folder.glob("crash-*"))


def test_an_unforeseen_error_leaves_its_traceback(make_dataset, tmp_path):
    log = run(make_dataset, tmp_path, KeyError("surprise"))
    assert log.counts["failed"] == 2
    (first, second) = sorted(log.folder.glob("crash-*"))
    assert (first.name, second.name) == ("crash-sub-01_T1w.txt", "crash-sub-02_T1w.txt")
    assert "in log_gain" in first.read_text()
    assert f"KeyError: 'surprise'; see {first}" in log.status.read_text()
    assert not list((tmp_path / "out").rglob("*.nii.gz"))


def test_stopping_at_the_first_failure(make_dataset, tmp_path):
    assert run(make_dataset, tmp_path, MemoryError(), stop_on_failure=True).counts["failed"] == 1


def test_only_our_own_value_errors_are_expected():
    def raised(function, *arguments):
        with pytest.raises(Exception) as caught:  # noqa: PT011
            function(*arguments)
        return caught.value

    assert is_expected(GetNetError("b", "a"))
    assert is_expected(OSError(28, "full"))
    assert is_expected(raised(correct_volume, torch.zeros(9, 9, 9).numpy(), (1.0, 1.0, 1.0), GetNet()))
    assert not is_expected(raised(int, "x"))
    assert not is_expected(raised(torch.zeros(2).reshape, 3))


def test_an_image_has_its_threads_whatever_another_thread_has_set(make_dataset, tmp_path):
    raw = make_dataset("sub-01/anat/sub-01_T1w.nii.gz")
    (source,) = find_images(raw).sources
    loaded = load(Job(source, Outputs.of(source, tmp_path / "out")), Metadata(source.root))
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as within a block of another image, when this image's thread begins
    try:
        with ThreadPoolExecutor(1) as pool:
            computed = pool.submit(compute, loaded, load_network(), Options(), threads=3).result()
    finally:
        torch.set_num_threads(before)
    assert computed.device == "cpu (3 threads)"
