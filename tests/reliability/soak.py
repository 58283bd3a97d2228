"""Thousands of small images in one run, some of them bad, and what became of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

import getnet_bids
from getnet_bids.images import magnitudes
from tests.datasets import describe, status
from tests.phantoms.scanned import Volume, synthetic

VOXEL = 12.0
EVERY = 20
"""One image of so many is bad."""
SAMPLE = 12
"""At least so many images' bits are compared with those of a correction by itself."""
INTERVAL = 0.25
"""Seconds between two looks at the process."""


def stored(data: np.ndarray) -> bytes:
    """Return a NIfTI file's bytes."""
    return nib.Nifti1Image(data, np.diag([VOXEL, VOXEL, VOXEL, 1]), dtype=data.dtype).to_bytes()


def with_header(at: int, value: int) -> Callable[[Path], object]:
    """Make a writer of an image with another number in its header."""

    def write(path: Path) -> None:
        data = bytearray(stored(np.ones((20, 20, 20), np.int16)))
        data[at : at + 2] = value.to_bytes(2, "little", signed=True)
        path.write_bytes(data)

    return write


def truncated(path: Path) -> None:
    """Write the first half of an image."""
    whole = stored(np.ones((20, 20, 20), np.int16))
    path.write_bytes(whole[: len(whole) // 2])


BAD: dict[str, Callable[[Path], object]] = {
    "truncated": truncated,
    "empty": lambda path: path.touch(),
    "text": lambda path: path.write_text("<html>403 Forbidden</html>\n" * 20),
    "damaged gzip": lambda path: path.write_bytes(b"\x1f\x8b\x08\x00" + bytes(range(256))),
    "32767 along an axis": with_header(42, 32767),
    "negative dimension": with_header(42, -20),
    "unknown type": with_header(70, 999),
    "zeros": lambda path: path.write_bytes(stored(np.zeros((20, 20, 20), np.int16))),
    "not a number": lambda path: path.write_bytes(stored(np.full((20, 20, 20), np.nan, np.float32))),
    "complex": lambda path: path.write_bytes(stored(np.ones((20, 20, 20), np.complex64))),
    "five dimensions": lambda path: path.write_bytes(stored(np.ones((9, 9, 9, 2, 2), np.int16))),
    "not fetched": lambda path: path.symlink_to("../../../.git/annex/objects/absent"),
    "a pipe": lambda path: os.mkfifo(path),
    "a folder": lambda path: path.mkdir(),
}
"""How a file is made that cannot be corrected."""


@dataclass
class Soak:
    """What became of a run.

    Parameters
    ----------
    good, bad : int
        Images.
    code : int
        The run's exit code.
    seconds : float
    samples : list of tuple
        Images done, memory (MB), open file handles; at one moment after the other.
    wrong : list of str
        What is not as it should be.
    """

    good: int
    bad: int
    code: int = -1
    seconds: float = 0.0
    samples: list[tuple[int, float, int]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def slope(self, column: int) -> float:
        """Growth of a column of the samples per 1,000 images, over the run but for its first tenth.

        It is that of the largest value in each tenth of the run, since memory rises and falls with every image, and the
        moments of the samples are arbitrary.
        """
        table = np.array(self.samples, float)
        tenth = np.ceil(10 * table[:, 0] / (self.good + self.bad))
        largest = [table[tenth == one, column].max() for one in np.unique(tenth[tenth > 1])]
        return float(np.polyfit(np.unique(tenth[tenth > 1]), largest, 1)[0] * 10_000 / (self.good + self.bad))


def name_of(number: int) -> str:
    """Return the path of an image: two of each subject."""
    subject = f"sub-{number // 2:05}"
    return f"{subject}/anat/{subject}_{('T1w', 'T2w')[number % 2]}"


def make(root: Path, count: int) -> tuple[list[str], dict[str, str]]:
    """Make the dataset; return the names of good images, and of bad ones with what they are.

    No good image is like another: they differ in their values, and are turned one way or the other.
    """
    head = magnitudes(synthetic(VOXEL).image)
    good: list[str] = []
    bad: dict[str, str] = {}
    for number in range(count):
        path = root / name_of(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % EVERY == EVERY // 2:
            kind = list(BAD)[len(bad) % len(BAD)]
            path = path.with_name(f"{path.name}.nii.gz" if kind == "damaged gzip" else f"{path.name}.nii")
            BAD[kind](path)
            bad[path.relative_to(root).as_posix()] = kind
            continue
        path = path.with_name(f"{path.name}.nii.gz")
        nib.Nifti1Image(volume_of(head, number), np.diag([VOXEL, VOXEL, VOXEL, 1])).to_filename(path)
        good.append(path.relative_to(root).as_posix())
    describe(root)
    return good, bad


def volume_of(head: Volume, number: int) -> np.ndarray:
    """Make an image that no other number gives."""
    axes = tuple(axis for axis in range(3) if number >> axis & 1)
    return np.rint(np.flip(head, axes) * (1 + number / 1000)).astype(np.int16)


def run(folder: Path, count: int, weights: Path | None = None) -> Soak:
    """Make so many images in a folder, correct them in one run, and look at everything.

    Parameters
    ----------
    folder : Path
    count : int
    weights : Path, optional
        Of another network than the package's.

    Returns
    -------
    Soak
    """
    raw, out = folder / "raw", folder / "out"
    good, bad = make(raw, count)
    soak = Soak(len(good), len(bad))
    began = time.monotonic()
    command = [sys.executable, "-m", "getnet_bids.cli.app", str(raw), str(out), "participant", "--device", "cpu"]
    threads = str(torch.get_num_threads())  # as of the corrections that they are compared with
    command += ["--omp-nthreads", threads, *(["--weights", str(weights)] if weights else [])]
    with open(folder / "said.txt", "w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        while process.poll() is None:
            if sample := look(process.pid, out):
                soak.samples.append(sample)
            time.sleep(INTERVAL)
    soak.code, soak.seconds = process.returncode, time.monotonic() - began
    validate(soak, raw, out, good, bad, weights)
    said_traceback = "Traceback" in (folder / "said.txt").read_text()
    soak.wrong += ["a traceback was printed"] if said_traceback else []
    return soak


def look(pid: int, out: Path) -> tuple[int, float, int] | None:
    """Return images done, memory (MB) and open file handles of a process; None if it does nothing yet, or no more."""
    try:
        handles = len(os.listdir(f"/proc/{pid}/fd"))
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        memory = int(status["VmRSS"].split()[0]) / 1024
        log = next(out.glob("logs/*/status.tsv"))
    except (OSError, KeyError, StopIteration):
        return None
    done = log.read_bytes().count(b"\n") - 1
    return (done, memory, handles) if done > 0 else None


def validate(soak: Soak, raw: Path, out: Path, good: list[str], bad: dict[str, str], weights: Path | None) -> None:
    """Note whatever is wrong with the results."""
    rows = status(out)
    soak.wrong += [f"{source}: no line" for source in {*good, *bad} - rows.keys()]
    soak.wrong += [f"{source}: a line of no image" for source in rows.keys() - {*good, *bad}]
    for source, kind in bad.items():
        row = rows.get(source, {"status": "", "reason": ""})
        if row["status"] != "failed" or len(row["reason"]) < 10 or "crash" in row["reason"]:
            soak.wrong.append(f"{source} ({kind}): {row}")
        soak.wrong += [f"{path}: made of a bad image" for path in results_of(out, source).values() if path.exists()]
    for number, source in enumerate(good):
        if rows.get(source, {}).get("status") != "done":
            soak.wrong.append(f"{source}: {rows.get(source)}")
            continue
        compare(soak, raw / source, results_of(out, source))
        if number % max(1, len(good) // SAMPLE) == 0:
            compare_bits(soak, raw / source, results_of(out, source), weights)
    soak.wrong += [f"{path}: a crash file" for path in out.glob("logs/*/crash-*")]
    soak.wrong += [f"{path}: left over" for path in out.rglob(".getnet-*")]


def results_of(out: Path, source: str) -> dict[str, Path]:
    """Name the results of an image."""
    stem, suffix = source.partition(".")[0].rsplit("_", 1)
    return {
        "corrected": out / f"{stem}_desc-preproc_{suffix}.nii.gz",
        "field": out / f"{stem}_mod-{suffix}_desc-preproc_biasfield.nii.gz",
        "sidecar": out / f"{stem}_desc-preproc_{suffix}.json",
        "field's sidecar": out / f"{stem}_mod-{suffix}_desc-preproc_biasfield.json",
    }


def compare(soak: Soak, source: Path, results: dict[str, Path]) -> None:
    """Note whether results are not those of an image."""
    if missing := [name for name, path in results.items() if not path.is_file()]:
        soak.wrong.append(f"{source}: lacks {', '.join(missing)}")
        return
    corrected, shading = (magnitudes(nib.load(results[name])) for name in ("corrected", "field"))
    given = magnitudes(nib.load(source))
    if not np.isfinite(shading).all() or (shading <= 0).any():
        soak.wrong.append(f"{source}: its field is not finite and positive")
    if not np.allclose(corrected.astype(np.float64) * shading, given, rtol=2e-6, atol=1e-30):
        soak.wrong.append(f"{source}: corrected times field is not the image")


def compare_bits(soak: Soak, source: Path, results: dict[str, Path], weights: Path | None) -> None:
    """Note whether results have other bits than those of the image corrected by itself."""
    alone = getnet_bids.correct(source, device="cpu", weights=weights)
    pairs = ((results["corrected"], alone.image), (results["field"], alone.field))
    if not all(
        path.is_file() and np.array_equal(magnitudes(nib.load(path)), magnitudes(image)) for path, image in pairs
    ):
        soak.wrong.append(f"{source}: other bits than by itself")
