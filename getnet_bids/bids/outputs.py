"""Where the results of an image lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .discovery import Source


@dataclass(frozen=True)
class Outputs:
    """The files made from one image.

    Parameters
    ----------
    corrected, field : Path
        The images.
    with_field : bool
        Whether the field is wanted.
    """

    corrected: Path
    field: Path
    with_field: bool = True

    @classmethod
    def of(cls, source: Source, root: Path, with_field: bool = True) -> Outputs:
        """Name the outputs of an image in a derivative dataset."""
        folder = root / Path(source.relative).parent
        corrected = source.name.derived(desc="preproc")
        field = source.name.derived("biasfield", mod=source.name.suffix, desc="preproc")
        return cls(folder / str(corrected), folder / str(field), with_field)

    @property
    def images(self) -> list[Path]:
        """The images that are wanted."""
        return [self.corrected, self.field] if self.with_field else [self.corrected]

    @property
    def sidecars(self) -> list[Path]:
        """Their sidecars, in the order in which they are written: that of the corrected image is the last."""
        return [sidecar(image) for image in reversed(self.images)]


def sidecar(image: Path) -> Path:
    """Return the JSON file of an image.

    Examples
    --------
    >>> sidecar(Path("sub-01_desc-preproc_T1w.nii.gz")).name
    'sub-01_desc-preproc_T1w.json'
    """
    return image.with_name(image.name.removesuffix(".gz").removesuffix(".nii") + ".json")
