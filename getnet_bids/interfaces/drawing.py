"""The parts of the comparison's figure: slices, histograms, table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from getnet_bids.columns import ENTIRE

if TYPE_CHECKING:
    import numpy as np
    from nibabel.spatialimages import SpatialImage
    from numpy.typing import NDArray

COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
"""Of Okabe and Ito (2008), told apart by people of any colour vision; the first is for the image before."""
DASHES = ("--", "-", "-.", ":", (0, (5, 1)), (0, (1, 1)))
"""One for each method, so that colour is not all that tells them apart."""
FIELD_COLOURS = "PuOr_r"
"""Purple where the field is dark, white where it is 1, orange where it is bright."""


def planes_of(image: SpatialImage) -> list[str]:
    """Return which of nilearn's planes an image can be cut in: all three, or that of its only slice.

    Examples
    --------
    >>> import nibabel as nib
    >>> import numpy as np
    >>> planes_of(nib.Nifti1Image(np.zeros((9, 9, 9), np.uint8), np.eye(4)))
    ['z', 'y', 'x']
    >>> planes_of(nib.Nifti1Image(np.zeros((9, 1, 9), np.uint8), np.eye(4)))
    ['y']
    """
    import nibabel as nib

    axes = nib.io_orientation(image.affine)[:, 0]
    thin = ["xyz"[int(axis)] for axis, n in zip(axes, image.shape, strict=True) if n == 1]
    return thin or ["z", "y", "x"]


def draw_slice(
    axes: Any, image: SpatialImage, plane: str, centre: NDArray[np.floating], limits: tuple[float, float], colours: str
) -> None:
    """Draw one slice of an image through a point, mm, in a plane, within limits of the scale."""
    from nilearn import plotting

    display = plotting.plot_img(
        image,
        display_mode=plane,
        cut_coords=[float(centre["xyz".index(plane)])],
        axes=axes,
        vmin=limits[0],
        vmax=limits[1],
        cmap=colours,
        annotate=False,
        draw_cross=False,
        colorbar=False,
        black_bg=True,
        bg_img=None,
        resampling_interpolation="continuous",
    )
    if plane != "x":
        display.annotate(size=9, left_right=True, positions=False)


def draw_histograms(
    axes: Any, name: str, volumes: dict[str, NDArray[np.floating]], region: NDArray[np.bool_], legend: bool
) -> None:
    """Draw the histograms of a tissue before and after each correction.

    Parameters
    ----------
    axes : matplotlib axes
    name : str
        Of the tissue.
    volumes : dict of ndarray
        By method, each of mean 1 over the entire image.
    region : ndarray of bool
        The tissue.
    legend : bool
        Whether to say which line is which.
    """
    import numpy as np
    from scipy import ndimage

    ends = [np.percentile(volume[region], (0.5, 99.5)) for volume in volumes.values()]
    edges = np.linspace(min(low for low, _ in ends), max(high for _, high in ends), 81)
    for (method, volume), colour, dash in zip(volumes.items(), COLOURS, DASHES, strict=False):
        heights, _ = np.histogram(volume[region], edges, density=True)
        # Bins and whole numbers of a scan beat against each other; a bin and a half of blur takes the comb away.
        heights = ndimage.gaussian_filter1d(heights, 1.5)
        axes.plot((edges[1:] + edges[:-1]) / 2, heights, color=colour, linestyle=dash, linewidth=1.8, label=method)
    axes.set_title(name, fontsize=12)
    axes.set_xlabel("intensity, mean of the image 1")
    axes.set_yticks([])
    axes.spines[["left", "right", "top"]].set_visible(False)
    if legend:
        axes.set_ylabel("share of voxels")
        axes.legend(frameon=False, fontsize=10)


def draw_table(axes: Any, rows: list[dict[str, str]]) -> None:
    """Draw the metrics as a table, a row per method.

    Parameters
    ----------
    axes : matplotlib axes
    rows : list of dict
        As `InhomogeneityMetrics` writes them.
    """
    columns, cells = tabulate(rows)
    axes.axis("off")
    table = axes.table([line for _, *line in cells], rowLabels=[c[0] for c in cells], colLabels=columns, loc="center")
    table.auto_set_font_size(False)
    table.set_fontsize(10)
    table.scale(1, 1.6)
    for cell in table.get_celld().values():
        cell.set_edgecolor("#bbbbbb")
        cell.set_linewidth(0.6)
    for (row, _), cell in table.get_celld().items():
        if row == 0:
            cell.set_height(cell.get_height() * 1.5)
            cell.set_facecolor("#f0f0f0")


def tabulate(rows: list[dict[str, str]]) -> tuple[list[str], list[list[str]]]:
    r"""Choose from the metrics what a reader needs at a glance.

    Examples
    --------
    >>> row = {"method": "GetNet", "region": "WM", "cv_noise_controlled": "0.02", "field_p95_p5": "1.3", "seconds": "2"}
    >>> tabulate([row])
    (['CV\nWM', 'field\np95/p5', 'seconds'], [['GetNet', '2.0 %', '1.30', '2.0']])
    """
    by = {(row["method"], row["region"]): row for row in rows}
    methods = list(dict.fromkeys(row["method"] for row in rows))
    regions = list(dict.fromkeys(row["region"] for row in rows))
    tissues = [r for r in regions if r not in (ENTIRE, "GM+WM")]
    first = regions[0]
    others = methods[1:]

    def percent(text: str) -> str:
        return f"{100 * float(text):.1f} %"

    wanted = [(f"CV\n{tissue}", tissue, "cv_noise_controlled", percent) for tissue in tissues]
    wanted += [("CJV\nGM, WM", "GM+WM", "cjv_noise_controlled", percent)]
    wanted += [(f"error\n{region}", region, "relative_mae", percent) for region in [first, *tissues]]
    if all(row.get("relative_mae", "n/a") == "n/a" for row in rows):
        wanted += [(f"differs from\n{m}", first, f"disagreement_with_{m}", percent) for m in others]
    wanted += [("field\np95/p5", first, "field_p95_p5", lambda text: f"{float(text):.2f}")]
    wanted += [("seconds", first, "seconds", lambda text: f"{float(text):.1f}")]
    columns, cells = [], [[method] for method in methods]
    for title, region, key, form in wanted:
        texts = [by.get((method, region), {}).get(key, "n/a") for method in methods]
        if any(text != "n/a" for text in texts):
            columns.append(title)
            for line, text in zip(cells, texts, strict=True):
                line.append("" if text == "n/a" else form(text))
    return columns, cells
