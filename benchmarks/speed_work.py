"""The measurements of benchmarks/speed.py, one function per process: python benchmarks/speed_work.py NAME VALUE ...

Each prints a JSON object as its last line, or {"missing": ...} if a package that it needs is not installed.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.phantoms.scanned import head

Result = dict[str, Any]


def load(path: str) -> NDArray[np.float32]:
    """Read a volume."""
    from getnet_bids.images import magnitudes, read

    return magnitudes(read(path))


def make(path: str, *shape: str) -> Result:
    """Write a head's file: int16, 1 mm."""
    import nibabel as nib

    image = nib.Nifti1Image(head(tuple(map(int, shape))), np.eye(4))
    image.header.set_xyzt_units("mm")
    image.to_filename(path)
    return {}


def floor(threads: str, image: str, *made: str) -> Result:
    """Read one file and write its results as fast as possible; return seconds per image in the steady state."""
    from isal import isal_zlib

    from getnet_bids.images import DEFAULT_GZIP_LEVEL

    count, folder = 12, Path(image).parent
    data = [isal_zlib.decompress(Path(path).read_bytes(), 31) for path in made]

    def read(_: int) -> None:
        np.frombuffer(isal_zlib.decompress(Path(image).read_bytes(), 31), np.int16)

    def write(i: int) -> None:
        packer = isal_zlib.compressobj(DEFAULT_GZIP_LEVEL, isal_zlib.DEFLATED, 31)
        view = memoryview(data[i % len(data)])
        with open(folder / f"floor-{i}", "wb") as file:
            for start in range(0, len(view), 1 << 20):
                file.write(packer.compress(view[start : start + (1 << 20)]))
            file.write(packer.flush())
        os.unlink(folder / f"floor-{i}")

    with ThreadPoolExecutor(int(threads)) as pool:
        began = time.perf_counter()
        tasks = [pool.submit(read, i) for i in range(count)]
        tasks += [pool.submit(write, i) for i in range(count * len(data))]
        for task in tasks:
            task.result()
        return {"seconds": (time.perf_counter() - began) / count}


def rival_files(name: str, image: str, folder: str) -> Result:
    """Read an image, correct it by N4, and write image and field with the functions of another package."""
    corrected, field = f"{folder}/rival.nii.gz", f"{folder}/rival-field.nii.gz"
    began = time.perf_counter()
    if name == "antspyx":
        import ants

        began = time.perf_counter()
        read = ants.image_read(image)
        loaded = time.perf_counter()
        done = ants.n4_bias_field_correction(read)
        arrays = time.perf_counter() - loaded
        ants.image_write(done, corrected)
        ants.image_write(read / (done + (done == 0)), field)
        note = f"antspyx {ants.__version__}, defaults"
    else:
        import SimpleITK as sitk  # noqa: N813

        began = time.perf_counter()
        read = sitk.ReadImage(image, sitk.sitkFloat32)
        loaded = time.perf_counter()
        mask = sitk.OtsuThreshold(read, 0, 1, 200)
        shrunk = [sitk.Shrink(x, [4] * 3) for x in (read, mask)]
        n4 = sitk.N4BiasFieldCorrectionImageFilter()
        n4.Execute(*shrunk)
        gain = sitk.Exp(sitk.Cast(n4.GetLogBiasFieldAsImage(read), sitk.sitkFloat32))
        done = read / gain
        arrays = time.perf_counter() - loaded
        sitk.WriteImage(done, corrected)
        sitk.WriteImage(gain, field)
        note = f"SimpleITK {sitk.Version.VersionString()}, its guide's: Otsu's mask, shrunk by 4"
    return {"seconds": time.perf_counter() - began, "arrays": arrays, "note": note}


def n4ax(image: str) -> Result:
    """Correct a volume by compiled n4ax with its defaults."""
    from n4ax import n4

    volume = load(image)
    began = time.perf_counter()
    np.asarray(n4(volume))
    first = time.perf_counter() - began
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        np.asarray(n4(volume))
        seconds.append(time.perf_counter() - began)
    return {"seconds": statistics.median(seconds), "first": first}


