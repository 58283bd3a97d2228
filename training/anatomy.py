"""Fill bodies with gray classes, rims, cores and ribbons, each with its own level.

No anatomy is drawn: outlines and borders come from photographs and smooth noise, thicknesses and levels are random. But
as in MR images, layers follow the outline at a distance, and tissues vary within themselves.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .recipe import Recipe
from .transforms import blur, chance, per_slice, resize, smooth_noise, standardise, uniform

CONTENT = 0
"""Label of pixels that are filled by the photograph itself."""
RIMS, CORES, RIBBON, GRAYS = 1, 4, 7, 8
"""First labels of up to three rims, three cores, of the ribbon, and of the gray classes."""
GRID = 64
"""Number of points per side of the grid on which smooth maps are drawn."""


def log_uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw numbers whose logarithms are uniform."""
    draws = torch.rand(shape, generator=generator, device=generator.device)
    return torch.exp(math.log(low) + (math.log(high) - math.log(low)) * draws)


def gray_classes(photos: Tensor, classes: tuple[int, int], smoothed: float, generator: torch.Generator) -> Tensor:
    """Quantise each photograph into a few classes, at thresholds that are random quantiles of it.

    Parameters
    ----------
    photos : Tensor, shape (N, 1, H, H), values in [0, 1]
    classes : tuple of int
        Smallest and largest number of classes.
    smoothed : float
        Half of the photographs are first blurred by a Gaussian of at most this standard deviation, pixels.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, H, H), int64
        The class, 0 for the darkest.
    """
    n, device, bins = len(photos), photos.device, 256
    if smoothed > 0:
        photos = blur(photos, (uniform(n, -1, 1, generator) * smoothed).clamp_min(0))
    gray = (photos.flatten(1) * (bins - 1)).round().clamp(0, bins - 1).long()
    sample = gray[:, ::4]
    counts = torch.zeros(n, bins, device=device).scatter_add_(1, sample, torch.ones_like(sample, dtype=torch.float32))
    quantile = (counts.cumsum(1) - counts / 2) / sample.shape[1]
    most = classes[1]
    used = torch.randint(classes[0], most + 1, (n, 1), generator=generator, device=device)
    thresholds = torch.rand(n, most - 1, generator=generator, device=device)
    thresholds = torch.where(torch.arange(most - 1, device=device) < used - 1, thresholds, 2.0)
    index = (quantile[:, :, None] > thresholds[:, None]).sum(2)
    return index.gather(1, gray).reshape(photos.shape)


def folds(photos: Tensor, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Make smooth maps of mean 0 and standard deviation 1 from neighbouring photographs of the batch or white noise.

    Parameters
    ----------
    photos : Tensor, shape (N, 1, H, H)
    low, high : float
        Smallest and largest standard deviation of the Gaussian, pixels.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, 128, 128)
    """
    size = photos.shape[-1]
    pooled = F.avg_pool2d(photos.roll(2, 0), size // (2 * GRID))
    noise = torch.randn(pooled.shape, generator=generator, device=photos.device)
    source = torch.where(chance(len(photos), 0.5, generator), pooled, noise)
    sigma = log_uniform((len(photos),), low, high, generator) * (2 * GRID / size)
    return standardise(blur(source, sigma))


def uneven(depth: Tensor, waves: float, generator: torch.Generator) -> Tensor:
    """Displace the outline and the layers along it by smooth noise of at most `waves` pixels; 0 changes nothing."""
    if waves == 0:
        return depth
    n = len(depth)
    noise = smooth_noise(n, 2 * GRID, log_uniform((n,), 0.015, 0.15, generator), generator)
    return depth + resize(noise, depth.shape[-1]) * per_slice(n, 0, waves / 2, generator)


def rims(
    depth: Tensor, share: float, thickness: tuple[float, float], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Label one to three nested bands of constant thickness below the outline.

    Parameters
    ----------
    depth : Tensor, shape (N, 1, H, H)
        Below the outline, pixels.
    share : float
        Fraction of the slices that have rims.
    thickness : tuple of float
        Smallest and largest thickness, pixels, drawn log-uniformly for each rim.
    generator : torch.Generator

    Returns
    -------
    label : Tensor, shape (N, 1, H, H), int64
        1 for the outermost rim, then 2 and 3; 0 for deeper pixels.
    ends : Tensor, shape (N, 4)
        Depths of the outline (0) and of each rim's inner border.
    """
    n, device = len(depth), depth.device
    count = torch.randint(1, 4, (n, 1), generator=generator, device=device) * chance(n, share, generator).reshape(n, 1)
    each = log_uniform((n, 3), *thickness, generator)
    each = torch.where(torch.arange(3, device=device) < count, each, 0.0)
    ends = torch.cat([each.new_zeros(n, 1), each.cumsum(1)], 1)
    passed = torch.stack([depth > ends[:, k, None, None, None] for k in (1, 2, 3)]).sum(0)
    return torch.where(passed == 3, CONTENT, passed + RIMS), ends


