"""Small valid images spoiled at random and read, a share of them corrected: whether all that happens is foreseen.

A case is read, or refused with one line (a GetNetError). What is read is written and read again, and must be the same;
every so many are corrected, and corrected times field must be the image. All else is a failure: another error, a
warning, more memory or time than the limits, the end of the process. A case is the same for the same seed.
"""

from __future__ import annotations

import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from nibabel.spatialimages import SpatialImage

from getnet_bids import Correction
from getnet_bids.core.correction import correct_volume
from getnet_bids.core.network import GetNet
from getnet_bids.images import decode, like, magnitudes, read, voxel_size, write

from .images import check
from .mutations import KINDS, spoiled

EVERY = 25
"""Of the cases that are read, so many by their number are corrected."""
MEMORY = 2**30
"""Bytes that a case may take, beside what the process has when it begins."""
SECONDS = 20.0
"""A case may take so long; a tiny image is corrected in a fraction of a second."""


def run(
    cases: int, seed: int, worker: Callable[..., None] | None = None, patience: float = SECONDS + 60
) -> Iterator[tuple[int, str, str, float, str]]:
    """Run cases in a process that is begun anew when one of them ends it or hangs.

    Parameters
    ----------
    cases, seed : int
    worker : callable, optional
        What the process does; default `work`.
    patience : float
        Seconds that an answer may take; the first has to wait for the imports.

    Yields
    ------
    case : int
    kind : str
        What was done to the file.
    outcome : {"read", "corrected", "refused", "failures"}
    seconds : float
    reason : str
        Of a refusal or failure.
    """
    context = get_context("spawn")
    case = 0
    while case < cases:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=worker or work, args=(theirs, case, cases, seed), daemon=True)
        process.start()
        theirs.close()
        try:
            while case < cases and ours.poll(patience):
                yield case, *ours.recv()
                case += 1
        except EOFError:
            pass
        if case < cases:
            process.join(1)
            why = "hangs" if process.is_alive() else f"ended the process with {process.exitcode}"
            process.kill()
            yield case, spoiled(case, seed)[0], "failures", patience, why
            case += 1
        process.join()


def work(answers: Connection, first: int, last: int, seed: int) -> None:
    """Do cases in this process and answer for each: the worker of `run`."""
    import logging

    import torch

    from getnet_bids.weights import load_network

    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    network = load_network(None, "cpu")
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        for case in range(first, last):
            kind, data = spoiled(case, seed)
            started = time.monotonic()
            outcome, reason = validate(data, network if (case // len(KINDS)) % EVERY == 0 else None, Path(folder))
            seconds = time.monotonic() - started
            if seconds > SECONDS:
                outcome, reason = "failures", f"takes {seconds:.0f} s"
            answers.send((kind, outcome, seconds, reason))


def validate(data: bytes, network: object | None, folder: Path) -> tuple[str, str]:
    """Return what becomes of a file.

    Parameters
    ----------
    data : bytes
        Its content.
    network : GetNet, optional
        If it is to be corrected.
    folder : Path
        For what is written.

    Returns
    -------
    outcome : {"read", "corrected", "refused", "failures"}
    reason : str
    """
    from getnet_bids.errors import GetNetError
    from getnet_bids.images import silence_nibabel

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            silence_nibabel()
            image = read_and_check(data)
            if network is not None:
                correct_and_check(image, network, folder)
    except Exception as error:
        text = str(error)
        if isinstance(error, GetNetError) and "\n" not in text:
            return "refused", text
        return "failures", f"{type(error).__name__}: {text or 'no text'}"
    return ("read" if network is None else "corrected"), ""


def read_and_check(data: bytes) -> SpatialImage:
    """Read a file; what is written of it must be read as the same again."""
    image = decode(data, "fuzz")
    voxels = magnitudes(image)
    try:
        again = decode(like(image, voxels).to_bytes(), "fuzz, written")
    except ValueError as error:
        raise AssertionError(f"what was written cannot be read: {error}") from error
    np.testing.assert_array_equal(magnitudes(again), voxels)
    np.testing.assert_array_equal(again.affine, image.affine)
    return image


def correct_and_check(image: SpatialImage, network: GetNet, folder: Path) -> None:
    """Correct an image and write it in both formats."""
    voxels = magnitudes(image)
    volume = correct_volume(voxels.reshape(voxels.shape[:4]), voxel_size(image, "fuzz"), network)
    corrected = like(image, volume.corrected.reshape(image.shape))
    check(image, Correction(corrected, like(image, volume.field), volume.foreground), rtol=1e-5, atol=1e-37)
    for name in ("out.nii.gz", "out.mgz"):
        try:
            write(corrected, folder / name)
            written = read(folder / name)
        except ValueError as error:
            raise AssertionError(f"{name} cannot be written or read: {error}") from error
        np.testing.assert_array_equal(magnitudes(written).ravel(), magnitudes(corrected).ravel())
        same = np.allclose(written.affine, image.affine, rtol=1e-3, atol=1e-3 * max(1, np.abs(image.affine).max()))
        assert same, f"{name} has another affine"
