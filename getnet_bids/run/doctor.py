"""getnet-bids doctor: collect facts about an installation for bug reports, and find what is wrong with it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from packaging.requirements import Requirement

from getnet_bids import __version__
from getnet_bids.core import ALGORITHM
from getnet_bids.errors import GetNetError, one_line, reason_of
from getnet_bids.files import has_locks, hash_file
from getnet_bids.machine import (
    address_space_limit,
    load,
    memory_limit,
    memory_of_machine,
    processor_name,
    processors,
)
from getnet_bids.weights import default_weights

from .imports import NOT_EVERYWHERE, distribution_of, failing_imports, is_installed, purpose_of
from .pipeline import DEFAULT_MEMORY

if TYPE_CHECKING:
    from numpy.typing import NDArray

VOXEL_SIZE = 5.0
"""Size of a voxel, mm."""
SHAPE = (32, 38, 34)
EXPECTED_ERROR = 0.0190
"""Expected error of the field (algorithms 9 and 10): standard deviation of log(field) - log(truth) over the head."""
ERROR_TOLERANCE = 0.004
"""Largest change of this error that the precision, the processor and versions of libraries may cause."""


@dataclass(frozen=True)
class SelfTest:
    """Result of the test correction.

    Parameters
    ----------
    before, error : float
        Error of the field, without correction and with it.
    device : str
        Device of the computation.
    precision : str
        Precision in which the network ran.
    loading, computing : float
        Seconds.
    """

    before: float
    error: float
    device: str
    precision: str
    loading: float
    computing: float

    @property
    def passed(self) -> bool:
        """Whether the error is at most the expected one."""
        return self.error <= EXPECTED_ERROR + ERROR_TOLERANCE


def known_head() -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_]]:
    """Make a head of three tissues with 2 % noise under a known gain field.

    Returns
    -------
    image : ndarray, float32, shape `SHAPE`
    gain : ndarray, float64
        Positive.
    inside : ndarray of bool
        The head.
    """
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, size) for size in SHAPE], indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    folds = 0.08 * np.sin(9 * x) * np.sin(8 * y) * np.sin(7 * z)
    tissue = np.select([radius < 0.2, radius + folds < 0.6, radius < 0.8], [300.0, 900.0, 650.0], 0.0)
    gain = np.exp(0.3 * x - 0.2 * y * z + 0.25 * z)
    noise = np.random.default_rng(2019).normal(0, 18, (2, *SHAPE))
    return np.hypot(tissue * gain + noise[0], noise[1]).astype(np.float32), gain, radius < 0.8


def self_test(device: str = "auto") -> SelfTest:
    """Correct the head and compare its field with the truth.

    Parameters
    ----------
    device : str
        As for `getnet_bids.core.device.resolve_device`.

    Raises
    ------
    GetNetError
        The device or the weights cannot be used.
    """
    from getnet_bids.core.correction import correct_volume
    from getnet_bids.core.device import device_text
    from getnet_bids.core.metrics import field_error
    from getnet_bids.core.options import Options
    from getnet_bids.weights import load_network

    from .results import precision_of

    image, gain, inside = known_head()
    started = time.monotonic()
    network = load_network(None, device)
    loaded = time.monotonic()
    result = correct_volume(image, (VOXEL_SIZE,) * 3, network, options=Options())
    return SelfTest(
        before=field_error(np.ones_like(gain), gain, inside),
        error=field_error(result.field, gain, inside),
        device=device_text(result.device),
        precision=precision_of(result.device),
        loading=loaded - started,
        computing=time.monotonic() - loaded,
    )


PROGRAM_MEMORY = 500_000_000
"""Memory of the program and the network, without images, in bytes."""
VARIABLES = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA"),
    *("SLURM_JOB_ID", "SLURM_CPUS_PER_TASK", "SLURM_MEM_PER_NODE"),
)
"""Variables of the environment that change what a process may use, or say what a job was given."""


@dataclass
class Diagnosis:
    """Facts about the installation and the machine, and what is wrong with them.

    Parameters
    ----------
    facts : list of tuple of str
        Subject and statement of each fact.
    wrong : list of str
        Problems that keep something from running, each with what to do.
    remarks : list of str
        Unusual settings that may be intended.
    """

    facts: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return everything as lines to print; the name of the home folder is replaced."""
        width = max(len(about) for about, _ in self.facts)
        told = [f"{about:<{width}}  {what}" for about, what in self.facts]
        told += [f"{'remark':<{width}}  {remark}" for remark in self.remarks]
        told += [f"{'WRONG':<{width}}  {what}" for what in self.wrong] or [f"{'wrong':<{width}}  nothing"]
        return [line.replace(str(Path.home()), "~") if len(str(Path.home())) > 1 else line for line in told]


