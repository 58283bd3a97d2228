"""The comparison in one figure."""

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

from getnet_bids.columns import UNCORRECTED

from .inhomogeneity import PURE, parallel, volume_like

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
    """Draw an image before and after each correction, and the fields, on the same slices and scales.

    Below come the histogram of each tissue and the table of metrics. Every image is brought to the same mean over
    what has signal, since the scale of a field is arbitrary.

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
        from getnet_bids.images import foreground_of

        inputs = self.inputs
        parallel(inputs.methods, inputs, "corrected_images", "bias_images")
        image = images.read(inputs.input_image)
        entire = foreground_of(image, inputs.input_image)
        files = dict(zip([UNCORRECTED, *inputs.methods], [inputs.input_image, *inputs.corrected_images], strict=True))
        volumes = {method: volume_like(image, path) for method, path in files.items()}
        volumes = {method: volume / volume[entire].mean(dtype=float) for method, volume in volumes.items()}
        fields = {m: volume_like(image, path) for m, path in zip(inputs.methods, inputs.bias_images, strict=True)}
        fields = {method: field / geometric_mean(field[entire]) for method, field in fields.items()}
        tissues = {}
        if isdefined(inputs.tissue_maps):
            parallel(inputs.tissue_names, inputs, "tissue_maps")
            for name, path in zip(inputs.tissue_names, inputs.tissue_maps, strict=True):
                region = volume_like(image, path) > PURE
                if region.any():
                    tissues[name] = region
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
    """A column of slices: what is drawn, the values at both ends of its scale, and the colours."""

    title: str
    data: NDArray[np.floating]
    limits: tuple[float, float]
    colours: str


def panels_of(
    entire: NDArray[np.bool_], volumes: dict[str, NDArray[np.floating]], fields: dict[str, NDArray[np.floating]]
) -> list[Panel]:
    """Return the columns, images first, fields last; arguments as of `compose`."""
    import numpy as np
    from scipy import ndimage

    from .drawing import FIELD_COLOURS

    bright = float(np.percentile(volumes[UNCORRECTED][entire], 99.5))
    # Symmetric about 1, so that white is no change; what lies outside of the object does not stretch it.
    reach = max(float(np.percentile(np.abs(field[entire] - 1), 99)) for field in fields.values())
    reach = max(0.05, float(np.ceil(20 * reach)) / 20)
    # Where there is nothing, a field is extrapolated and says nothing: left white.
    hull = ndimage.binary_fill_holes(ndimage.binary_dilation(entire, iterations=2))
    panels = [Panel(name, volume, (0.0, bright), "gray") for name, volume in volumes.items()]
    for name, field in fields.items():
        panels.append(Panel(f"field, {name}", np.where(hull, field, 1), (1 - reach, 1 + reach), FIELD_COLOURS))
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
        Whose grid all are on.
    entire : ndarray of bool
        What has signal.
    volumes : dict of ndarray
        By method, the uncorrected first, each of mean 1 over what has signal.
    fields : dict of ndarray
        By method, each of geometric mean 1 there.
    tissues : dict of ndarray of bool
        By name.
    rows : list of dict
        The table's.
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

    from .drawing import draw_histograms, draw_slice, draw_table, planes_of

    def solid(data: NDArray[Any]) -> SpatialImage:
        return nib.Nifti1Image(np.asarray(data, np.float32).reshape((*data.shape, 1)[:3]), image.affine)

    panels = panels_of(entire, volumes, fields)
    where = np.any(list(tissues.values()), axis=0) if tissues else entire
    centre = nib.affines.apply_affine(image.affine, (*ndimage.center_of_mass(where), 0.0)[:3])
    planes = planes_of(solid(entire))

    # nilearn places its axes by itself, so the layout is by hand: rows from the top, in inches.
    width, side, title_height, gap = 3.1 * len(panels) + 0.8, 3.1, 0.9, 0.75
    pictures = side * len(planes)
    histograms = 2.4 if tissues else 0.0
    table = 0.36 * (len(volumes) + 2) if rows else 0.0
    height = title_height + pictures + sum(part + gap for part in (histograms, table) if part) + 0.1
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=15, y=1 - 0.2 / height)

    def rows_of(top: float, size: float, **margins: float) -> dict[str, float]:
        return {"top": 1 - top / height, "bottom": 1 - (top + size) / height, **margins}

    right = 1 - 0.8 / width
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
    figure.colorbar(ScalarMappable(Normalize(*panels[-1].limits), panels[-1].colours), cax=bar, label="field")
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
