"""The comparison in one figure: slices, histograms, table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiObject,
    SimpleInterface,
    Str,
    TraitedSpec,
    isdefined,
    traits,
)

from getnet_bids.columns import ENTIRE, UNCORRECTED

from .inhomogeneity import check_lengths, check_methods, tissue_regions, volume_like

if TYPE_CHECKING:
    import numpy as np
    from nibabel.spatialimages import SpatialImage
    from numpy.typing import NDArray


class ComparisonFigureInputSpec(BaseInterfaceInputSpec):
    """Inputs of `ComparisonFigure`."""

    input_image = File(exists=True, mandatory=True, desc="the image before correction")
    methods = traits.List(Str, mandatory=True, desc="names of the corrections")
    corrected_images = InputMultiObject(File(exists=True), mandatory=True, desc="the corrected image of each")
    bias_images = InputMultiObject(File(exists=True), mandatory=True, desc="the field of each")
    tissue_maps = InputMultiObject(File(exists=True), desc="probability map of each tissue, 0 to 1")
    tissue_names = InputMultiObject(Str, desc="their names")
    metrics_tsv = File(exists=True, desc="table of InhomogeneityMetrics")
    title = Str(desc="default: the image's name")
    out_file = Str("comparison.png", usedefault=True, desc="name ending in .png, .svg or .pdf")


class ComparisonFigureOutputSpec(TraitedSpec):
    """Outputs of `ComparisonFigure`."""

    out_file = File(exists=True, desc="the figure")


class ComparisonFigure(SimpleInterface):
    """Draw an image before and after each correction, and the fields, in the same slices and on the same scales.

    Below are the histogram of each tissue and the table of metrics. All images are scaled to the same mean over the
    foreground, since the scale of a field is arbitrary.

    Examples
    --------
    >>> from getnet_bids.interfaces import ComparisonFigure
    >>> figure = ComparisonFigure(methods=["GetNet", "N4"], out_file="sub-01_comparison.png")
    """

    input_spec = ComparisonFigureInputSpec
    output_spec = ComparisonFigureOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        import csv
        from io import BytesIO
        from pathlib import Path

        from getnet_bids import images
        from getnet_bids.files import write_bytes
        from getnet_bids.masks import foreground_of

        inputs = self.inputs
        check_methods(inputs.methods)
        check_lengths(inputs.methods, inputs, "corrected_images", "bias_images")
        image = images.read(inputs.input_image)
        entire = foreground_of(image, inputs.input_image)
        files = dict(zip([UNCORRECTED, *inputs.methods], [inputs.input_image, *inputs.corrected_images], strict=True))
        volumes = {method: volume_like(image, path) for method, path in files.items()}
        volumes = {method: volume / volume[entire].mean(dtype=float) for method, volume in volumes.items()}
        fields = {m: volume_like(image, path) for m, path in zip(inputs.methods, inputs.bias_images, strict=True)}
        fields = {method: field / geometric_mean(field[entire]) for method, field in fields.items()}
        tissues = tissue_regions(image, inputs)
        rows = []
        if isdefined(inputs.metrics_tsv):
            with open(inputs.metrics_tsv, newline="") as file:
                rows = list(csv.DictReader(file, delimiter="\t"))

        title = inputs.title if isdefined(inputs.title) else Path(inputs.input_image).name
        figure = compose(image, entire, volumes, fields, tissues, rows, title)
        path = Path(runtime.cwd, inputs.out_file)
        packed = BytesIO()  # Pillow, writing PNG to a file, does not notice when a disk is full
        figure.savefig(packed, format=path.suffix[1:], dpi=110, facecolor="white")
        write_bytes(path, packed.getvalue())
        self._results["out_file"] = str(path)
        return runtime


def geometric_mean(values: NDArray[np.floating]) -> float:
    """Return the geometric mean.

    Examples
    --------
    >>> import numpy as np
    >>> round(geometric_mean(np.array([1.0, 4.0])), 6)
    2.0
    """
    import numpy as np

    return float(np.exp(np.log(values).mean(dtype=float)))


@dataclass(frozen=True)
class Panel:
    """A column of slices: an image or a field's logarithm, the values at both ends of its scale, and the colours."""

    title: str
    data: NDArray[np.floating]
    limits: tuple[float, float]
    colours: str


