"""Paths of an image's results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .discovery import Source
from .names import Name

REFERENCES = {"bold": "boldref", "dwi": "dwiref", "asl": "aslref"}
"""Suffixes for the mean of a series, as in fMRIPrep, QSIPrep and ASLPrep; BIDS has none yet."""


@dataclass(frozen=True)
class Outputs:
    """The output files of one image.

    Parameters
    ----------
    corrected, field : Path
        The images.
    with_field : bool
        Whether to write the field.
    with_uncertainty : bool
        Whether to write the map of its standard deviation.
    reference_only : bool
        Whether the corrected image is the mean of a series instead of the series.
    """

    corrected: Path
    field: Path
    with_field: bool = True
    with_uncertainty: bool = False
    reference_only: bool = False

    @classmethod
    def of(
        cls,
        source: Source,
        root: Path,
        with_field: bool = True,
        with_uncertainty: bool = False,
        *,
        field_name: Name | None = None,
        reference_only: bool = False,
    ) -> Outputs:
        """Determine the outputs of an image in a derivative dataset.

        Parameters
        ----------
        source : Source
        root : Path
            The derivative dataset.
        with_field, with_uncertainty : bool
            Which of the two to write.
        field_name : Name, optional
            Name from which the field's name is derived, if not that of the image.
        reference_only : bool
            Whether to write the mean of a series in its place; has no effect on other images.

        Returns
        -------
        Outputs
        """
        folder = root / Path(source.relative).parent
        reference = REFERENCES.get(source.name.suffix) if reference_only else None
        corrected = source.name.derived(reference, desc="preproc")
        of = field_name or source.name
        field = of.derived("biasfield", mod=of.suffix, desc="preproc")
        return cls(folder / str(corrected), folder / str(field), with_field, with_uncertainty, reference is not None)

    @property
    def uncertainty(self) -> Path:
        """Path of the map of the field's standard deviation."""
        return self.field.with_name(self.field.name.replace("_biasfield.", "_stat-std_biasfield."))

    @property
    def images(self) -> list[Path]:
        """The images to write."""
        field = [self.field] if self.with_field else []
        return [self.corrected, *field, *([self.uncertainty] if self.with_uncertainty else [])]

    @property
    def sidecars(self) -> list[Path]:
        """Their sidecars in the order of writing; that of the corrected image is the last."""
        return [sidecar(image) for image in reversed(self.images)]


def place_beside(corrected: Path, ending: str) -> Path:
    """Return the path of a file that belongs to a series.

    Parameters
    ----------
    corrected : Path
        The corrected series.
    ending : str
        Suffix and extension.

    Examples
    --------
    >>> place_beside(Path("sub-01_desc-preproc_asl.nii.gz"), "aslcontext.tsv").name
    'sub-01_desc-preproc_aslcontext.tsv'
    """
    return corrected.with_name(f"{corrected.name.rpartition('_')[0]}_{ending}")


def sidecar(image: Path) -> Path:
    """Return the JSON file of an image.

    Examples
    --------
    >>> sidecar(Path("sub-01_desc-preproc_T1w.nii.gz")).name
    'sub-01_desc-preproc_T1w.json'
    """
    return image.with_name(image.name.removesuffix(".gz").removesuffix(".nii") + ".json")
