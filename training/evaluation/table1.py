"""The paper's Table 1 and Figure 2: error and time of slices with a known field, before and after correction."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from getnet_bids.core import BATCH_SIZE
from getnet_bids.core.correction import correct_volume
from getnet_bids.core.foreground import find_foreground
from getnet_bids.core.gain import smooth_log_gain
from getnet_bids.core.metrics import best_scale, relative_mae
from getnet_bids.core.network import SLICE, GetNet
from getnet_bids.core.options import Options

from ..fields import GRID, with_peak
from ..recipe import load_recipe
from ..transforms import uniform
from .brainweb import PLANES, HeadSlice, slices_of_model

REGIONS = ("entire image", "CSF", "GM", "WM")
SCALES = ("as is", "best scale")
PAPER_SLICES = 12_000
"""Number of slices for which the paper gives its times."""
MIN_PIXELS = 100
"""Smallest number of pixels of a tissue for it to be measured in a slice."""

Slice = NDArray[np.float32]


SPLINES = (40.0, 60.0, 90.0, 130.0, 200.0)
"""Candidates for N4's spline distance, mm; its default, one element per side, is also tried."""


@dataclass(frozen=True)
class Shaded:
    """A slice, its gain field, and their product with noise, each of shape (256, 256)."""

    head: HeadSlice
    gain: Slice
    image: Slice


@dataclass(frozen=True)
class Method:
    """The scores of a method.

    Parameters
    ----------
    name : str
    errors : dict of list of float
        Relative MAE by (scale, region), one per slice that has the region.
    seconds : float
        Per slice; 0 for none.
    slices : int
        Number of slices corrected.
    fields : list of ndarray
        The estimated fields, with a geometric mean of 1 over the foreground.
    """

    name: str
    errors: dict[tuple[str, str], list[float]]
    seconds: float
    slices: int
    fields: list[Slice]


def shaded_slices(models: Sequence[Path], count: int, gain: float, seed: int, noise: float = 0.0) -> list[Shaded]:
    """Draw slices of all models and planes at random, and a gain field for each.

    Parameters
    ----------
    models : sequence of Path
        BrainWeb's anatomical models.
    count : int
        Total number of slices, taken as evenly as possible from the models; 0 for all.
    gain : float
        Each field spans 1 minus this to 1 plus this; it is as smooth as those of the recipe simko2019.
    seed : int
    noise : float
        Standard deviation of the Rician noise, as a fraction of the signal of the brightest of CSF, GM and WM.
    """
    rng = np.random.default_rng(seed)
    shares = np.diff(np.linspace(0, count, len(models) + 1).round().astype(int))
    heads: list[HeadSlice] = []
    for model, share in zip(models, shares, strict=True):
        some = list(slices_of_model(model))
        chosen = np.sort(rng.permutation(len(some))[:share]) if count else range(len(some))
        heads += [some[i] for i in chosen]
    shortest, longest = (math.log(x) for x in load_recipe("simko2019").length)
    generator = torch.Generator().manual_seed(seed)
    shaded = []
    for head in heads:
        length = uniform(1, shortest, longest, generator).exp()
        log_gain = with_peak(smooth_log_gain((GRID, GRID), length, generator), torch.tensor([gain]))
        k = upsampled(log_gain[None].exp())[0].numpy()
        image = head.original * k
        if noise > 0:
            real, imaginary = rng.normal(scale=noise, size=(2, *image.shape)).astype(np.float32)
            image = np.hypot(image + real, imaginary)
        shaded.append(Shaded(head, k, image))
    return shaded


def upsampled(cells: torch.Tensor) -> torch.Tensor:
    """Interpolate from cells to pixels by cubic convolution; shapes (N, 1, n, n) and (N, 256, 256)."""
    # With antialias, torch uses the kernel that preserves a ramp (a = -1/2); without it, one that makes a ramp wavy.
    return F.interpolate(cells, size=(SLICE, SLICE), mode="bicubic", align_corners=False, antialias=True)[:, 0]


