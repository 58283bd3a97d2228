"""BrainWeb's anatomical models: T1-weighted slices and whole heads with known tissues and a known bias field.

The models (Aubert-Broche et al., NeuroImage 2006) label each voxel of a head; the signal of each label follows from
its published relaxation times. `subjectNN_crisp_v.mnc.gz` can be had from https://brainweb.bic.mni.mcgill.ca.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from getnet_bids.core.gain import coil_log_gain, smooth_log_gain, with_spread
from getnet_bids.core.network import SLICE

SHAPE = (362, 434, 362)
"""Shape of a model, axes z, y, x, with voxels of 0.5 mm."""
RELAXATION = {
    1: ("CSF", 2569, 329, 58, 1.00),
    2: ("GM", 833, 83, 69, 0.86),
    3: ("WM", 500, 70, 61, 0.77),
    4: ("fat", 350, 70, 58, 1.00),
    5: ("muscle", 900, 47, 30, 1.00),
    6: ("skin", 900, 47, 30, 1.00),
    8: ("vessels", 900, 47, 30, 0.70),
    9: ("connective", 500, 70, 61, 0.77),
    10: ("dura", 900, 47, 30, 0.70),
    11: ("marrow", 350, 70, 58, 0.80),
}
"""Label: tissue, T1 ms, T2 ms, T2* ms, proton density (BrainWeb's table; muscle's for tissues that it does not list).
Air and bone, which are not listed, have no signal."""
ECHO = {"T2w": 120.0, "PDw": 35.0}
"""TE of the spin echoes, ms; TR is 3300 ms (BrainWeb's)."""
CONTRASTS = ("T1w", *ECHO)
TISSUES = {"CSF": 1, "GM": 2, "WM": 3}
PLANES = ("axial", "coronal", "sagittal")
"""Planes across the axes z, y, x of a model."""


def t1w_signal(t1: float, t2star: float, density: float) -> float:
    """Compute the signal of a spoiled gradient echo: TR 18 ms, TE 10 ms, 30 degrees (BrainWeb's T1w).

    Ernst and Anderson (1966).

    Examples
    --------
    >>> white, gray = t1w_signal(500, 61, 0.77), t1w_signal(833, 69, 0.86)
    >>> round(gray / white, 2)
    0.74
    """
    e1, angle = math.exp(-18 / t1), math.radians(30)
    return density * math.sin(angle) * (1 - e1) / (1 - math.cos(angle) * e1) * math.exp(-10 / t2star)


def spin_echo_signal(t1: float, t2: float, density: float, te: float) -> float:
    """Compute the signal of a spin echo, TR 3300 ms.

    Examples
    --------
    >>> white, gray = spin_echo_signal(500, 70, 0.77, te=120), spin_echo_signal(833, 83, 0.86, te=120)
    >>> round(gray / white, 2)
    1.44
    """
    return density * (1 - math.exp(-3300 / t1)) * math.exp(-te / t2)


def signals(contrast: str) -> NDArray[np.float32]:
    """Return the signal of each label; that of the brightest of CSF, GM and WM is 1.

    Parameters
    ----------
    contrast : {"T1w", "T2w", "PDw"}

    Returns
    -------
    ndarray, shape (12,)

    Raises
    ------
    ValueError
        The contrast is unknown.

    Examples
    --------
    >>> signals("T1w")[[0, TISSUES["WM"]]].tolist()
    [0.0, 1.0]
    """
    if contrast not in CONTRASTS:
        raise ValueError(f"there is no contrast {contrast!r}; there are {', '.join(CONTRASTS)}")
    signal = np.zeros(12)
    for label, (_, t1, t2, t2star, density) in RELAXATION.items():
        if contrast in ECHO:
            signal[label] = spin_echo_signal(t1, t2, density, ECHO[contrast])
        else:
            signal[label] = t1w_signal(t1, t2star, density)
    return (signal / max(signal[label] for label in TISSUES.values())).astype(np.float32)


def read_labels(path: Path) -> NDArray[np.uint8]:
    """Read a discrete anatomical model.

    Returns
    -------
    ndarray, shape (362, 434, 362)
        Labels 0 to 11.

    Raises
    ------
    ValueError
        The file is not a model, or it is damaged.
    """
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    size = math.prod(SHAPE)
    # The voxels are the end of a MINC file, whatever its header.
    labels = np.frombuffer(raw[-size:], np.uint8)
    if len(labels) != size or labels.max() > 11:
        raise ValueError(f"{path}: not a BrainWeb anatomical model (subjectNN_crisp_v.mnc.gz)")
    return labels.reshape(SHAPE)


def to_1mm(fine: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average blocks of 2x2x2 voxels, which gives realistic partial volume."""
    z, y, x = (n // 2 for n in fine.shape)
    return fine.reshape(z, 2, y, 2, x, 2).mean((1, 3, 5), dtype=np.float32)


@dataclass(frozen=True)
class HeadSlice:
    """A slice of a head, 256x256 pixels of 1 mm, without bias field and noise.

    Parameters
    ----------
    original : ndarray, shape (256, 256), float32
        White matter is about 1; 0 where there is no signal.
    regions : dict of ndarray of bool, shape (256, 256)
        ``entire image`` (all pixels with signal), ``CSF``, ``GM``, ``WM`` (pixels that are more than half this tissue).
    name : str
        Model, plane and number.
    """

    original: NDArray[np.float32]
    regions: dict[str, NDArray[np.bool_]]
    name: str


def slices_of_model(path: Path, least: float = 0.05) -> Iterator[HeadSlice]:
    """Cut a model into slices on all three planes.

    Parameters
    ----------
    path : Path
        ``subjectNN_crisp_v.mnc.gz``.
    least : float
        Smallest fraction of a slice with signal; other slices are left out.

    Yields
    ------
    HeadSlice
    """
    labels = read_labels(path)
    head = to_1mm(signals("T1w")[labels])
    tissues = {name: to_1mm((labels == label).astype(np.float32)) > 0.5 for name, label in TISSUES.items()}
    for axis, plane in enumerate(PLANES):
        for i in range(head.shape[axis]):
            original = padded(np.moveaxis(head, axis, 0)[i])
            if (original > 0).mean() < least:
                continue
            regions = {"entire image": original > 0}
            regions |= {name: padded(np.moveaxis(tissue, axis, 0)[i]) for name, tissue in tissues.items()}
            yield HeadSlice(original, regions, f"{path.name[:9]} {plane} {i}")


def padded(a: NDArray) -> NDArray:
    """Put a slice into the middle of 256x256 pixels of 0."""
    low = [(SLICE - n) // 2 for n in a.shape]
    return np.pad(a, [(w, SLICE - n - w) for w, n in zip(low, a.shape, strict=True)])


Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]
VOXEL = (1.0, 1.0, 1.0)
"""mm."""
UNIT = 1000.0
"""Intensity of the brightest tissue in a simulated image, which has whole numbers like a scanner's."""
LENGTH = 45.0
"""Correlation length of the random fields, mm."""
RANGE = {"coil": 3.0, "steep": 5.0}
"""Range of the receive loops' fields: the 99th over the 1st percentile over the head."""
SMOOTH = "smooth"
FIELDS = (*(f"{SMOOTH}{percent}" for percent in (20, 40, 80)), *RANGE, "none")
"""Kinds of gain fields, see `gain_field`."""


@dataclass(frozen=True)
class Head:
    """A head without bias field and noise.

    Parameters
    ----------
    original : ndarray, shape (X, Y, Z), float32
        The brightest of CSF, GM and WM is 1.
    shares : dict of ndarray, shape (X, Y, Z), float32
        Fractions of CSF, GM and WM in each voxel.
    """

    original: Volume
    shares: dict[str, Volume]

    @property
    def head(self) -> Mask:
        """The voxels with signal."""
        return self.original > 0.03 * self.original.max()

    @property
    def brain(self) -> Mask:
        """The voxels that are more than half CSF, GM and WM."""
        csf, gray, white = self.shares.values()
        return csf + gray + white > 0.5

    def pure(self, tissue: str) -> Mask:
        """Return the voxels that contain almost only one tissue."""
        return self.shares[tissue] > 0.9


def read_heads(path: Path, contrasts: Sequence[str]) -> dict[str, Head]:
    """Read an anatomical model as heads of several contrasts.

    Parameters
    ----------
    path : Path
        ``subjectNN_crisp_v.mnc.gz``.
    contrasts : sequence of str
        Among T1w, T2w and PDw.

    Returns
    -------
    dict of Head
        By contrast, axes x, y, z (from left to right, back to front, bottom to top).
    """
    labels = read_labels(path)
    shares = {name: to_1mm(labels == label).T for name, label in TISSUES.items()}
    return {contrast: Head(to_1mm(signals(contrast)[labels]).T, shares) for contrast in contrasts}


def gain_field(kind: str, where: Mask, seed: Sequence[int]) -> Volume:
    """Draw a gain field for an object.

    Parameters
    ----------
    kind : str
        ``smoothNN``: a Gaussian random field, correlation length 45 mm; the standard deviation of its logarithm is
        NN / 200. ``coil``: one to three receive loops, to the power that makes the field span 3-fold; ``steep``: to
        a higher power, 5-fold. ``none``: 1.
    where : ndarray of bool, shape (X, Y, Z)
        The object, in voxels of 1 mm, over which the field's strength is defined.
    seed : sequence of int
        Seed, from which a different one is made for each kind.

    Returns
    -------
    ndarray, shape (X, Y, Z), float32
        Positive; the geometric mean over the object is 1.

    Raises
    ------
    ValueError
        The kind of field is unknown.
    """
    if kind == "none":
        return np.ones(where.shape, np.float32)
    percent = kind.removeprefix(SMOOTH)
    if kind not in RANGE and (percent == kind or not percent.isdecimal()):
        raise ValueError(f"there is no field {kind!r}; there are {', '.join(FIELDS)}, and smoothNN of any other NN")
    state = np.random.SeedSequence([*seed, hashed(kind)]).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(state) >> 1)
    inside = torch.from_numpy(np.ascontiguousarray(where))[None]
    if kind in RANGE:
        log_gain = with_spread(coil_log_gain(where.shape, 1, generator), inside, torch.ones(1))
        low, high = np.percentile(log_gain[inside].numpy(), (1, 99))
        spread = math.log(RANGE[kind]) / (high - low)
    else:
        length = torch.tensor([LENGTH / max(where.shape)])
        log_gain, spread = smooth_log_gain(where.shape, length, generator), int(percent) / 200
    return with_spread(log_gain, inside, torch.tensor([spread]))[0].exp().numpy()


def shaded(head: Head, gain: Volume, noise: float, seed: Sequence[int]) -> Volume:
    """Simulate a magnitude image of a head with a gain field and Rician noise, in whole numbers.

    Parameters
    ----------
    head : Head
    gain : ndarray, shape (X, Y, Z)
    noise : float
        Standard deviation in each channel, as a fraction of the brightest tissue's signal.
    seed : sequence of int

    Returns
    -------
    ndarray, shape (X, Y, Z), float32
    """
    real, imaginary = noise * np.random.default_rng(seed).standard_normal((2, *gain.shape), np.float32)
    return np.rint(UNIT * np.hypot(head.original * gain + real, imaginary))


def hashed(name: str) -> int:
    """Convert a name to a number for a seed."""
    return zlib.crc32(name.encode())
