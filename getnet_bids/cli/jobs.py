"""What there is to know of an image whose corrections are to be compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from getnet_bids.bids.comparison import Comparison
from getnet_bids.bids.discovery import Source
from getnet_bids.bids.outputs import Outputs
from getnet_bids.bids.provenance import Recipe


@dataclass(frozen=True)
class CompareJob:
    """An image to compare the corrections of.

    Parameters
    ----------
    source : Source
    outputs : Outputs
        Of the correction by GetNet, as without a comparison.
    comparison : Comparison
        What is added to it.
    correction, recipe : Recipe
        What fixes the correction, and the comparison.
    device : str
        Of the network.
    threads : int
        Of each node.
    given : dict of Path
        Of a segmentation that there is already, by name: dseg, brain_mask, and tissues.
    uris : dict of str
        BIDS URIs of these, by the same names.
    """

    source: Source
    outputs: Outputs
    comparison: Comparison
    correction: Recipe
    recipe: Recipe
    device: str
    threads: int
    given: dict[str, Path] = field(default_factory=dict)
    uris: dict[str, str] = field(default_factory=dict)