def without_noise_around(image: Slice) -> Slice:
    """Set the background to 0, as `getnet` does before the network sees an image."""
    foreground = find_foreground(torch.from_numpy(image)[:, :, None], (1.0, 1.0, 1.0))[:, :, 0].numpy()
    return image * foreground


def one_look_fields(slices: Sequence[Shaded], network: GetNet) -> Iterator[Slice]:
    """Return the network's fields slice by slice as in the paper: in one pass, interpolated smoothly."""
    device = next(network.parameters()).device
    for start in range(0, len(slices), BATCH_SIZE):
        images = np.stack([without_noise_around(s.image) for s in slices[start : start + BATCH_SIZE]])[:, None]
        with torch.inference_mode():
            log_gain = network.log_gain(torch.from_numpy(images).to(device))[0]
            yield from upsampled(log_gain[:, None]).exp().cpu().numpy()


def product_fields(slices: Sequence[Shaded], network: GetNet, refine: bool = True) -> Iterator[Slice]:
    """Return the fields that `getnet` divides a single slice by: network, smooth basis and, if wanted, refinement."""
    for s in slices:
        yield correct_volume(s.image, (1.0, 1.0), network, options=Options(refine=refine)).field


def n4_fields(slices: Sequence[Shaded], shrink: int = 4, spline: float | None = None) -> Iterator[Slice]:
    """Compute the fields of N4 in two dimensions (antspyx), with the true foreground as its mask.

    Parameters
    ----------
    slices : sequence of Shaded
    shrink : int
        Shrink factor; 4 is antspyx's default.
    spline : float, optional
        Distance of the splines' knots, mm; by default one element along each side, as antspyx's.
    """
    import ants

    for s in slices:
        image = ants.from_numpy(s.image)
        mask = ants.from_numpy(s.head.regions["entire image"].astype(np.float32))
        yield ants.n4_bias_field_correction(
            image, mask=mask, shrink_factor=shrink, spline_param=spline, return_bias_field=True
        ).numpy()


def best_spline(slices: Sequence[Shaded]) -> float | None:
    """Search the spline distance with which N4, without shrinking, is best over the entire image.

    Parameters
    ----------
    slices : sequence of Shaded
        Slices other than those on which it is judged afterwards.
    """

    def error(spline: float | None) -> float:
        tried = measure("N4", slices, lambda: n4_fields(slices, shrink=1, spline=spline))
        return float(np.mean(tried.errors["best scale", "entire image"]))

    return min((None, *SPLINES), key=error)


def given_fields(path: Path, slices: Sequence[Shaded]) -> list[Slice]:
    """Read the fields that another tool has estimated from the images of `write_slices`.

    Raises
    ------
    ValueError
        The file does not contain one field for each slice.
    """
    fields = np.load(path, allow_pickle=False)
    wanted = (len(slices), SLICE, SLICE)
    if not isinstance(fields, np.ndarray) or fields.shape != wanted:
        raise ValueError(f"{path}: give a .npy file of shape {wanted}, a field for each slice of --write-slices")
    return list(fields.astype(np.float32))


def write_slices(path: Path, slices: Sequence[Shaded]) -> None:
    """Write the shaded images, background removed, as one .npy array of shape (slices, 256, 256)."""
    np.save(path, np.stack([without_noise_around(s.image) for s in slices]))