def cores(depth: Tensor, fold: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Label nested classes whose borders follow the outline at a distance, folded like a photograph's level sets.

    Parameters
    ----------
    depth : Tensor, shape (N, 1, H, H)
        Below the innermost rim, pixels.
    fold : Tensor, shape (N, 1, H, H)
        A smooth map of mean 0 and standard deviation 1.
    share : float
        Fraction of the slices that have cores.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, H, H), int64
        4, 5 and 6 from outside to inside; 0 where there are none and, in half of the slices, in place of 6.
    """
    n = len(depth)
    amplitude = 20 * per_slice(n, 0, 1, generator).pow(1.5)
    level = depth.clamp_max(40.0) - amplitude * fold
    first = log_uniform((n, 1, 1, 1), 2, 25, generator)
    second = first + log_uniform((n, 1, 1, 1), 3, 40, generator)
    innermost = torch.where(chance(n, 0.5, generator), CORES + 2, CONTENT)
    label = torch.where(level < first, CORES, torch.where(level < second, CORES + 1, innermost))
    return torch.where(chance(n, share, generator), label, CONTENT)


def ribbons(fold: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Make ribbons of about constant thickness, 2 to 8 pixels, along a level set of a smooth map.

    Parameters
    ----------
    fold : Tensor, shape (N, 1, G, G)
        Of mean 0 and standard deviation 1; a pixel is half a grid point.
    share : float
        Fraction of the slices that have a ribbon.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, G, G)
        Half the ribbon's thickness minus the distance to the level set, pixels; positive within the ribbon.
    """
    n = len(fold)
    down, across = torch.gradient(fold, dim=(2, 3))
    slope = torch.sqrt(down.square() + across.square()) / 2
    distance = (fold - per_slice(n, -1.2, 1.2, generator)).abs() / (slope + 0.01)
    half = log_uniform((n, 1, 1, 1), 2, 8, generator) / 2
    return torch.where(chance(n, share, generator), half - distance.clamp_max(20.0), -1.0)


def class_levels(n: int, classes: int, spread: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Draw the levels of all classes, in random order; shape (n, 8 + classes), 0.05 to 1.5, and sometimes 0 or dark.

    Parameters
    ----------
    n, classes : int
        Number of slices, and of gray classes in each.
    spread : tuple of float
        Smallest and largest standard deviation of the levels' logarithm, drawn for each slice.
    generator : torch.Generator
    """
    count, device = GRAYS + classes, generator.device
    deviation = uniform(n, *spread, generator)[:, None]
    normal = torch.randn(n, count, generator=generator, device=device)
    level = (0.5 * torch.exp(deviation * normal)).clamp(0.05, 1.5)
    dark = torch.rand(n, count, generator=generator, device=device)
    share = torch.full((count,), 0.1, device=device)
    share[RIMS:CORES] = 0.25
    share[CORES:RIBBON] = 0.0
    faint = torch.rand(n, count, generator=generator, device=device) * 0.2
    faint[:, GRAYS:] = 0.0
    return torch.where(dark < share, faint, level)


def variation(label: Tensor, count: int, strength: float, generator: torch.Generator) -> Tensor:
    """Draw smooth changes within classes, which are not a field, since they end at the classes' borders.

    Parameters
    ----------
    label : Tensor, shape (N, 1, H, H), int64
    count : int
        Number of labels.
    strength : float
        Largest standard deviation of the logarithm; 0 gives 0.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, H, H)
        Natural logarithm of the change. Correlation lengths are .05 to .2 of the side, and .015 to .05 for a quarter
        of the variance.
    """
    n, size = len(label), label.shape[-1]
    if strength == 0:
        return torch.zeros(label.shape, device=label.device)
    # Each class mixes two maps at its own angle, so that two classes have little in common.
    angle = torch.rand(n, count, generator=generator, device=label.device) * (2 * math.pi)
    length = uniform(2 * n, 0.05, 0.2, generator)
    coarse = resize(smooth_noise(2 * n, GRID, length, generator).reshape(n, 2, GRID, GRID), size)
    fine = resize(smooth_noise(n, 2 * GRID, uniform(n, 0.015, 0.05, generator), generator), size)
    flat = label.flatten(1)
    cos, sin = (f(angle).gather(1, flat).reshape(label.shape) for f in (torch.cos, torch.sin))
    mixed = (cos * coarse[:, :1]).addcmul_(sin, coarse[:, 1:]).mul_(0.75**0.5).add_(fine, alpha=0.5)
    return mixed.mul_(per_slice(n, 0, strength, generator))


def grain(slices: Tensor, photos: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Multiply slices by the fine detail of neighbouring photographs, across all classes.

    Parameters
    ----------
    slices, photos : Tensor, shape (N, 1, H, H)
    strength : float
        Largest standard deviation of the logarithm; 0 changes nothing.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, H, H)
    """
    if strength == 0:
        return slices
    n = len(slices)
    other = photos.roll(3, 0)
    detail = standardise(other - blur(other, uniform(n, 1, 6, generator))).clamp_(-3, 3)
    return slices * torch.exp(detail.mul_(per_slice(n, 0, strength, generator)))