def panels_of(
    entire: NDArray[np.bool_], volumes: dict[str, NDArray[np.floating]], fields: dict[str, NDArray[np.floating]]
) -> list[Panel]:
    """Return the columns, first the images and then the fields; arguments as for `compose`."""
    import numpy as np
    from scipy import ndimage

    bright = float(np.percentile(volumes[UNCORRECTED][entire], 99.5))
    # Logarithmic and symmetric about 1, so that white means no change; values outside the object do not affect it.
    fields = {method: np.log(field) for method, field in fields.items()}
    reach = max(float(np.percentile(np.abs(field[entire]), 99)) for field in fields.values())
    reach = max(0.05, float(np.ceil(20 * reach)) / 20)
    # Outside the object a field is only extrapolated, so it is left white there, as outside the grid.
    hull = ndimage.binary_fill_holes(ndimage.binary_dilation(entire, iterations=2))
    panels = [Panel(name, volume, (0.0, bright), "gray") for name, volume in volumes.items()]
    for name, field in fields.items():
        panels.append(Panel(f"field, {name}", np.where(hull, field, 0), (-reach, reach), FIELD_COLOURS))
    return panels


def compose(
    image: SpatialImage,
    entire: NDArray[np.bool_],
    volumes: dict[str, NDArray[np.floating]],
    fields: dict[str, NDArray[np.floating]],
    tissues: dict[str, NDArray[np.bool_]],
    rows: list[dict[str, str]],
    title: str,
) -> Any:
    """Compose the figure.

    Parameters
    ----------
    image : SpatialImage
        The image, on whose grid the other arrays are.
    entire : ndarray of bool
        The foreground.
    volumes : dict of ndarray
        Images by method, first the uncorrected one, each with a mean of 1 over the foreground.
    fields : dict of ndarray
        Fields by method, each with a geometric mean of 1 there.
    tissues : dict of ndarray of bool
        Voxels of each tissue, by name.
    rows : list of dict
        Rows of the table.
    title : str

    Returns
    -------
    matplotlib Figure
    """
    import nibabel as nib
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
    from scipy import ndimage

    def solid(data: NDArray[Any]) -> SpatialImage:
        return nib.Nifti1Image(np.asarray(data, np.float32).reshape((*data.shape, 1)[:3]), image.affine)

    panels = panels_of(entire, volumes, fields)
    where = np.any(list(tissues.values()), axis=0) if tissues else entire
    centre = nib.affines.apply_affine(image.affine, (*ndimage.center_of_mass(where), 0.0)[:3])
    planes = planes_of(solid(entire))

    # nilearn positions its own axes, so the layout is computed here: rows from the top, in inches.
    bar_width = 1.0  # of the colour bar with its label
    width, side, title_height, gap = 3.1 * len(panels) + bar_width, 3.1, 0.9, 0.75
    pictures = side * len(planes)
    histograms = 2.4 if tissues else 0.0
    table = 0.36 * (len(volumes) + 2) if rows else 0.0
    height = title_height + pictures + sum(part + gap for part in (histograms, table) if part) + 0.1
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=15, y=1 - 0.2 / height)

    def rows_of(top: float, size: float, **margins: float) -> dict[str, float]:
        return {"top": 1 - top / height, "bottom": 1 - (top + size) / height, **margins}

    right = 1 - bar_width / width
    grid = figure.add_gridspec(
        len(planes), len(panels), **rows_of(title_height, pictures, left=0.005, right=right), wspace=0.02, hspace=0.02
    ).subplots(squeeze=False)
    for column, panel in enumerate(panels):
        grid[0, column].set_title(panel.title, fontsize=14)
        shown = solid(panel.data)
        for row, plane in enumerate(planes):
            draw_slice(grid[row, column], shown, plane, centre, panel.limits, panel.colours)
    bar = figure.add_axes(
        (right + 0.12 / width, 1 - (title_height + 0.75 * pictures) / height, 0.15 / width, 0.5 * pictures / height)
    )
    scale = ScalarMappable(Normalize(*panels[-1].limits), panels[-1].colours)
    figure.colorbar(scale, cax=bar, label="field", format=lambda log, _: f"{np.exp(log):.2g}")
    top = title_height + pictures + gap * 0.7
    if tissues:
        spec = figure.add_gridspec(1, len(tissues), **rows_of(top, histograms, left=0.04, right=0.98), wspace=0.12)
        axes = spec.subplots(squeeze=False)[0]
        for i, (name, region) in enumerate(tissues.items()):
            draw_histograms(axes[i], name, volumes, region, legend=i == 0)
        top += histograms + gap
    if rows:
        draw_table(figure.add_gridspec(1, 1, **rows_of(top, table, left=0.08, right=0.98)).subplots(), rows)
    return figure


COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
"""Colours of Okabe and Ito (2008), suitable for colour-blind readers; the first is for the image before correction."""
DASHES = ("--", "-", "-.", ":", (0, (5, 1)), (0, (1, 1)))
"""Line styles of the methods, so that they do not differ in colour only."""
FIELD_COLOURS = "PuOr_r"
"""Purple where the field is dark, white where it is 1, orange where it is bright."""


def planes_of(image: SpatialImage) -> list[str]:
    """Return the planes (in nilearn's notation) in which an image can be cut: all three, or that of its only slice.

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
    """Draw the slice of an image in a plane through a point (mm), with given limits of the scale."""
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
        black_bg=colours != FIELD_COLOURS,
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
        Name of the tissue.
    volumes : dict of ndarray
        Images by method, each with a mean of 1 over the entire image.
    region : ndarray of bool
        Voxels of the tissue.
    legend : bool
        Whether to draw a legend.
    """
    import numpy as np
    from scipy import ndimage

    ends = [np.percentile(volume[region], (0.5, 99.5)) for volume in volumes.values()]
    edges = np.linspace(min(low for low, _ in ends), max(high for _, high in ends), 81)
    for (method, volume), colour, dash in zip(volumes.items(), COLOURS, DASHES, strict=False):
        heights, _ = np.histogram(volume[region], edges, density=True)
        # A scan's whole numbers and the bins make a comb-like pattern; a blur of one and a half bins removes it.
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
    """Draw the metrics as a table with a row per method.

    Parameters
    ----------
    axes : matplotlib axes
    rows : list of dict
        Rows as written by `InhomogeneityMetrics`.
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
    r"""Select the main metrics for the table in the figure.

    Examples
    --------
    >>> row = {"method": "GetNet", "region": "WM", "cv_noise_controlled": "0.02", "field_p95_p5": "1.3", "seconds": "2"}
    >>> tabulate([row])
    (['CV, noise\ncontrolled, WM', 'field\np95/p5', 'seconds'], [['GetNet', '2.0 %', '1.30', '2.0']])
    """
    by = {(row["method"], row["region"]): row for row in rows}
    methods = list(dict.fromkeys(row["method"] for row in rows))
    regions = list(dict.fromkeys(row["region"] for row in rows))
    tissues = [r for r in regions if r not in (ENTIRE, "GM+WM")]
    first = regions[0]
    others = methods[1:]

    def percent(text: str) -> str:
        return f"{100 * float(text):.1f} %"

    wanted = [(f"CV, noise\ncontrolled, {tissue}", tissue, "cv_noise_controlled", percent) for tissue in tissues]
    wanted += [("CJV, noise\ncontrolled", "GM+WM", "cjv_noise_controlled", percent)]
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
