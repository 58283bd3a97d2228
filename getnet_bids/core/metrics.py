"""Measures of the quality of a correction, each defined once and used everywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from .basis import cosines


def _values(x: ArrayLike, where: ArrayLike | None) -> NDArray[np.float64]:
    values = np.asarray(x)
    chosen = values.ravel() if where is None else values[np.asarray(where, bool)]
    if chosen.size == 0:
        raise ValueError("there is no voxel to measure: `where` is empty")
    return chosen.astype(np.float64)


def relative_mae(
    corrected: ArrayLike, original: ArrayLike, where: ArrayLike | None = None, scale: str = "best"
) -> float:
    """Compute the mean absolute error relative to the mean of the original (Simko et al. 2019, Table 1).

    ``sum |s * corrected - original| / sum original`` over `where`. The global scale of a gain field is arbitrary:
    `s` is the factor that fits best in least squares over `where`, or 1.

    Parameters
    ----------
    corrected, original : array_like, same shape
        The corrected image, and the image without bias field and noise.
    where : array_like of bool, optional
        Voxels to compare; default all.
    scale : {"best", "none"}
        Whether to fit the global scale. To use one scale for several tissues, multiply `corrected` by `best_scale` and
        use ``"none"``.

    Returns
    -------
    float

    Examples
    --------
    >>> relative_mae([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    0.0
    >>> relative_mae([2.0, 4.0, 6.0], [1.0, 2.0, 3.0], scale="none")
    1.0
    """
    if scale not in ("best", "none"):
        raise ValueError(f"scale must be 'best' or 'none', not {scale!r}")
    c, u = _values(corrected, where), _values(original, where)
    factor = best_scale(corrected, original, where) if scale == "best" else 1.0
    return float(np.abs(factor * c - u).sum() / u.sum())


def best_scale(corrected: ArrayLike, original: ArrayLike, where: ArrayLike | None = None) -> float:
    """Compute the factor that brings one image closest to another in least squares.

    Parameters
    ----------
    corrected, original : array_like, same shape
        ``factor * corrected`` approximates `original`.
    where : array_like of bool, optional
        Voxels to compare; default all.

    Returns
    -------
    float

    Examples
    --------
    >>> best_scale([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    2.0
    """
    c, u = _values(corrected, where), _values(original, where)
    return float((c * u).sum() / (c * c).sum())


def cv(image: ArrayLike, where: ArrayLike | None = None) -> float:
    """Compute the coefficient of variation, standard deviation over mean, over the voxels of a tissue.

    Parameters
    ----------
    image : array_like
    where : array_like of bool, optional, same shape
        The tissue's voxels; default all.

    Returns
    -------
    float

    Examples
    --------
    >>> cv([1.0, 3.0])
    0.5
    """
    values = _values(image, where)
    return float(values.std() / values.mean())


def cjv(image: ArrayLike, first: ArrayLike, second: ArrayLike) -> float:
    """Compute the coefficient of joint variation of two tissues, usually GM and WM (Likar et al., IEEE TMI 2001).

    ``(sd1 + sd2) / |mean1 - mean2|`` is small if the tissues' intensities are narrow and far apart.

    Parameters
    ----------
    image : array_like
    first, second : array_like of bool, same shape
        The tissues' voxels.

    Returns
    -------
    float

    Examples
    --------
    >>> cjv([1.0, 3.0, 9.0, 11.0], [True, True, False, False], [False, False, True, True])
    0.25
    """
    a, b = _values(image, first), _values(image, second)
    return float((a.std() + b.std()) / abs(a.mean() - b.mean()))


def field_error(field: ArrayLike, truth: ArrayLike, where: ArrayLike | None = None) -> float:
    """Compute the error of a field: the standard deviation of log(field) - log(truth), independent of the global scale.

    Parameters
    ----------
    field, truth : array_like, same shape
        Positive gains.
    where : array_like of bool, optional
        Voxels to compare; default all.

    Returns
    -------
    float
        0 is perfect, .05 about 5 %.

    Examples
    --------
    >>> round(field_error([1.0, 2.0], [3.0, 6.0]), 6)
    0.0
    """
    return float((np.log(_values(field, where)) - np.log(_values(truth, where))).std())


def slope(field: ArrayLike, truth: ArrayLike, where: ArrayLike | None = None) -> float:
    """Compute the slope of the regression of log(field) on log(truth): 1 is right, below 1 the field is too flat.

    Parameters
    ----------
    field, truth : array_like, same shape
        Positive gains; the truth must not be constant.
    where : array_like of bool, optional
        Voxels to compare; default all.

    Returns
    -------
    float

    Examples
    --------
    >>> round(slope([1.0, 2.0], [1.0, 4.0]), 3)
    0.5
    """
    x, y = np.log(_values(truth, where)), np.log(_values(field, where))
    x = x - x.mean()
    return float((x * y).sum() / (x * x).sum())


def disagreement(first: ArrayLike, second: ArrayLike, where: ArrayLike | None = None, scale: str = "mean") -> float:
    """Compute the mean absolute relative difference of two corrections of one image.

    ``2 sum |a - b| / sum (a + b)`` over `where`, with each image scaled to the same mean there. This is not an error,
    since neither image is the truth.

    Parameters
    ----------
    first, second : array_like, same shape
        The corrected images.
    where : array_like of bool, optional
        Voxels to compare; default all.
    scale : {"mean", "none"}
        Whether to scale both to a mean of 1 over `where`, since the global scale of a field is arbitrary. To use one
        scale for several tissues, divide by it beforehand and use ``"none"``.

    Returns
    -------
    float
        Independent of the order of the two images.

    Examples
    --------
    >>> disagreement([1.0, 3.0], [2.0, 6.0])
    0.0
    >>> disagreement([1.0, 3.0], [3.0, 1.0])
    1.0
    """
    if scale not in ("mean", "none"):
        raise ValueError(f"scale must be 'mean' or 'none', not {scale!r}")
    a, b = _values(first, where), _values(second, where)
    if scale == "mean":
        a, b = a / a.mean(), b / b.mean()
    return float(2 * np.abs(a - b).sum() / (a.sum() + b.sum()))


def field_range(field: ArrayLike, where: ArrayLike | None = None) -> float:
    """Compute the range of a field: its 95th over its 5th percentile.

    Parameters
    ----------
    field : array_like
        Positive.
    where : array_like of bool, optional, same shape
        Voxels to measure; default: all.

    Returns
    -------
    float
        At least 1.

    Examples
    --------
    >>> field_range([0.5, 0.5, 1.5, 1.5])
    3.0
    """
    low, high = np.percentile(_values(field, where), (5, 95))
    return float(high / low)


def roughness(field: ArrayLike, voxel_size: Sequence[float], length: float, where: ArrayLike | None = None) -> float:
    """Compute the fraction of a log field's energy above its smoothness limit: 0 for a smooth field.

    The energy is the sum of squares of the log field over `where`, after subtracting its mean there. The part below the
    limit is the least-squares fit, over the same voxels, of products of cosines along the axes with half waves not
    shorter than `length`; the residual is the part above. The domain of the cosines is the bounding box of `where`,
    extended by half of `length` at each end, so that a field may rise towards the border. Voxels are sampled about
    every 1/16 of `length` along each axis.

    Parameters
    ----------
    field : array_like, shape (X, Y) or (X, Y, Z)
        Positive.
    voxel_size : sequence of float
        mm.
    length : float
        Shortest half wave that counts as smooth, mm.
    where : array_like of bool, optional, same shape
        Voxels to measure; default: all.

    Returns
    -------
    float
        0 to 1; 0 for a constant field.
    """
    values = np.asarray(field)
    chosen = np.ones(values.shape, bool) if where is None else np.asarray(where, bool)
    step = tuple(slice(None, None, max(1, int(length / 16 / v))) for v in voxel_size)
    index = np.nonzero(chosen[step])
    log_field = np.log(_values(values[step], chosen[step]))
    log_field = log_field - log_field.mean()
    energy = float(log_field @ log_field)
    if energy <= log_field.size * 1e-14:
        return 0.0
    design = np.ones((log_field.size, 1))
    for along, s, v in zip(index, step, voxel_size, strict=True):
        position = (along * s.step + 0.5) * v
        low, high = position.min() - length / 2, position.max() + length / 2
        basis = cosines(position, low, high, 1 + int((high - low) / length))
        design = (design[:, :, None] * basis[:, None, :]).reshape(log_field.size, -1)
    fit = np.linalg.lstsq(design.T @ design, design.T @ log_field, rcond=1e-10)[0]
    rest = log_field - design @ fit
    return float(rest @ rest) / energy


def denoised(image: ArrayLike, where: ArrayLike, sigma: float = 1.5) -> NDArray[np.float64]:
    """Average the noise away within a tissue, so that the remaining variation is shading and anatomy.

    This is a Gaussian mean over the tissue's own voxels, ``G(image * where) / G(where)``. White noise is reduced to
    about ``(4 pi sigma^2)^(-3/4)`` of its standard deviation, a twelfth for 1.5 voxels, but a bias field hardly changes
    over so few voxels. `cv` and `cjv` of the result are the noise-controlled ones.

    Parameters
    ----------
    image : array_like, shape (X, Y) or (X, Y, Z)
    where : array_like of bool, same shape
        The tissue's voxels.
    sigma : float
        Standard deviation of the Gaussian, voxels.

    Returns
    -------
    ndarray, shape of the image, float64
        0 outside the tissue.

    Examples
    --------
    >>> denoised([[1.0, 3.0, 9.0]], [[True, True, False]], sigma=100.0).round(3)
    array([[2., 2., 0.]])
    """
    inside = np.asarray(where, bool)
    out = np.zeros(inside.shape)
    if not inside.any():
        return out
    # Outside the tissue everything is 0, so its bounding box is sufficient.
    box = ndimage.find_objects(inside.astype(np.int8))[0]
    tissue = inside[box]
    values = np.where(tissue, np.asarray(image)[box].astype(np.float64), 0)
    sums = ndimage.gaussian_filter(values, sigma, mode="constant")
    weights = ndimage.gaussian_filter(tissue.astype(np.float64), sigma, mode="constant")
    out[box][tissue] = sums[tissue] / weights[tissue]
    return out
