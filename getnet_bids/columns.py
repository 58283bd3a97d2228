"""The columns of all tables and the measures of the sidecars, described once: for sidecars, pages and docs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

UNCORRECTED = "input"
"""Name of the method for the image before correction."""
ENTIRE = "entire image"
"""Name of the foreground in the table of a comparison, as in the paper's Table 1."""
FOREGROUND = "foreground"
"""Name of the foreground in the dataset's table."""


TISSUES = ("CSF", "GM", "WM")
"""Names of the tissues of a brain in tables and file names."""


@dataclass(frozen=True)
class Column:
    """A column of a table, or a measure of a sidecar.

    Parameters
    ----------
    name : str
        Name in the file.
    description : str
        A sentence or two, for the JSON file beside the table and for the docs.
    units : str
        As in BIDS: "1" for a number without a unit, empty for text.
    title : str
        Heading on pages; empty if pages do not show this column.
    summary : str
        A description in a few words, for pages.
    percent : bool
        Whether pages show the value in per cent.
    """

    name: str
    description: str
    units: str = ""
    title: str = ""
    summary: str = ""
    percent: bool = False

    @property
    def sidecar(self) -> dict[str, Any]:
        """Its entry in the JSON file beside the table."""
        return {"Description": self.description} | ({"Units": self.units} if self.units else {})


def descriptions(columns: Iterable[Column]) -> dict[str, dict[str, Any]]:
    """Return the content of the JSON file beside a table.

    Examples
    --------
    >>> descriptions([Column("seconds", "Time of the correction.", "s")])
    {'seconds': {'Description': 'Time of the correction.', 'Units': 's'}}
    """
    return {column.name: column.sidecar for column in columns}


STATUS = (
    Column("source", "Path of the image in the raw dataset."),
    Column("status", "``done``, ``skipped`` or ``failed``."),
    Column("seconds", "Time by the wall clock, reading and writing included.", "s"),
    Column("reason", "Why the image was skipped, failed, or is doubtful."),
    Column("verdict", "The verdict on the result, if the image is done."),
)
"""Columns of ``status.tsv``."""

METHOD = Column("method", "What the image was corrected by; 'input' is the image before correction.")
REGION = Column(
    "region",
    "Tissue (voxels of probability above 0.9), 'GM+WM' for both jointly, or 'entire image', which is the foreground.",
)
TISSUE = Column(
    "tissue",
    "Where it was measured: 'foreground'; of compared images also tissues (voxels of probability above 0.9), and "
    "'GM+WM' for both jointly.",
)
CV = Column(
    "cv",
    "Coefficient of variation: standard deviation over mean. Smaller is more homogeneous.",
    "1",
    "CV",
    "coefficient of variation, standard deviation over mean",
    percent=True,
)
CJV = Column(
    "cjv",
    "Coefficient of joint variation of GM and WM, (sd GM + sd WM) / |mean GM - mean WM|. Smaller is better.",
    "1",
    "CJV",
    "coefficient of joint variation of GM and WM, (sd GM + sd WM) / |mean GM - mean WM|",
    percent=True,
)
SECONDS = Column(
    "seconds",
    "Time of the correction of the whole image, without reading and writing files.",
    "s",
    "Seconds",
    "time of the correction",
)
MEASURED = (
    Column("voxels", "Number of voxels of the region.", "1", "Voxels", "voxels of the region"),
    CV,
    Column(
        "cv_noise_controlled",
        "The same after averaging the noise away within the region: a Gaussian mean, standard deviation 1.5 voxels, "
        "over the region's own voxels. What is left is bias field and anatomy.",
        "1",
        "CV, noise controlled",
        "the same after averaging the noise away within the region",
        percent=True,
    ),
    CJV,
    Column(
        "cjv_noise_controlled",
        "The same after averaging the noise away within each tissue, as for cv_noise_controlled.",
        "1",
        "CJV, noise controlled",
        "the same after averaging the noise away within each tissue",
        percent=True,
    ),
    Column(
        "relative_mae",
        "Where a bias field was simulated: sum |s corrected - original| / sum original, with the one factor s that "
        "fits best in least squares over the entire image (Simko et al. 2019, Table 1). 0 is perfect.",
        "1",
        "Error",
        "mean absolute error relative to the image without bias field",
        percent=True,
    ),
    Column(
        "field_p95_p5",
        "95th over 5th percentile of the estimated field in the region.",
        "1",
        "Field p95/p5",
        "95th over 5th percentile of the field",
    ),
    SECONDS,
)
"""The measures of each method in each region."""


