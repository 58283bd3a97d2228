"""How good a correction is: one definition of each figure, used everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def _values(x: ArrayLike, where: ArrayLike | None) -> NDArray[np.float64]:
    values = np.asarray(x)
    chosen = values.ravel() if where is None else values[np.asarray(where, bool)]
    if chosen.size == 0:
        raise ValueError("there is no voxel to measure: `where` is empty")
    return chosen.astype(np.float64)


def relative_mae(
    corrected: ArrayLike, original: ArrayLike, where: ArrayLike | None = None, scale: str = "best"
) -> float:
    """Mean absolute error relative to the mean of the original (Simko et al. 2019, Table 1).

    ``sum |s * corrected - original| / sum original`` over `where`. The global scale of a gain field is arbitrary:
    `s` is the factor that fits best in least squares over `where`, or 1.

    Parameters
    ----------
    corrected, original : array_like, same shape
        Image after correction, and without gain field and noise.
    where : array_like of bool, optional
        Voxels to compare; default all.
    scale : {"best", "none"}
        Whether to fit the global scale. To use one scale for several tissues, multiply it into `corrected`
        (`best_scale`) and say ``"none"``.

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
    """Factor that brings `corrected` closest to `original` in least squares over `where`."""
    c, u = _values(corrected, where), _values(original, where)
    return float((c * u).sum() / (c * c).sum())


def cv(image: ArrayLike, where: ArrayLike | None = None) -> float:
    """Coefficient of variation: standard deviation over mean, over the voxels of a tissue.

    Examples
    --------
    >>> cv([1.0, 3.0])
    0.5
    """
    values = _values(image, where)
    return float(values.std() / values.mean())


def cjv(image: ArrayLike, first: ArrayLike, second: ArrayLike) -> float:
    """Coefficient of joint variation of two tissues (Likar et al., IEEE TMI 2001), usually GM and WM.

    ``(sd1 + sd2) / |mean1 - mean2|``: small if the tissues are narrow and far apart.

    Parameters
    ----------
    image : array_like
    first, second : array_like of bool
        The tissues' voxels.
    """
    a, b = _values(image, first), _values(image, second)
    return float((a.std() + b.std()) / abs(a.mean() - b.mean()))


def field_error(field: ArrayLike, truth: ArrayLike, where: ArrayLike | None = None) -> float:
    """Error of a field: standard deviation of log(field) - log(truth), free of the global scale; 0 is perfect."""
    return float((np.log(_values(field, where)) - np.log(_values(truth, where))).std())


def slope(field: ArrayLike, truth: ArrayLike, where: ArrayLike | None = None) -> float:
    """Regression of log(field) on log(truth): 1 is right, below 1 the field is shrunk."""
    x, y = np.log(_values(truth, where)), np.log(_values(field, where))
    x = x - x.mean()
    return float((x * y).sum() / (x * x).sum())