def ours(threads: str, image: str, repeats: str) -> Result:
    """Correct a volume in memory; also return the time of each step."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as in the command lines
    import torch

    from getnet_bids.core import correction
    from getnet_bids.weights import load_network

    torch.set_num_threads(int(threads))
    volume, network = load(image), load_network(device="cpu")
    voxel = (1.0, 1.0, 1.0)
    correction.correct_volume(volume, voxel, network)
    seconds, processor = [], []
    for _ in range(int(repeats)):
        began, used = time.perf_counter(), time.process_time()
        correction.correct_volume(volume, voxel, network)
        seconds.append(time.perf_counter() - began)
        processor.append(time.process_time() - used)
    median = statistics.median(seconds)
    stages = staged(network, volume)
    return {"seconds": median, "processor": statistics.median(processor), "stages": stages}


def clocked(stage: str, function: Callable, spent: dict[str, float]) -> Callable:
    """Wrap a function so that its time is added to that of a stage."""

    def run(*given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        result = function(*given, **named)
        spent[stage] = spent.get(stage, 0.0) + time.perf_counter() - began
        return result

    return run


def staged(network: Any, volume: NDArray[np.float32]) -> dict[str, float]:
    """Correct once more with a clock around each stage; return the seconds of each."""
    from getnet_bids.core import correction, estimation, log_field, preparation
    from getnet_bids.core.verdict import Evidence

    spent: dict[str, float] = {}
    network.log_gain = clocked("network", network.log_gain, spent)
    names: dict[str, tuple[Any, str]] = {
        "slices": (log_field, "slices_of"),
        "foreground": (preparation, "find_foreground"),
        "blurred parts": (preparation, "blurred_parts"),
        "fusion": (log_field, "fuse"),
        "refinement": (log_field, "refine_field"),
        "field": (estimation, "gain_field"),
        "measures for the verdict": (Evidence, "with_field"),
    }
    for stage, (module, name) in names.items():
        setattr(module, name, clocked(stage, getattr(module, name), spent))
    began = time.perf_counter()
    correction.correct_volume(volume, (1.0, 1.0, 1.0), network)
    return {**spent, "the rest": time.perf_counter() - began - sum(spent.values())}


def gpu(image: str) -> Result:
    """Correct a volume that is already on a GPU, if there is one."""
    import torch

    from getnet_bids.core.field import gain_field
    from getnet_bids.core.foreground import find_foreground
    from getnet_bids.core.log_field import estimate_with_network, refine
    from getnet_bids.core.options import Options
    from getnet_bids.core.voxels import scaled
    from getnet_bids.weights import load_network

    if not torch.cuda.is_available():
        return {"figures": []}
    network, voxel, options = load_network(device="auto"), (1.0, 1.0, 1.0), Options()
    device = next(network.parameters()).device
    volume = torch.from_numpy(scaled(load(image))).to(device)
    times = []
    for _ in range(13):
        torch.cuda.synchronize()
        began = time.perf_counter()
        chosen = find_foreground(volume, voxel)
        volumes = [volume * chosen]
        alone = estimate_with_network(volumes, voxel, network, None, options)
        refined = refine(alone, volumes, voxel, None).refined
        volume / gain_field(refined.basis, refined.theta.to(device), voxel, chosen)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    name = torch.cuda.get_device_name()
    peak = torch.cuda.max_memory_allocated() / 2**20
    size = "x".join(map(str, volume.shape))
    median = 1e3 * statistics.median(times[3:])
    return {"figures": [(f"{size}, tensors on the device", median, "ms", f"{name}; {peak:.0f} MB at most")]}


FUNCTIONS: dict[str, Callable[..., Result]] = {f.__name__: f for f in (make, floor, rival_files, n4ax, ours, gpu)}


if __name__ == "__main__":
    try:
        print(json.dumps(FUNCTIONS[sys.argv[1]](*sys.argv[2:])))
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))