def disagreement(method: str) -> Column:
    """Return the column that compares an image with the one corrected by `method`."""
    return Column(
        f"disagreement_with_{method}",
        f"Mean absolute relative difference from the image by {method}, both brought to one mean over the entire "
        "image: 2 sum |a - b| / sum (a + b). How much the two differ, not an error of either.",
        "1",
    )


def comparison_columns(methods: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns of the table of one comparison; `methods` does not include the uncorrected image."""
    return (METHOD, REGION, *MEASURED, *map(disagreement, (UNCORRECTED, *methods)))


SAMPLED = "Over the foreground: every voxel, or every second, third ... along each axis of a large image."
"""The voxels over which measures of the field and of a sidecar are computed."""
FIELD_CV = Column(
    "field_cv",
    f"Coefficient of variation of GetNet's field. {SAMPLED}",
    "1",
    "Field CV",
    "coefficient of variation of the field",
)
FIELD_SD = Column(
    "field_sd_median",
    "Standard deviation of the estimate of the log field, about its relative uncertainty: median over the foreground.",
    "1",
    "Field SD",
    "standard deviation of the estimated field, its relative uncertainty",
)
MEDIAN = Column(
    "median",
    f"Median intensity, in the image's own units. {SAMPLED}",
    "arbitrary",
    "Median",
    "median intensity of the foreground",
)
VOLUME = Column("foreground_volume", "Volume of the foreground.", "mL", "Foreground ml", "volume of the foreground")
FIELD_RANGE = Column("", "", "1", "Field range", "99th over 1st percentile of the field")
"""Only on the dataset's page."""


def group_columns(methods: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns of the dataset's table; `methods` does not include the uncorrected image.

    No column may have the name of a BIDS entity: PyBIDS takes a described column for metadata, and refuses two values
    of the same key.
    """
    return (
        Column("participant_id", "The subject, with 'sub-'."),
        Column("session_id", "The session, with 'ses-'; n/a if the image is in none."),
        Column("source", "The image, as its path in the raw dataset."),
        Column("contrast", "The image's suffix, which says what its contrast is, such as T1w."),
        METHOD,
        TISSUE,
        *MEASURED,
        *map(disagreement, (UNCORRECTED, *methods)),
        Column("field_minimum", f"Smallest value of GetNet's field. {SAMPLED}", "1"),
        Column("field_p1", f"1st percentile of GetNet's field. {SAMPLED}", "1"),
        Column("field_p99", f"99th percentile of GetNet's field. {SAMPLED}", "1"),
        Column("field_maximum", f"Largest value of GetNet's field. {SAMPLED}", "1"),
        FIELD_CV,
        FIELD_SD,
        Column("field_sd_p95", "The same: 95th percentile over the foreground.", "1"),
        Column(
            "known_fields_found",
            "Fraction of known fields, multiplied onto the image's slices as a test, which the network found.",
            "1",
        ),
        Column(
            "verdict",
            "The verdict on GetNet's result: corrected, nothing to correct (the field varies by less than its "
            "uncertainty) or doubtful; the sidecar and the page give the reasons.",
        ),
        Column(
            "inu_range",
            f"MRIQC's name: 95th minus 5th percentile of GetNet's field. {SAMPLED} MRIQC's is over the brain.",
            "1",
        ),
        Column("inu_med", f"MRIQC's name: median of GetNet's field. {SAMPLED} MRIQC's is over the brain.", "1"),
        MEDIAN,
        VOLUME,
    )


MEASURES = (
    Column("FieldMinimum", "Smallest value of the field.", "1"),
    *(Column(f"FieldP{p}", f"{p}{'st' if p == 1 else 'th'} percentile of the field.", "1") for p in (1, 5)),
    Column("FieldMedian", "Median of the field.", "1"),
    *(Column(f"FieldP{p}", f"{p}th percentile of the field.", "1") for p in (95, 99)),
    Column("FieldMaximum", "Largest value of the field.", "1"),
    Column("FieldCV", "Coefficient of variation of the field: standard deviation over mean.", "1"),
    Column("CVBefore", "Coefficient of variation of the image before correction; anatomy is part of it.", "1"),
    Column("CVAfter", "The same after correction.", "1"),
    Column("MedianBefore", "Median intensity before correction.", "arbitrary"),
    Column("MedianAfter", "The same after correction.", "arbitrary"),
    Column("ForegroundVolume", "Volume of the foreground.", "mL"),
    Column(
        "Histogram",
        "Counts ``Before`` and ``After`` in equal bins from ``From`` to ``To`` (the image's units); half a per cent of "
        "the voxels at either end is left out.",
    ),
)
"""Under ``GetNet``, ``Measures`` in the sidecar of a corrected image; over the foreground, sampled."""
