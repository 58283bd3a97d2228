from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from getnet_bids.interfaces import ComparisonFigure
from getnet_bids.interfaces.figure import COLOURS, tabulate
from tests.phantoms import flat as phantom

COLUMNS = ["method", "region", "cv_noise_controlled", "cjv_noise_controlled", "relative_mae", "field_p95_p5", "seconds"]


@pytest.fixture
def files(tmp_path):
    """Return the shaded phantom, two corrections, their fields and a tissue as files, in other axes than usual."""
    shaded, field = phantom.head(strength=0.2), phantom.field(0.2)
    arrays = {
        "input": shaded,
        "one": shaded / field,
        "two": 7 * shaded,
        "one_field": field,
        "two_field": np.full_like(field, 1 / 7),
        "WM": np.isclose(phantom.head(noise=0.0), 1.0).astype(np.float32),
    }
    for name, array in arrays.items():
        image = nib.Nifti1Image(array, np.diag([3.0, 3.0, 3.0, 1.0]))
        image.as_reoriented(nib.orientations.axcodes2ornt("PIL")).to_filename(tmp_path / f"{name}.nii.gz")
    return {name: str(tmp_path / f"{name}.nii.gz") for name in arrays}


def draw(files, **inputs):
    return (
        ComparisonFigure(
            input_image=files["input"],
            methods=["one", "two"],
            corrected_images=[files["one"], files["two"]],
            bias_images=[files["one_field"], files["two_field"]],
            **inputs,
        )
        .run()
        .outputs.out_file
    )


def pixels(path):
    from matplotlib.image import imread

    return imread(path)[..., :3]


def test_the_figure_shows_images_of_any_scale_alike(folder, files, tmp_path):
    table = tmp_path / "metrics.tsv"
    lines = ["input WM 0.1 n/a n/a n/a n/a", "one WM 0.02 n/a n/a 1.5 2", "two WM 0.1 n/a n/a 1 30"]
    table.write_text("\n".join("\t".join(line) for line in (COLUMNS, *(line.split() for line in lines))) + "\n")
    path = draw(files, tissue_maps=[files["WM"]], tissue_names=["WM"], metrics_tsv=str(table))
    assert path == str(folder / "comparison.png")
    shown = pixels(path)
    height, width, _ = shown.shape
    assert width > 1500
    assert height > 1200
    assert (shown[:, -2:] == 1).all()  # the colour bar's label is whole
    # `two` is the input times seven: column by column the same picture.
    columns = np.array_split(shown[130 : height // 2, : int(width * (1 - 1.0 * 110 / width))], 5, axis=1)
    same = min(columns[0].shape[1], columns[2].shape[1]) - 4
    difference = np.abs(columns[0][:, 2:same] - columns[2][:, 2:same]).mean()
    other = np.abs(columns[0][:, 2:same] - columns[1][:, 2:same]).mean()
    assert difference < 0.3 * other


@pytest.mark.parametrize("ending", ["svg", "pdf"])
def test_other_formats_without_tissues(folder, files, ending):
    path = draw(files, out_file=f"a.{ending}", title="A title")
    with open(path, "rb") as file:
        assert {"svg": b"<svg", "pdf": b"%PDF"}[ending] in file.read(2000)


@pytest.mark.parametrize("shape", [(60, 72), (60, 72, 1)])
def test_a_slice(folder, tmp_path, shape):
    values = phantom.head(strength=0.2)[:, :, 28].reshape(shape)
    for name, array in (("input", values), ("one", values), ("one_field", np.ones_like(values))):
        nib.Nifti1Image(array, np.eye(4)).to_filename(tmp_path / f"{name}.nii")
    path = (
        ComparisonFigure(
            input_image=str(tmp_path / "input.nii"),
            methods=["one"],
            corrected_images=[str(tmp_path / "one.nii")],
            bias_images=[str(tmp_path / "one_field.nii")],
        )
        .run()
        .outputs.out_file
    )
    assert pixels(path).std() > 0.1


def test_the_table_says_difference_where_no_truth_is_known():
    rows = [
        {"method": m, "region": "entire image", "relative_mae": "n/a", "disagreement_with_N4": d, "seconds": s}
        for m, d, s in (("input", "0.2", "n/a"), ("GetNet", "0.01", "2.5"), ("N4", "n/a", "40"))
    ]
    columns, cells = tabulate(rows)
    assert columns == ["differs from\nN4", "seconds"]
    assert cells == [["input", "20.0 %", ""], ["GetNet", "1.0 %", "2.5"], ["N4", "", "40.0"]]
    for row in rows:
        row["relative_mae"] = "0.05"
    assert tabulate(rows)[0] == ["error\nentire image", "seconds"]


def test_colours_differ_in_lightness_too():
    def lightness(colour):
        red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2

    first = [lightness(colour) for colour in COLOURS[:3]]
    assert min(abs(a - b) for i, a in enumerate(first) for b in first[:i]) > 0.05
