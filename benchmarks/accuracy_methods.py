"""The methods that benchmarks/accuracy.py compares, each a function from an image to its bias field."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from getnet_bids import core
from getnet_bids.core.correction import correct_volume
from getnet_bids.core.foreground import find_foreground
from getnet_bids.core.options import Options
from getnet_bids.interfaces import N4Correction
from getnet_bids.interfaces.n4 import antspyx_field
from getnet_bids.weights import default_weights, load_network

Volume = NDArray[np.float32]


@dataclass(frozen=True)
class Method:
    """A method of correction.

    Parameters
    ----------
    run : callable
        Takes an image and its voxel size, mm; returns the field.
    fingerprint : str
        Changes whenever the results may change.
    ours : bool
        Whether a second correction of the corrected image is also measured.
    needs_brain : bool
        Whether it also takes the true brain, which only a simulation has.
    """

    run: Callable[..., Volume]
    fingerprint: str
    ours: bool = False
    needs_brain: bool = False


def no_field(image: Volume, voxel_size: tuple[float, ...]) -> Volume:
    """Correct nothing."""
    return np.ones_like(image)


def n4(image: Volume, voxel_size: tuple[float, ...]) -> Volume:
    """Run N4 with antspyx's defaults."""
    return antspyx_field(image, list(voxel_size), None, None, N4Correction().inputs)


def n4_in_foreground(image: Volume, voxel_size: tuple[float, ...], **settings: Any) -> Volume:
    """Run N4 in the foreground, which excludes the air, with antspyx's defaults or the given settings."""
    mask = find_foreground(torch.from_numpy(image), (voxel_size[0], voxel_size[1], voxel_size[2])).numpy()
    return antspyx_field(image, list(voxel_size), mask, None, N4Correction(**settings).inputs)


def n4_in_brain(image: Volume, voxel_size: tuple[float, ...], brain: NDArray[np.bool_]) -> Volume:
    """Run N4 with its defaults in the true brain with closed gaps, which is better than any brain extraction."""
    mask = ndimage.binary_closing(brain, iterations=2)
    return antspyx_field(image, list(voxel_size), mask, None, N4Correction().inputs)


def n4_simpleitk(image: Volume, voxel_size: tuple[float, ...]) -> Volume:
    """Run N4 as in SimpleITK's guide: Otsu's mask, the image shrunk by 4, the field evaluated on the whole grid."""
    import SimpleITK as sitk  # noqa: N813

    whole = sitk.GetImageFromArray(np.ascontiguousarray(image.T, np.float32))
    whole.SetSpacing([float(size) for size in voxel_size])
    mask = sitk.OtsuThreshold(whole, 0, 1, 200)
    factors = [4] * whole.GetDimension()
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.Execute(sitk.Shrink(whole, factors), sitk.Shrink(mask, factors))
    return np.exp(sitk.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(whole)).T)


def n4ax(image: Volume, voxel_size: tuple[float, ...]) -> Volume:
    """Run N4 in JAX with its defaults."""
    from n4ax import n4 as correct

    log_field = correct(image, return_bias=True)[1]
    return np.exp(np.asarray(log_field, np.float32))


def getnet(weights: Path | None, device: str, options: Options) -> Callable[[Volume, tuple[float, ...]], Volume]:
    """Make the method of GetNet with given options."""

    def run(image: Volume, voxel_size: tuple[float, ...]) -> Volume:
        return correct_volume(image, voxel_size, load_network(weights, device), options=options).field

    return run


def make_methods(weights: Path | None = None, device: str = "cpu") -> dict[str, Method]:
    """Return all methods by their names."""
    alone, default = Options(refine=False), Options()
    antspyx = f"antspyx {version('antspyx')}"
    return {
        "input": Method(no_field, "1"),
        "n4": Method(n4, antspyx),
        "n4-mask": Method(n4_in_foreground, f"{antspyx} foreground"),
        "n4-brain": Method(n4_in_brain, f"{antspyx} brain", needs_brain=True),
        "n4-simpleitk": Method(n4_simpleitk, f"SimpleITK {version('simpleitk')}"),
        "n4ax": Method(n4ax, f"n4ax {version('n4ax')}"),
        "getnet-alone": Method(getnet(weights, device, alone), fingerprint(weights, device, alone), ours=True),
        "getnet": Method(getnet(weights, device, default), fingerprint(weights, device, default), ours=True),
    }


def missing(method: str) -> str | None:
    """Return the reason why a method cannot run here, or None."""
    if method == "n4ax" and importlib.util.find_spec("n4ax") is None:
        return "n4ax is not installed (python -m pip install --ignore-requires-python --no-deps n4ax; and jax)"
    if method == "n4-simpleitk" and importlib.util.find_spec("SimpleITK") is None:
        return "SimpleITK is not installed (python -m pip install SimpleITK)"
    return None


def version(package: str) -> str:
    """Return the version of a package, or "none"."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def fingerprint(weights: Path | None, device: str, options: Options) -> str:
    """Return a hash of the weights, the options and the code of GetNet's core, without its comments and docstrings."""
    digest = hashlib.sha256((weights or default_weights()).read_bytes())
    digest.update(f"{options} {device}".encode())
    for path in sorted(Path(core.__file__).parent.glob("*.py")):
        digest.update(code_of(path).encode())
    return digest.hexdigest()[:12]


def code_of(path: Path) -> str:
    """Return the code of a Python file without comments, docstrings and layout."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [line for line in node.body if not is_text(line)]
    return ast.unparse(tree)


def is_text(statement: ast.stmt) -> bool:
    """Return whether a statement is only a string, such as a docstring."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