def fill(
    photos: Tensor, depth: Tensor, flat: Tensor, recipe: Recipe, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Fill bodies with gray classes or photographs, rims, cores and ribbons.

    Parameters
    ----------
    photos : Tensor, shape (N, 1, H, H), values in [0, 1]
    depth : Tensor, shape (N, 1, H, H)
        Below the outline, pixels.
    flat : Tensor of bool, shape (N,)
        Slices that are posterised; the others keep the photograph where there is no layer.
    recipe : Recipe
    generator : torch.Generator

    Returns
    -------
    slices : Tensor, shape (N, 1, H, H)
        Values from 0 on, without a field of their own if `flat`; not yet cut at the outline.
    change : Tensor, shape (N, 1, H, H)
        Natural logarithm of the changes made by `variation`.
    ends : Tensor, shape (N, 4)
        Depth of the outline and of the rims' inner borders.
    """
    n, size = len(photos), photos.shape[-1]
    if not any((recipe.rims, recipe.cores, recipe.ribbons, recipe.posterised, recipe.variation, recipe.grain)):
        return photos, torch.zeros_like(photos), photos.new_zeros(n, 4)
    posterised = flat[:, None, None, None]
    label, ends = rims(depth, recipe.rims, recipe.rim, generator)
    if recipe.cores > 0:
        fold = resize(folds(photos, 3, 20, generator), size)
        inner = cores(depth - ends[:, 3, None, None, None], fold, recipe.cores, generator)
        label = torch.where(label == CONTENT, inner, label)
    if recipe.ribbons > 0:
        ribbon = resize(ribbons(folds(photos, 6, 25, generator), recipe.ribbons, generator), size)
        label = torch.where((label == CONTENT) & (ribbon > 0), RIBBON, label)
    if recipe.posterised > 0:
        gray = gray_classes(photos, recipe.classes, recipe.smoothed, generator)
        label = torch.where((label == CONTENT) & posterised, gray + GRAYS, label)

    count = GRAYS + recipe.classes[1]
    levels = class_levels(n, recipe.classes[1], recipe.levels, generator)
    level = levels.gather(1, label.flatten(1)).reshape(label.shape)
    # Layers on a plain photograph keep part of it; gray classes keep a little of its texture.
    kept = per_slice(n, 0, 0.6, generator) * (per_slice(n, 0, 1, generator) < 0.5)
    left = torch.where(posterised, per_slice(n, 0, recipe.texture, generator) * (level > 0), kept)
    slices = torch.lerp(level, photos, torch.where((label == CONTENT) & ~posterised, 1.0, left))
    change = variation(label, count, recipe.variation, generator)
    return grain(slices * torch.exp(change), photos, recipe.grain, generator), change, ends
