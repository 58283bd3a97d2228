"""Measure the time to list the jobs of a large dataset, and to recognise that a finished one is done.

Datasets of 1,000 subjects and more are made in a temporary folder out of links to one tiny image, with ten files per
subject; the results of one subject are given to all. Each step is a separate process, with the command as a user types
it. Writes benchmarks/discovery.tsv.

    python benchmarks/discovery.py [--subjects 1000 10000 100000] [--folder DIR]
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np

TABLE = Path(__file__).with_suffix(".tsv")
COLUMNS = ("subjects", "images", "step", "seconds", "cpu_seconds", "peak_mb")
OTHERS = ("func/{}_task-rest_bold.nii.gz", "func/{}_task-rest_bold.json", "func/{}_task-rest_events.tsv")
OTHERS += ("dwi/{}_dwi.nii.gz", "dwi/{}_dwi.bval", "dwi/{}_dwi.bvec", "fmap/{}_epi.nii.gz")
SUFFIXES = ("T1w", "T2w")


def main() -> None:
    """Run all sizes and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument(
        "--folder", type=Path, help="folder in which the datasets are made (default: the temporary folder)"
    )
    args = parser.parse_args()
    rows = []
    for count in args.subjects:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            rows += measure(Path(folder), count)
            with open(TABLE, "w", newline="") as file:
                writer = csv.writer(file, delimiter="\t", lineterminator="\n")
                writer.writerows([COLUMNS, *rows])


def measure(folder: Path, count: int) -> list[tuple]:
    """Make a dataset of a given size, and time the commands on it."""
    raw, out = folder / "raw", folder / "out"
    make_raw(raw, count)
    rows = [row(count, "list the jobs", [raw, out, "participant", "--dry-run"], "to do", raw)]
    make_results(raw, out, count)
    rows.append(row(count, "see that all is done (--dry-run)", [raw, out, "participant", "--dry-run"], "done", raw))
    rows.append(row(count, "run again: all skipped", [raw, out, "participant"], None, raw))
    return rows


def row(count: int, step: str, arguments: list, state: str | None, folder: Path) -> tuple:
    """Time a command, and check its result."""
    seconds, cpu, peak, printed = command(arguments, folder.parent)
    if state is not None:
        states = [line.rpartition("\t")[2] for line in printed.splitlines()[1:]]
        assert states == [state] * count * len(SUFFIXES), (len(states), set(states))
    return count, count * len(SUFFIXES), step, f"{seconds:.2f}", f"{cpu:.2f}", f"{peak:.0f}"


def command(arguments: list, folder: Path) -> tuple[float, float, float, str]:
    """Run getnet-bids; return its seconds, processor seconds, peak memory in MB, and its output."""
    with open(folder / "printed.txt", "w+") as printed:
        started = time.monotonic()
        process = subprocess.Popen([sys.executable, "-m", "getnet_bids.cli.app", *map(str, arguments)], stdout=printed)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, process.returncode
        printed.seek(0)
        cpu = usage.ru_utime + usage.ru_stime
        return seconds, cpu, usage.ru_maxrss / (1000 if sys.platform == "linux" else 1e6), printed.read()


def make_raw(raw: Path, count: int) -> None:
    """Make a dataset of links to one image."""
    raw.mkdir()
    (raw / "dataset_description.json").write_text('{"Name": "Large", "BIDSVersion": "1.10.0"}')
    make_image(raw.parent / "image.nii.gz")
    (raw.parent / "empty").touch()
    for i in range(count):
        subject = f"sub-{i:06}"
        for folder in ("anat", "func", "dwi", "fmap"):
            (raw / subject / folder).mkdir(parents=True)
        for suffix in SUFFIXES:
            (raw / subject / "anat" / f"{subject}_{suffix}.nii.gz").symlink_to(raw.parent / "image.nii.gz")
        (raw / subject / "anat" / f"{subject}_T1w.json").symlink_to(raw.parent / "empty")
        for name in OTHERS:
            (raw / subject / name.format(subject)).symlink_to(raw.parent / "empty")


def make_image(path: Path) -> None:
    """Write a small image of an object."""
    grid = np.meshgrid(*[np.linspace(-1, 1, 20)] * 3, indexing="ij")
    ball = 1000 * (sum(g**2 for g in grid) < 0.7)
    nib.Nifti1Image(ball.astype(np.int16), np.diag([8.0, 8, 8, 1])).to_filename(path)


def make_results(raw: Path, out: Path, count: int) -> None:
    """Correct the first subject, and give its results to the others: their own sidecars, and linked images."""
    first = "sub-000000"
    command([raw, out, "participant", "--participant-label", first, "--device", "cpu"], raw.parent)
    made = [path for path in (out / first).rglob("*") if path.is_file()]
    for i in range(1, count):
        subject = f"sub-{i:06}"
        for path in made:
            target = out / str(path.relative_to(out)).replace(first, subject)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".json":
                target.write_text(path.read_text().replace(first, subject))
            else:
                target.symlink_to(path)
        (out / f"{subject}.html").symlink_to(out / f"{first}.html")
    os.utime(out / f"{first}.html")  # pages must be newer than the results that they show


if __name__ == "__main__":
    main()
