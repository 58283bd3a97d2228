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
    with_uncertainty : bool
        Whether the map of its standard deviation is wanted.
    """

    corrected: Path
    field: Path
    with_field: bool = True
    with_uncertainty: bool = False

    @classmethod
    def of(cls, source: Source, root: Path, with_field: bool = True, with_uncertainty: bool = False) -> Outputs:
        """Name the outputs of an image in a derivative dataset."""
        folder = root / Path(source.relative).parent
        corrected = source.name.derived(desc="preproc")
        field = source.name.derived("biasfield", mod=source.name.suffix, desc="preproc")
        return cls(folder / str(corrected), folder / str(field), with_field, with_uncertainty)

    @property
    def uncertainty(self) -> Path:
        """The map of the field's standard deviation."""
        return self.field.with_name(self.field.name.replace("_biasfield.", "_stat-std_biasfield."))

    @property
    def images(self) -> list[Path]:
        """The images that are wanted."""
        field = [self.field] if self.with_field else []
        return [self.corrected, *field, *([self.uncertainty] if self.with_uncertainty else [])]

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
