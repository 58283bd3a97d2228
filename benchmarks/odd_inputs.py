"""Measure images of the kinds that cause problems elsewhere: the error, the verdict and its reasons.

    python benchmarks/odd_inputs.py

The tests' head at 2 mm, and the same head as an echo-planar image at 3 x 3 x 4 mm, are degraded as in public bug
reports. The error is the standard deviation of log(field / truth) over the brain. The table is written to
benchmarks/odd_inputs.tsv; tests/reliability/test_odd_inputs.py checks that each error stays below a bound.
"""

from __future__ import annotations

import csv
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import getnet_bids  # noqa: E402
from tests.phantoms import realistic  # noqa: E402

TABLE = Path(__file__).with_suffix(".tsv")
COLUMNS = ("kind", "case", "uncorrected", "error", "field_minimum", "field_maximum", "verdict", "said")
SCALE = 1000.0
EPI_LEVELS = {"air": 0.0, "skin": 0.15, "skull": 0.02, "csf": 1.0, "gray": 0.75, "white": 0.6, "nuclei": 0.65}
EPI_VOXEL = (3.0, 3.0, 4.0)


@dataclass(frozen=True)
class Case:
    """An image and the expected result.

    Parameters
    ----------
    kind, name : str
    volume : ndarray, shape (X, Y, Z)
    voxel : tuple of float
        mm.
    truth : ndarray
        The true field.
    brain : ndarray of bool
        Voxels over which the error is measured.
    bound : float
        Largest allowed error; infinite if the image is refused.
    verdicts : tuple of str
        The allowed verdicts; ``refused`` if no result is expected.
    options : dict
        Arguments of `getnet_bids.Options`.
    unit : str
        Unit of length in the header.
    """

    kind: str
    name: str
    volume: NDArray[np.floating]
    voxel: tuple[float, ...]
    truth: NDArray[np.floating]
    brain: NDArray[np.bool_]
    bound: float
    verdicts: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    unit: str = "mm"

    @property
    def image(self) -> nib.Nifti1Image:
        """The image as in a file."""
        made = nib.Nifti1Image(self.volume.astype(np.float32), np.diag([*self.voxel, 1.0]))
        made.header.set_xyzt_units(self.unit)
        return made

    @property
    def uncorrected(self) -> float:
        """The error without correction."""
        return float(np.log(self.truth[self.brain]).std())

    def correct(self) -> dict[str, Any]:
        """Correct the image and return a row of the table."""
        row: dict[str, Any] = {"kind": self.kind, "case": self.name, "uncorrected": f"{self.uncorrected:.4f}"}
        try:
            options = getnet_bids.Options(**self.options)
            result = getnet_bids.correct(self.image, device="cpu", options=options)
        except getnet_bids.GetNetError as refusal:
            return {**row, "verdict": "refused", "said": str(refusal)}
        found = np.asanyarray(result.field.dataobj)
        return {
            **row,
            "error": f"{np.log(found[self.brain] / self.truth[self.brain]).std():.4f}",
            "field_minimum": f"{found.min():.2f}",
            "field_maximum": f"{found.max():.2f}",
            "verdict": result.verdict,
            "said": "; ".join(result.reasons),
        }


def rice(signal: NDArray[np.floating], noise: float) -> NDArray[np.floating]:
    """Add Rician noise."""
    rng = np.random.default_rng(5)
    return np.hypot(signal + noise * rng.normal(size=signal.shape), noise * rng.normal(size=signal.shape))


def cases() -> Iterator[Case]:
    """Make all cases."""
    yield from heads()
    yield from echo_planar()