def diagnose(device: str = "auto", folder: Path | None = None) -> Diagnosis:
    """Collect all facts and problems, with a correction of a tiny head.

    Parameters
    ----------
    device : str
        Device of the correction.
    folder : Path, optional
        Folder for derivatives: check that it can be written to, and that it supports locks.

    Returns
    -------
    Diagnosis
    """
    found = Diagnosis()
    missing = look_at_versions(found)
    look_at_weights(found)
    look_at_machine(found)
    look_at_temporary_folder(found)
    if folder is not None:
        look_at_folder(found, folder, "output")
    broken = failing_imports()
    found.wrong += [text for name, text in broken.items() if distribution_of(name) not in missing]
    if "torch" not in broken:
        look_at_device(found)
    if not broken.keys() & {"torch", "nibabel", "scipy", "safetensors"}:
        look_at_result(found, device)
    return found


def look_at_versions(found: Diagnosis) -> set[str]:
    """Report versions, and packages that are too old or missing; return the names of those that are missing."""
    found.facts.append(("getnet_bids", f"{__version__}, algorithm {ALGORITHM}, in {Path(__file__).parents[1]}"))
    found.facts.append(("Python", f"{platform.python_version()} in {sys.prefix}"))
    found.facts.append(("system", f"{platform.platform()}{', in a container' if in_container() else ''}"))
    try:
        needed = map(Requirement, distribution("getnet_bids").requires or [])
    except PackageNotFoundError:
        found.wrong.append("getnet_bids is not installed, only found on the path; install it with pip")
        return set()
    told, missing = [], set()
    for requirement in needed:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            if requirement.name in NOT_EVERYWHERE and not is_installed(requirement.name):
                python = f"{sys.version_info.major}.{sys.version_info.minor}"
                found.remarks.append(f"{requirement.name} is not there for Python {python}: --compare n4 does not run")
            continue
        try:
            there = version(requirement.name)
        except PackageNotFoundError:
            missing.add(requirement.name)
            wanted = f"{requirement.name}{requirement.specifier}"
            found.wrong.append(f"{wanted} is not installed{purpose_of(requirement.name)}; pip install '{wanted}'")
            continue
        told.append(f"{requirement.name} {there}")
        if not requirement.specifier.contains(there, prereleases=True):
            found.wrong.append(f"{requirement.name} {there} is too old; pip install '{requirement}'")
    found.facts.append(("packages", ", ".join(told)))
    return missing


def in_container() -> bool:
    """Return whether this process appears to run in a container."""
    return bool(os.environ.get("APPTAINER_CONTAINER") or os.environ.get("SINGULARITY_CONTAINER")) or any(
        Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv", "/opt/getnet-check.py")
    )


def look_at_weights(found: Diagnosis) -> None:
    """Compare the weights' hash with that of their model card."""
    try:
        weights = default_weights()
        promised = re.search(r"SHA-256 `([0-9a-f]{64})`", weights.with_suffix(".md").read_text(encoding="utf-8"))
        there = hash_file(weights).removeprefix("sha256:")
    except OSError as error:
        found.wrong.append(reason_of(error))
        return
    whole = promised is not None and promised[1] == there
    found.facts.append(("weights", f"sha256 {there[:16]}...{', as in the model card' if whole else ''}"))
    if not whole:
        found.wrong.append(f"{weights}: not the file of its model card; install getnet_bids again")