def measure(name: str, slices: Sequence[Shaded], estimate: Callable[[], Iterator[Slice]] | None) -> Method:
    """Correct slices, and compare them with the originals.

    Parameters
    ----------
    name : str
        Name of the method.
    slices : sequence of Shaded
    estimate : callable, optional
        Returns the slices' fields in order, with any scale; None for no correction.
    """
    errors: dict[tuple[str, str], list[float]] = {(scale, region): [] for scale in SCALES for region in REGIONS}
    began = time.perf_counter()
    fields = [np.ones_like(s.gain) for s in slices] if estimate is None else list(estimate())
    seconds = 0.0 if estimate is None else (time.perf_counter() - began) / len(slices)
    for i, s in enumerate(slices):
        where = s.head.regions["entire image"]
        if estimate is not None:
            fields[i] = fields[i] / np.exp(np.log(fields[i][where]).mean())
        corrected = s.image / fields[i]
        for scale in SCALES:
            factor = 1.0 if scale == "as is" else best_scale(corrected, s.head.original, where)
            for region, pixels in s.head.regions.items():
                if pixels.sum() >= MIN_PIXELS:
                    error = relative_mae(factor * corrected, s.head.original, pixels, scale="none")
                    errors[scale, region].append(error)
    return Method(name, errors, seconds, len(slices), fields)


def as_rows(methods: Sequence[Method]) -> list[list[str]]:
    """Return the rows of the table: a header, then one row for each method and scale."""
    rows = [["method", "scale", *(f"{r}{s}" for r in REGIONS for s in ("", " SD")), "slices", "s / 12,000 slices"]]
    for scale in SCALES:
        for method in methods:
            cells = []
            for region in REGIONS:
                errors = method.errors[scale, region]
                cells += [f"{np.mean(errors):.4f}", f"{np.std(errors):.4f}"] if errors else ["n/a", "n/a"]
            speed = f"{method.seconds * PAPER_SLICES:.0f}" if method.seconds else "n/a"
            rows.append([method.name, scale, *cells, str(method.slices), speed])
    return rows


def draw_figure2(slices: Sequence[Shaded], methods: Sequence[Method], path: Path) -> None:
    """Draw the slice with the most brain in each plane, corrected by each method, with the fields below.

    Parameters
    ----------
    slices : sequence of Shaded
    methods : sequence of Method
        Methods, each with fields for a number of the first slices.
    path : Path
        PNG, PDF or SVG.
    """
    from matplotlib.colors import TwoSlopeNorm
    from matplotlib.figure import Figure

    count = min(len(m.fields) for m in methods)
    brain = [sum(int(s.head.regions[t].sum()) for t in ("CSF", "GM", "WM")) for s in slices[:count]]
    best = []
    for plane in PLANES:
        some = [i for i in range(count) if plane in slices[i].head.name]
        best += [max(some, key=brain.__getitem__)] if some else []
    columns = ["original", *("with gain" if m.seconds == 0 else m.name for m in methods)]
    figure = Figure(figsize=(1.9 * len(columns), 3.7 * len(best)), layout="constrained")
    axes = figure.subplots(2 * len(best), len(columns), squeeze=False)
    # Blue to brown through white, suitable for colour-blind readers; one scale for all fields.
    shading = {"cmap": "PuOr", "norm": TwoSlopeNorm(1.0, 0.7, 1.3)}
    for row, i in enumerate(best):
        s = slices[i]
        images = [s.head.original, *(s.image / m.fields[i] for m in methods)]
        where = s.head.regions["entire image"]
        truth = s.gain / np.exp(np.log(s.gain[where]).mean())
        shown = [truth, *(m.fields[i] for m in methods)]
        top = float(np.quantile(s.head.original[s.head.original > 0], 0.99))
        for column, (image, field) in enumerate(zip(images, shown, strict=True)):
            upper, lower = axes[2 * row, column], axes[2 * row + 1, column]
            upper.imshow(np.flipud(image), cmap="gray", vmin=0, vmax=1.1 * top)
            shade = lower.imshow(np.flipud(np.where(where, field, np.nan)), **shading)
            lower.set_facecolor("0.85")
            if row == 0:
                upper.set_title(columns[column], fontsize=9)
            for ax in (upper, lower):
                ax.set_xticks([])
                ax.set_yticks([])
        axes[2 * row, 0].set_ylabel(s.head.name.split(" ", 1)[1], fontsize=8)
        axes[2 * row + 1, 0].set_ylabel("gain field (true, estimated)", fontsize=8)
    figure.colorbar(shade, ax=axes, shrink=0.5, label="gain")
    figure.savefig(path, dpi=150)