def heads() -> Iterator[Case]:
    """Make the cases of a T1w head."""
    head, brain = realistic.head()
    stripped, _ = realistic.head(stripped=True)
    head, stripped = head * SCALE, stripped * SCALE
    truth, inside = realistic.field(), realistic.labels() > 0
    object_ = gaussian_filter(brain.astype(float), 1) > 0.3
    free = np.where(object_, stripped, 0)

    def case(kind: str, name: str, volume: NDArray[np.floating], bound: float, *verdicts: str, **more: Any) -> Case:
        return Case(kind, name, volume, more.pop("voxel", realistic.VOXEL), truth, brain, bound, verdicts, **more)

    fine, doubtful = ("corrected",), ("doubtful",)
    yield case("ordinary", "whole head", head, 0.03, *fine)
    yield case("ordinary", "brain, background 0", free, 0.03, *fine)
    yield case("background", "rescaled to 10..100", free / free.max() * 90 + 10, 0.03, *doubtful)
    for value in (700.0, 32767.0, -1.0):
        yield case("background", f"brain, background {value:g}", np.where(object_, free, value), 0.03, *doubtful)
    yield case("background", "brain, background not a number", np.where(object_, free, np.nan), 0.03, *fine)
    rng = np.random.default_rng(7)
    rounded = 700 + rng.uniform(-0.5, 0.5, free.shape)
    yield case("background", "brain, background 699.5 to 700.5", np.where(object_, free, rounded), 0.03, *doubtful)
    x, y, _ = np.ix_(*(np.linspace(-1, 1, n) for n in realistic.SHAPE))
    circle = np.broadcast_to((x**2 + y**2) < 0.98, realistic.SHAPE)
    yield case("background", "700 in a circle, 0 beyond", np.where(circle & ~object_, 700, free), 0.03, *doubtful)
    for value in (700.0, 32767.0, -1000.0):
        filled = head.copy()
        filled[:, :, :15] = value
        yield case("background", f"head, 15 slices of {value:g}", filled, 0.03, *doubtful)
    yield case("background", "head, 100 added", head + 100, 0.1, *doubtful)
    scores = np.where(object_, (free - free[object_].mean()) / free[object_].std(), 0)
    yield case("normalised", "z-scored", scores, np.inf, "refused")
    face = np.zeros(realistic.SHAPE, bool)
    face[:, realistic.SHAPE[1] * 2 // 3 :, : realistic.SHAPE[2] // 2] = True
    yield case("altered", "face set to 0", np.where(face & ~brain, 0, head), 0.03, *fine)
    for sigma in (4, 8, 14):
        blurred = np.where(face & ~brain, gaussian_filter(head, sigma), head)
        yield case("altered", f"face blurred by {sigma} voxels", blurred, 0.03, *fine)
    for percent, bound in ((1, 0.03), (5, 0.03), (10, 0.035), (30, 0.07)):
        limit = np.percentile(head[inside], 100 - percent)
        yield case("altered", f"brightest {percent} % clipped", np.minimum(head, limit), bound, *doubtful)
    noisy = rice(head, 0.25 * float(np.median(head[brain])))
    yield case("noise", "a quarter of the brain's signal", noisy, 0.06, *doubtful)
    flat = head / truth
    yield Case(
        *("ordinary", "no field", flat, realistic.VOXEL, np.ones_like(truth), brain, 0.02),
        ("nothing to correct", "corrected"),
    )
    small = (0.1, 0.1, 0.1)
    yield case("units", "voxels of 0.1 mm", head, 0.03, *fine, voxel=small)
    yield case("units", "0.1 mm, smoothness 70", head, 0.165, *doubtful, voxel=small, options={"smoothness": 70.0})
    yield case("units", "a header in metres", head, 0.03, *doubtful, unit="meter")
    yield case("units", "smoothness 2", head, 0.05, *doubtful, options={"smoothness": 2.0})
    yield case("units", "in metres, smoothness 70", head, 0.03, *doubtful, unit="meter", options={"smoothness": 70.0})


def spiked(image: NDArray[np.floating], amplitude: float) -> NDArray[np.floating]:
    """Add the wave of a spike in k-space, of an amplitude relative to the median of the object."""
    x, y, z = np.meshgrid(*map(np.arange, image.shape), indexing="ij")
    wave = amplitude * np.median(image[image > 0.3]) * np.exp(1j * (1.1 * x + 1.6 * y + 0.4 * z))
    return np.abs(image + wave)


def echo_planar() -> Iterator[Case]:
    """Make the cases of an echo-planar image: bright fluid, hardly any scalp, thick slices."""
    scales = [a / b for a, b in zip(realistic.VOXEL, EPI_VOXEL, strict=True)]
    levels = np.array([{**EPI_LEVELS, "muscle": 0.1}[name] for name in realistic.NAMES])
    signal = zoom(gaussian_filter(levels[realistic.labels()], 0.6), scales, order=1)
    truth = zoom(realistic.field(0.15), scales, order=1)
    _, brain = realistic.head()
    where = zoom(brain.astype(float), scales, order=1) > 0.9
    shaded = signal * truth
    rolled = np.roll(shaded, shaded.shape[1] // 2, 1)
    unequal = shaded * (1 + 0.05 * (np.arange(shaded.shape[2]) % 2))
    made: tuple[tuple[str, Callable[[], NDArray[np.floating]], tuple[str, ...]], ...] = (
        ("noise 3 %", lambda: rice(shaded, 0.03), ("corrected", "doubtful")),
        ("noise 5 %", lambda: rice(shaded, 0.05), ("doubtful",)),
        ("ghost 5 %", lambda: rice(shaded + 0.05 * rolled, 0.03), ("doubtful",)),
        ("ghost 10 %", lambda: rice(shaded + 0.1 * rolled, 0.03), ("doubtful",)),
        ("ghost 20 %", lambda: rice(shaded + 0.2 * rolled, 0.03), ("doubtful",)),
        ("spike in k-space, 5 %", lambda: spiked(rice(shaded, 0.03), 0.05), ("doubtful",)),
        ("odd and even slices 5 % apart", lambda: rice(unequal, 0.03), ("corrected", "doubtful")),
    )
    for name, make, verdicts in made:
        yield Case("echo-planar", name, make() * SCALE, EPI_VOXEL, truth, where, 0.06, verdicts)


def main() -> None:
    """Correct all cases and write the table."""
    warnings.filterwarnings("ignore")
    with open(TABLE, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, restval="n/a", delimiter="\t", lineterminator="\n")
        table.writeheader()
        for case in cases():
            row = case.correct()
            table.writerow(row)
            print(" ".join(f"{row.get(column, ''):12}" for column in COLUMNS), flush=True)


if __name__ == "__main__":
    main()
