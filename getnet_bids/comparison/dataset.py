"""What a comparison adds to the files at the top of a derivative dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from getnet_bids.bids.dataset import DESCRIPTION, add_to_description
from getnet_bids.bids.metadata import read_object
from getnet_bids.files import locked, text_of, write_text

from .methods import GETNET, Method
from .outputs import Comparison

GAIN_KEY = "SimulatedGain"
"""Key in the ``dataset_description.json`` of a dataset whose images were all shaded first."""
TABLE = "descriptions.tsv"
DESCS = {
    "{name}": "Corrected for intensity non-uniformity by {long_name}, to compare with; also the field that was divided "
    "out.",
    "brain": "The brain, in which both corrections were compared.",
    "inu": "How non-uniform each tissue is before and after each correction.",
}
SHADED = "Shaded by a simulated gain field, then corrected by {}; also the field divided out."
SIMULATED_DESCS = {
    "simulated": "Shaded by a simulated gain field; also that field, and the segmentation of the shaded image.",
    f"simulated{GETNET}": SHADED.format(GETNET),
    "simulated{name}": SHADED.format("{long_name}"),
    "inu": "How non-uniform each tissue is, and how far from the image before it was shaded, by correction.",
    "table1": "The distance from the image before it was shaded, in the form of Table 1 of Simko et al. 2019.",
}
SEGMENTATION = "Segmentation of the {}image that `desc` names, since another image has the same entities."
README = "README.md"
WARNING = """\
**Simulated shading.** Each image in this folder was first multiplied by a simulated gain field of {low:g} to {high:g}
(`--simulate-gain {percent:g} --random-seed {seed}`), and both corrections were then measured by how well they restore
the image. Nothing here is the correction of an image as it was scanned.

"""


def check_kind(out: Path, gain: dict[str, Any] | None) -> str | None:
    """Return the reason why a folder would get results of different kinds (real, or several simulations), or None.

    Parameters
    ----------
    out : Path
        The derivative dataset; it need not exist.
    gain : dict or None
        As returned by `Settings.simulated`.

    Returns
    -------
    str or None
    """
    if not (out / DESCRIPTION).exists():
        return None
    there = read_object(out / DESCRIPTION).get(GAIN_KEY)
    if there == gain:
        return None
    if there is not None:
        return (
            f"{out} holds results under a simulated gain (--simulate-gain {there['Percent']:g} --random-seed "
            f"{there['Seed']}); choose another folder, or the same options"
        )
    if any(path.is_dir() for path in out.glob("sub-*")):
        return f"{out} holds results of real images; choose another folder for --simulate-gain"
    return None


def prepare_comparison(
    out: Path,
    method: Method,
    comparisons: Iterable[Comparison],
    links: Mapping[str, Path],
    gain: dict[str, Any] | None,
) -> None:
    """Add entries for a comparison to the files at the top of a dataset.

    Parameters
    ----------
    out : Path
        The derivative dataset, already prepared for corrections.
    method : Method
        The method that GetNet is compared with.
    comparisons : iterable of Comparison
        The comparisons that will be made.
    links : mapping of str to Path
        Datasets that results may name as their sources.
    gain : dict or None
        As returned by `Settings.simulated`.
    """
    uris = {name: path.resolve().as_uri() for name, path in links.items()}
    add_to_description(out, {"DatasetLinks": uris} | ({} if gain is None else {GAIN_KEY: gain}))
    describe(out / TABLE, descs_of(method, comparisons, gain is not None))
    if gain is not None:
        text = text_of((out / README).read_bytes())
        percent = gain["Percent"]
        warning = WARNING.format(low=1 - percent / 100, high=1 + percent / 100, percent=percent, seed=gain["Seed"])
        if not text.startswith(warning):
            write_text(out / README, warning + text)


def descs_of(method: Method, comparisons: Iterable[Comparison], simulated: bool) -> dict[str, str]:
    """Return the meaning of each ``desc-`` of the comparisons."""
    texts = SIMULATED_DESCS if simulated else DESCS
    words = {"name": method.name, "long_name": method.long_name}
    descs = {key.format(**words): text.format(**words) for key, text in texts.items()}
    for comparison in comparisons:
        if comparison.contrast and comparison.segmentation_desc:
            text = SEGMENTATION.format("shaded " if simulated else "")
            descs.setdefault(comparison.segmentation_desc, text)
    return descs


def describe(table: Path, descs: Mapping[str, str]) -> None:
    """Add missing descriptions to a table."""
    with locked(table):  # another run may add its own entries
        text = text_of(table.read_bytes())
        there = {line.partition("\t")[0] for line in text.splitlines()}
        lines = [f"desc-{desc}\t{what}\n" for desc, what in descs.items() if f"desc-{desc}" not in there]
        if lines:
            write_text(table, text.removesuffix("\n") + "\n" + "".join(lines))
