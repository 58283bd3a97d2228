"""How images are stored: in float32 or in the numbers of their source, rounded and never clipped; level of gzip."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.freesurfer.mghformat import MGHError
from nibabel.spatialimages import HeaderDataError, SpatialImage
from numpy.typing import NDArray

from .errors import GetNetError

SCALING = "scaling"
"""Key of an image's ``extra``: slope and intercept that its file has."""
LEVEL = 1
"""Of gzip: on corrected heads and fields 2 and 3 save less than 3 %, 9 saves 1 to 6 % and takes ten times as long."""


FLOAT32: Any = np.dtype(np.float32)


@dataclass(frozen=True)
class Storage:
    """How results are stored.

    Parameters
    ----------
    dtype : {"float32", "same"}
        Of corrected images; ``same`` is as the source. Fields are float32.
    level : int
        Of gzip, 1 to 9.
    """

    dtype: str = "float32"
    level: int = LEVEL

    def numbers(self, source: SpatialImage, name: str | os.PathLike[str]) -> Numbers:
        """Return the numbers in which a source's corrected image is stored."""
        return Numbers.of(source, name) if self.dtype == "same" else Numbers(name)


@dataclass(frozen=True)
class Numbers:
    """Numbers of a file.

    Parameters
    ----------
    name : str or path
        Of the source, for messages.
    dtype : dtype
    slope, inter : float
        What they are multiplied by, and what is added then, to be the image's values.
    """

    name: str | os.PathLike[str]
    dtype: Any = FLOAT32
    slope: float = 1.0
    inter: float = 0.0

    @classmethod
    def of(cls, image: SpatialImage, name: str | os.PathLike[str]) -> Numbers:
        """Return those of an image that `images.read` gave, or that lies in a file still."""
        dtype, proxy = image.get_data_dtype().newbyteorder("="), image.dataobj
        if dtype.kind not in "iu":
            return cls(name, dtype)
        scaling = (proxy.slope, proxy.inter) if isinstance(proxy, ArrayProxy) else image.extra.get(SCALING, (1, 0))
        return cls(name, dtype, *map(float, scaling))

    def store(self, values: NDArray[np.floating]) -> NDArray[Any]:
        """Return what is stored for some values.

        Parameters
        ----------
        values : ndarray

        Returns
        -------
        ndarray of `dtype`

        Raises
        ------
        GetNetError
            The type does not reach as far.

        Examples
        --------
        >>> Numbers("T1w.nii", np.dtype(np.uint8), slope=0.5).store(np.float32([3.3, 100]))
        array([  7, 200], dtype=uint8)
        """
        if self.dtype.kind not in "iu":
            return values.astype(self.dtype, copy=False)
        whole = np.rint((values.astype(np.float64) - self.inter) / self.slope)
        limits = np.iinfo(self.dtype)
        if not (np.isfinite(whole).all() and whole.min() >= limits.min and whole.max() <= limits.max):
            low, high = sorted(bound * self.slope + self.inter for bound in (limits.min, limits.max))
            text = (
                f"its corrected values reach from {np.nanmin(values):g} to {np.nanmax(values):g}, and {self.dtype} in "
                f"its file from {low:g} to {high:g}; store it in float32, without --output-dtype same"
            )
            raise GetNetError(text, self.name)
        return whole.astype(self.dtype)

    def mark(self, header: Any) -> None:
        """Set type, slope and intercept of a header; of MGH, which has few types and no scale, refuse others."""
        try:
            header.set_data_dtype(self.dtype)
        except (HeaderDataError, MGHError):
            text = f"{type(header).__name__} cannot hold its {self.dtype}; store it in float32"
            raise GetNetError(text, self.name) from None
        if (self.slope, self.inter) != (1.0, 0.0):
            header.set_slope_inter(self.slope, self.inter)

    def image(self, corrected: SpatialImage) -> SpatialImage:
        """Return a float32 image as it is to be written: its data are the numbers that are stored."""
        stored = type(corrected)(self.store(np.asanyarray(corrected.dataobj)), corrected.affine, corrected.header)
        self.mark(stored.header)  # only now: a scale of the header that an image is made with is forgotten
        return stored


def check_mgh(image: SpatialImage, path: str | os.PathLike[str]) -> None:
    """Refuse, before it becomes MGH, what that cannot hold."""
    if isinstance(image, nib.MGHImage):
        return
    scale = image.header.get_slope_inter() if isinstance(image.header, nib.Nifti1Header) else (None, None)
    if scale not in ((None, None), (1.0, 0.0)):
        raise GetNetError("MGH has no scale and intercept, as the source has; write NIfTI, or float32", path)
    try:
        nib.MGHImage.header_class().set_data_dtype(image.get_data_dtype())
    except (HeaderDataError, MGHError):
        raise GetNetError(f"MGH cannot hold {image.get_data_dtype()}; write NIfTI, or float32", path) from None
