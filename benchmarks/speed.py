"""Measure time and memory of getnet_bids, N4 (antspyx, SimpleITK) and n4ax, their growth, and bare reading and writing.

    python benchmarks/speed.py [--quick] [--threads 2] [--only SECTION ...] [--out DIR]

Writes speed.tsv and speed.png to its own folder, or to DIR. Each figure is measured in a separate process, bound to as
many processors as there are threads, on heads that are made here; methods that are not installed are left out. The
machine must be idle, since other load affects the figures. Takes about 15 minutes, or 2 with --quick.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SECTIONS = ("files", "cold", "arrays", "memory", "growth", "gpu")
HEAD = (181, 217, 181)
HEADER = ("date", "machine", "section", "what", "value", "unit", "note")


@dataclass
class Table:
    """Rows of the result.

    Parameters
    ----------
    machine : str
    rows : list
        Rows with the columns of `HEADER`.
    """

    machine: str
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, section: str, what: str, value: float, unit: str, note: str = "") -> None:
        """Add a figure, and print it."""
        today = datetime.date.today().isoformat()
        self.rows.append((today, self.machine, section, what, f"{value:.4g}", unit, note))
        print(f"{section:<8}{what:<52}{value:>10.4g} {unit:<10}{note}", flush=True)

    def get(self, what: str) -> float | None:
        """Return a figure that was added; None if there is none."""
        return next((float(row[4]) for row in self.rows if row[3] == what), None)


@dataclass(frozen=True)
class Bench:
    """The settings of the measurements.

    Parameters
    ----------
    threads : int
    folder : Path
        Folder for temporary files.
    quick : bool
    """

    threads: int
    folder: Path
    quick: bool

    def child(self, *command: str, check: bool = True) -> tuple[float, float, str]:
        """Run a command; return its wall seconds, its peak memory in MB and its output."""
        threads = str(self.threads)
        variables = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
        env = {**os.environ, **dict.fromkeys(variables, threads), "JAX_PLATFORMS": "cpu"}
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            began = time.perf_counter()
            process = subprocess.Popen(command, env=env, stdout=out, stderr=err)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            err.seek(0)
            text, errors = out.read(), err.read()
        if check and process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{errors[-2000:]}")
        return seconds, usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20), text

    def work(self, name: str, *values: object) -> dict[str, Any] | None:
        """Call a function of speed_work.py in a separate process; None if a package that it needs is not installed."""
        _, peak, text = self.child(sys.executable, str(HERE / "speed_work.py"), name, *map(str, values))
        result = json.loads(text.splitlines()[-1])
        if "missing" in result:
            print(f"{name}: left out: {result['missing']}", flush=True)
            return None
        return {**result, "peak": peak}

    def head(self, shape: tuple[int, ...]) -> Path:
        """Make a head's file, once."""
        path = self.folder / f"head-{'x'.join(map(str, shape))}.nii.gz"
        if not path.exists():
            self.work("make", path, *shape)
        return path

    def dataset(self, shape: tuple[int, ...], count: int) -> Path:
        """Make a BIDS dataset of copies of one head."""
        root = self.folder / f"bids-{shape[0]}-{count}"
        if not root.exists():
            about = {"Name": "Copies of one head", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
            for i in range(count):
                anat = root / f"sub-{i:04d}" / "anat"
                anat.mkdir(parents=True)
                os.link(self.head(shape), anat / f"sub-{i:04d}_T1w.nii.gz")
            (root / "dataset_description.json").write_text(json.dumps(about))
            (root / "README").write_text("For a benchmark.\n")
        return root

    def app(self, shape: tuple[int, ...], count: int) -> tuple[float, float, Path]:
        """Run the BIDS App on copies of a head; return seconds, peak memory in MB, and the folder of the results."""
        out = self.folder / f"out-{shape[0]}-{count}"
        command = (sys.executable, "-m", "getnet_bids.cli.app", str(self.dataset(shape, count)), str(out))
        options = ("participant", "--force", "--nprocs", str(self.threads))
        seconds, peak, _ = self.child(*command, *options)
        return seconds, peak, out


def files(bench: Bench, table: Table) -> None:
    """Measure the App's steady state, other methods with the same files, and bare reading and writing."""
    few, many = (2, 6) if bench.quick else (3, 33)
    bench.app(HEAD, few)  # so that all files are in the system's cache for every method
    first, *_ = bench.app(HEAD, few)
    last, peak, out = bench.app(HEAD, many)
    ours = (last - first) / (many - few)
    table.add("files", "getnet-bids, each further image", ours, "s", f"{many} images less {few}")
    table.add("files", "getnet-bids, peak memory", peak, "MB", f"{many} images")
    made = sorted((out / "sub-0000" / "anat").glob("*.nii.gz"))
    for path in made:
        table.add("files", f"size of {path.name.partition('_')[2]}", path.stat().st_size / 1e6, "MB")
    floor = bench.work("floor", bench.threads, bench.head(HEAD), *made)
    if floor:
        table.add("files", "reading one, writing two (isal)", floor["seconds"], "s", "the least that any program takes")
        table.add("files", "getnet-bids over reading and writing", ours / floor["seconds"], "times", "wanted: 3")
    if not bench.quick:
        for rival in ("antspyx", "simpleitk"):
            theirs = bench.work("rival_files", rival, bench.head(HEAD), bench.folder)
            if theirs:
                table.add("files", f"N4 ({rival}), one image", theirs["seconds"], "s", theirs["note"])
                table.add("arrays", f"N4 ({rival})", theirs["arrays"], "s", theirs["note"])
                table.add("files", f"N4 ({rival}) over getnet-bids", theirs["seconds"] / ours, "times")


def cold(bench: Bench, table: Table) -> None:
    """Measure single commands, including imports."""
    image, corrected = bench.head(HEAD), bench.folder / "corrected.nii.gz"
    for what, command in {
        "getnet IN OUT": ("getnet_bids.cli.one", str(image), str(corrected)),
        "getnet --help": ("getnet_bids.cli.one", "--help"),
        "getnet-bids --help": ("getnet_bids.cli.app", "--help"),
    }.items():
        seconds = min(bench.child(sys.executable, "-m", *command)[0] for _ in range(3))
        table.add("cold", what, seconds, "s", "least of 3")


def arrays(bench: Bench, table: Table) -> None:
    """Measure one volume in memory, and the time of each step."""
    image = bench.head(HEAD)
    ours = bench.work("ours", bench.threads, image, 3 if bench.quick else 11)
    assert ours is not None
    table.add("arrays", "correct_volume", ours["seconds"], "s", "median; weights loaded")
    for stage, seconds in ours["stages"].items():
        table.add("arrays", f"  of which {stage}", seconds, "s", f"{seconds / sum(ours['stages'].values()):.0%}")
    single = bench.work("ours", 1, image, 3)
    assert single is not None
    table.add("arrays", "correct_volume, one thread, processor time", single["processor"], "s", "")
    theirs = bench.work("n4ax", image)
    if theirs:
        table.add("arrays", "n4ax", theirs["seconds"], "s", f"compiled in {theirs['first']:.1f} s, not counted")
        table.add("arrays", "n4ax over correct_volume", theirs["seconds"] / ours["seconds"], "times")
    if n4 := table.get("N4 (antspyx)"):
        table.add("arrays", "N4 (antspyx) over correct_volume", n4 / ours["seconds"], "times")


def memory(bench: Bench, table: Table) -> None:
    """Measure peak resident memory."""
    shape = (128,) * 3 if bench.quick else (256,) * 3
    for count in (1, 4) if bench.quick else (1, 4, 12):
        table.add("memory", f"getnet-bids, {count} images of {shape[0]}^3", bench.app(shape, count)[1], "MB")
    side = 256 if bench.quick else 512
    image, out = bench.head((side,) * 3), bench.folder
    command = (sys.executable, "-m", "getnet_bids.cli.one", str(image), str(out / "c.nii.gz"))
    seconds, peak, _ = bench.child(*command, "--field", str(out / "f.nii.gz"))
    allowed = 6 * side**3 * 4 / 2**20 + 1000
    table.add("memory", f"getnet, {side}^3", peak, "MB", f"{seconds:.1f} s; wanted: at most {allowed:.0f} MB")


def growth(bench: Bench, table: Table) -> None:
    """Measure the growth of time with the number of images and of voxels."""
    counts = (3, 10, 30) if bench.quick else (10, 30, 100, 300, 1000)
    small = (48, 56, 48)
    start, *_ = bench.app(small, 1)
    for count in counts:
        seconds, peak, _ = bench.app(small, count)
        each = (seconds - start) / (count - 1)
        table.add("growth", f"{count} images", each, "s/image", f"{small[0]}x{small[1]}x{small[2]}; {peak:.0f} MB")
    for side in (64, 96, 128) if bench.quick else (64, 96, 128, 192, 256, 384):
        done = bench.work("ours", bench.threads, bench.head((side,) * 3), 3)
        assert done is not None
        table.add("growth", f"{side}^3 voxels", done["seconds"], "s", f"{done['peak']:.0f} MB")


def gpu(bench: Bench, table: Table) -> None:
    """Measure one volume on a GPU, if there is one."""
    done = bench.work("gpu", bench.head((128,) * 3 if bench.quick else (256, 176, 256)))
    assert done is not None
    for what, value, unit, note in done["figures"]:
        table.add("gpu", what, value, unit, note)


def draw(table: Table, path: Path) -> None:
    """Draw the growth of time."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    kinds = {
        "images": ("images in one run", "s / image"),
        "voxels": ("million voxels", "s, array to array"),
    }
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for axis, (kind, (xlabel, ylabel)) in zip(axes, kinds.items(), strict=True):
        rows = [row for row in table.rows if row[2] == "growth" and row[3].endswith(kind)]
        first = [row[3].split()[0] for row in rows]
        x = [int(n) if n.isdecimal() else int(n.removesuffix("^3")) ** 3 / 1e6 for n in first]
        y = [float(row[4]) for row in rows]
        axis.plot(x, y, "o-", color="#2166ac")
        if kind == "voxels":
            axis.plot(x, [y[-1] * n / x[-1] for n in x], "--", color="0.6", label="in proportion")
            axis.legend(frameon=False)
        else:
            axis.set_xscale("log")
        axis.set_ylim(0, 1.1 * max(y))
        axis.set_xlabel(xlabel)
        axis.set_ylabel(ylabel)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def machine(threads: int) -> str:
    """Describe the machine."""
    import torch

    from getnet_bids.machine import processor_name

    busy = f"load {os.getloadavg()[0]:.1f} before"
    return f"{threads} threads of {os.cpu_count()} cores, {processor_name()}, torch {torch.__version__}, {busy}"


def rows_of_others(path: Path, measured: Sequence[str]) -> list[list[str]]:
    """Return the rows of an existing table for the sections that are not measured now."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return [row for row in list(csv.reader(file, delimiter="\t"))[1:] if row[2] not in measured]


def main() -> None:
    """Make the measurements, print and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer measurements, without N4")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, metavar="SECTION", help=str(SECTIONS))
    parser.add_argument("--out", type=Path, default=HERE, help="folder for speed.tsv and speed.png")
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    table = Table(machine(args.threads))
    print(table.machine, flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args.threads, Path(folder), args.quick)
        measures: dict[str, Callable[[Bench, Table], None]] = {
            "files": files,
            "cold": cold,
            "arrays": arrays,
            "memory": memory,
            "growth": growth,
            "gpu": gpu,
        }
        for name, measure in measures.items():
            if name in args.only:
                measure(bench, table)
    args.out.mkdir(parents=True, exist_ok=True)
    kept = rows_of_others(args.out / "speed.tsv", args.only)
    with open(args.out / "speed.tsv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows([HEADER, *kept, *table.rows])
    if "growth" in args.only:
        draw(table, args.out / "speed.png")
    print(f"{time.monotonic() - began:.0f} s in all; see {args.out / 'speed.tsv'}")


if __name__ == "__main__":
    main()