def look_at_machine(found: Diagnosis) -> None:
    """Report processors and memory, and limits that the environment sets for them."""
    count, of_machine = processors(), os.cpu_count() or 1
    busy = load()
    counted = f"{count} for this process, {of_machine} in the machine; {processor_name()}"
    found.facts.append(("processors", counted if busy is None else f"{counted}; load {busy:.1f}"))
    given = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    if given:
        found.facts.append(("variables", " ".join(f"{name}={value}" for name, value in given.items())))
    threads = given.get("OMP_NUM_THREADS", "")
    if threads.isdecimal() and int(threads) > count:
        found.remarks.append(f"OMP_NUM_THREADS={threads} is more than the {count} processors of this process")
    limit, whole = memory_limit(), memory_of_machine()
    told = ["no limit by a control group" if limit is None else f"limit {in_gb(limit)} (control group)"]
    addresses = address_space_limit()
    told += [] if addresses is None else [f"ulimit -v {in_gb(addresses)}"]
    told += [] if whole is None else [f"{in_gb(whole[1])} of {in_gb(whole[0])} available in the machine"]
    found.facts.append(("memory", ", ".join([*told, f"images in work take up to {in_gb(DEFAULT_MEMORY)} (--mem-mb)"])))
    least = min(value for value in (limit, None if whole is None else whole[1], 1 << 62) if value is not None)
    if least < PROGRAM_MEMORY + DEFAULT_MEMORY:
        fitting = max(least - PROGRAM_MEMORY, 0) // 10**6
        found.wrong.append(
            f"{in_gb(least)} of memory are less than the {in_gb(PROGRAM_MEMORY + DEFAULT_MEMORY)} that getnet-bids "
            "may take; " + (f"give the job more, or --mem-mb {fitting}" if fitting else "give the job more")
        )


def in_gb(size: float) -> str:
    """Format a number of bytes as GB."""
    return f"{size / 1e9:.1f} GB"


def look_at_temporary_folder(found: Diagnosis) -> None:
    """Report on the folder for temporary files, and whether it is another than the environment names."""
    used = tempfile.gettempdir()
    name = next((name for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)), None)
    if name is not None and Path(os.environ[name]).absolute() != Path(used):
        found.remarks.append(f"{name}={os.environ[name]} is not a folder that can be written to; {used} is used")
    look_at_folder(found, Path(used), "temporary")


def look_at_folder(found: Diagnosis, folder: Path, which: str) -> None:
    """Report whether a folder can be written to, how much space it has, and whether it supports locks."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:  # a run would make it
        place = place.parent
    try:
        locks = has_locks(place)
        free = shutil.disk_usage(place).free
    except OSError as error:
        reason = reason_of(OSError(error.errno, error.strerror, str(place)))
        found.wrong.append(f"{which} folder {folder}: cannot be written to: {reason}")
        return
    found.facts.append(
        (f"{which} folder", f"{folder}: {in_gb(free)} free, {'with' if locks else 'without'} file locks")
    )
    if not locks:
        found.remarks.append(f"{folder}: no file locks; do not run the same subject twice at the same time")
    if free < 1e9:
        found.wrong.append(f"{which} folder {folder}: only {in_gb(free)} are free; make room")


def look_at_device(found: Diagnosis) -> None:
    """Report the devices that torch can use, and an NVIDIA GPU that it cannot."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = [torch.cuda.get_device_name(number) for number in range(count)]
    cuda = torch.version.cuda or "none"
    found.facts.append(("torch", f"CUDA {cuda}; GPUs: {', '.join(names) or 'none'}; {torch.get_num_threads()} threads"))
    if not count and Path("/dev/nvidia0").exists():
        why = "this torch is for the CPU: install one with CUDA" if torch.version.cuda is None else "see nvidia-smi"
        found.remarks.append(f"the machine has an NVIDIA GPU that torch does not see; {why}")


def look_at_result(found: Diagnosis, device: str) -> None:
    """Correct the tiny head and judge the result."""
    try:
        result = self_test(device)
    except GetNetError as error:
        found.wrong.append(one_line(error))
        return
    except Exception as error:
        found.wrong.append(f"the self-test ended with {type(error).__name__}: {one_line(error)}; please report it")
        return
    found.facts.append(("device", f"{result.device}, precision {result.precision}"))
    found.facts.append(
        (
            "self-test",
            f"error of the field {result.error:.4f} (expected {EXPECTED_ERROR:.4f}, uncorrected {result.before:.4f}); "
            f"{result.loading:.1f} s to load, {result.computing:.1f} s to compute",
        )
    )
    if not result.passed:
        found.wrong.append(
            f"the self-test has an error of {result.error:.4f}, not {EXPECTED_ERROR:.4f}; results of this machine "
            "cannot be trusted; please report it"
        )
