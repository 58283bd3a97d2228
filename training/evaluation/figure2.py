"""A figure like the paper's Figure 2: slices and their gain fields, before and after correction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .table1 import Method, Shaded

PLANES = ("axial", "coronal", "sagittal")


def draw(slices: Sequence[Shaded], methods: Sequence[Method], path: Path) -> None:
    """Draw one slice of each plane, the one of most brain, as it is corrected by each method, and the fields below.

    Parameters
    ----------
    slices : sequence of Shaded
    methods : sequence of Method
        Each with fields of the first of these slices, as many as it has.
    path : Path
        PNG, PDF or SVG.
    """
    from matplotlib.colors import TwoSlopeNorm
    from matplotlib.figure import Figure

    count = min(len(m.fields) for m in methods)
    brain = [sum(int(s.head.regions[t].sum()) for t in ("CSF", "GM", "WM")) for s in slices[:count]]
    best = []
    for plane in PLANES:
        some = [i for i in range(count) if plane in slices[i].head.name]
        best += [max(some, key=brain.__getitem__)] if some else []
    columns = ["original", *("with gain" if m.seconds == 0 else m.name for m in methods)]
    figure = Figure(figsize=(1.9 * len(columns), 3.7 * len(best)), layout="constrained")
    axes = figure.subplots(2 * len(best), len(columns), squeeze=False)
    # Blue to brown through white: told apart with any colour vision. One scale for all fields.
    shading = {"cmap": "PuOr", "norm": TwoSlopeNorm(1.0, 0.7, 1.3)}
    for row, i in enumerate(best):
        s = slices[i]
        images = [s.head.original, *(s.image / m.fields[i] for m in methods)]
        where = s.head.regions["entire image"]
        truth = s.gain / np.exp(np.log(s.gain[where]).mean())
        shown = [truth, *(m.fields[i] for m in methods)]
        top = float(np.quantile(s.head.original[s.head.original > 0], 0.99))
        for column, (image, field) in enumerate(zip(images, shown, strict=True)):
            upper, lower = axes[2 * row, column], axes[2 * row + 1, column]
            upper.imshow(np.flipud(image), cmap="gray", vmin=0, vmax=1.1 * top)
            shade = lower.imshow(np.flipud(np.where(where, field, np.nan)), **shading)
            lower.set_facecolor("0.85")
            if row == 0:
                upper.set_title(columns[column], fontsize=9)
            for ax in (upper, lower):
                ax.set_xticks([])
                ax.set_yticks([])
        axes[2 * row, 0].set_ylabel(s.head.name.split(" ", 1)[1], fontsize=8)
        axes[2 * row + 1, 0].set_ylabel("gain field (true, estimated)", fontsize=8)
    figure.colorbar(shade, ax=axes, shrink=0.5, label="gain")
    figure.savefig(path, dpi=150)
