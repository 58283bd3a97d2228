from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from nipype.interfaces.base import isdefined

from getnet_bids.core import metrics
from getnet_bids.errors import GetNetError
from getnet_bids.interfaces import ComparisonFigure, InhomogeneityMetrics
from tests.datasets import read_table
from tests.phantoms import flat as phantom


@pytest.fixture
def files(tmp_path):
    """Return the phantom as files: shaded, two corrections (one perfect but for its scale), fields, tissues, truth."""
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    clean, shaded, field = phantom.head(), phantom.head(strength=0.2), phantom.field(0.2)
    level = phantom.head(noise=0.0)
    arrays = {
        "input": shaded,
        "perfect": 5 * shaded / field,
        "half": shaded / np.sqrt(field),
        "perfect_field": field / 5,
        "half_field": np.sqrt(field),
        "original": clean,
        "GM": np.isclose(level, 0.6),
        "WM": np.isclose(level, 1.0),
    }
    paths = {}
    for name, array in arrays.items():
        paths[name] = str(tmp_path / f"{name}.nii.gz")
        nib.Nifti1Image(array.astype(np.float32), affine).to_filename(paths[name])
    return paths


def run(files, **inputs):
    outputs = (
        InhomogeneityMetrics(
            input_image=files["input"],
            methods=["perfect", "half"],
            corrected_images=[files["perfect"], files["half"]],
            bias_images=[files["perfect_field"], files["half_field"]],
            seconds=[1.5, 20.0],
            tissue_maps=[files["GM"], files["WM"]],
            tissue_names=["GM", "WM"],
            **inputs,
        )
        .run()
        .outputs
    )
    return outputs, {(row["method"], row["region"]): row for row in read_table(outputs.out_tsv)}


def test_figures_against_a_direct_computation(folder, files):
    _, rows = run(files, original_image=files["original"])
    volume = {n: np.asarray(nib.load(files[n]).dataobj, dtype=np.float64) for n in files}
    gray, white = volume["GM"] > 0.9, volume["WM"] > 0.9
    for method, name in (("input", "input"), ("half", "half")):
        a, b = volume[name][gray], volume[name][white]
        assert float(rows[method, "GM"]["cv"]) == pytest.approx(a.std() / a.mean(), rel=1e-4)
        expected = (a.std() + b.std()) / (b.mean() - a.mean())
        assert float(rows[method, "GM+WM"]["cjv"]) == pytest.approx(expected, rel=1e-4)
    low, high = np.percentile(volume["half_field"][white], (5, 95))
    assert float(rows["half", "WM"]["field_p95_p5"]) == pytest.approx(high / low, rel=1e-4)
    assert rows["input", "WM"]["field_p95_p5"] == "n/a"
    assert rows["half", "WM"]["seconds"] == "20"
    assert int(rows["half", "WM"]["voxels"]) == white.sum()
    assert float(rows["perfect", "WM"]["disagreement_with_half"]) == pytest.approx(
        float(rows["half", "WM"]["disagreement_with_perfect"])
    )
    assert rows["half", "WM"]["disagreement_with_half"] == "n/a"


@pytest.mark.parametrize(("names", "said"), [(["a", "a"], "two methods 'a'"), (["input", "a"], "'input' stands for")])
def test_methods_that_could_not_be_told_apart_are_refused(files, folder, names, said):
    images = [files["perfect"], files["half"]]
    for interface in (InhomogeneityMetrics, ComparisonFigure):
        with pytest.raises(GetNetError, match=said):
            interface(input_image=files["input"], methods=names, corrected_images=images, bias_images=images).run()


def test_denoising_is_a_weighted_mean_over_the_tissue():
    rng = np.random.default_rng(0)
    image, where = rng.random((9, 8, 7)), rng.random((9, 8, 7)) > 0.4
    where[:2] = False
    calm = metrics.denoised(image, where, 1.2)
    at = np.argwhere(where)
    for one in at[::40]:
        distance = at - one
        near = (np.abs(distance) <= 5).all(1)  # scipy cuts its Gaussian at four standard deviations
        weight = np.exp(-0.5 * (distance**2).sum(1) / 1.2**2) * near
        assert calm[tuple(one)] == pytest.approx((weight * image[where]).sum() / weight.sum(), rel=1e-9)
    assert (calm[~where] == 0).all()
    assert (metrics.denoised(image, np.zeros_like(where)) == 0).all()


def test_white_noise_falls_to_a_twelfth():
    noise = np.random.default_rng(0).normal(1, 0.1, (40, 40, 40))
    calm = metrics.denoised(noise, np.ones(noise.shape, bool))[8:-8, 8:-8, 8:-8]
    assert calm.std() == pytest.approx(0.1 * (4 * np.pi * 1.5**2) ** -0.75, rel=0.1)


def test_disagreement_is_symmetric_and_free_of_scale():
    rng = np.random.default_rng(0)
    a, b = rng.random(100) + 1, rng.random(100) + 1
    direct = 2 * np.abs(a / a.mean() - b / b.mean()).sum() / (a / a.mean() + b / b.mean()).sum()
    assert metrics.disagreement(a, 5 * b) == pytest.approx(direct)
    assert metrics.disagreement(5 * b, a) == pytest.approx(direct)
    with pytest.raises(ValueError, match="'mean' or 'none'"):
        metrics.disagreement(a, b, scale="best")


def test_noise_is_controlled(folder, files):
    _, rows = run(files)
    # 2 % of noise on a level of 1 is all that the corrected white matter has; shading is much more than that.
    assert float(rows["perfect", "WM"]["cv"]) > 0.017
    assert float(rows["perfect", "WM"]["cv_noise_controlled"]) < 0.006
    shaded = rows["input", "WM"]
    assert float(shaded["cv_noise_controlled"]) == pytest.approx(float(shaded["cv"]), rel=0.03)
    for region, name in (("GM", "cv"), ("WM", "cv"), ("GM+WM", "cjv")):
        order = [float(rows[m, region][f"{name}_noise_controlled"]) for m in ("perfect", "half", "input")]
        assert order == sorted(order)


def test_error_against_the_original_is_free_of_scale(folder, files):
    outputs, rows = run(files, original_image=files["original"])
    errors = [float(rows[m, "WM"]["relative_mae"]) for m in ("perfect", "half", "input")]
    assert errors == sorted(errors)
    assert errors[0] < 0.01
    table = read_table(outputs.out_table)
    assert [row["method"] for row in table] == ["Gain", "perfect", "half"]
    assert list(table[0]) == ["method", "entire image", "GM", "WM", "seconds"]
    assert table[1]["WM"] == rows["perfect", "WM"]["relative_mae"]


def test_without_an_original_there_is_no_error(folder, files):
    outputs, rows = run(files)
    assert not isdefined(outputs.out_table)
    assert all(row["relative_mae"] == "n/a" for row in rows.values())


def test_every_column_is_described(folder, files):
    outputs, rows = run(files)
    with open(outputs.out_json) as file:
        assert list(json.load(file)) == list(next(iter(rows.values())))


@pytest.mark.parametrize("name", ["half", "half_field", "GM", "original"])
def test_images_in_another_place_are_refused(folder, files, name):
    image = nib.load(files[name])
    turned = image.affine @ np.diag([-1.0, 1, 1, 1])
    turned[:3, 3] += image.affine[:3, 0] * (image.shape[0] - 1)
    nib.Nifti1Image(image.get_fdata(dtype=np.float32)[::-1], turned).to_filename(files[name])
    with pytest.raises(GetNetError, match=rf"{name}\.nii\.gz: lies up to \d+\.\d voxels off the image"):
        run(files, original_image=files["original"])


def test_headers_that_cannot_be_used_are_compared_as_they_are(folder, files):
    for path in files.values():  # two axes in the same direction but for rounding
        image = nib.load(path)
        image.set_sform(np.array([[1 / 3, 1 / 3, 0, -9], [0.1, 0.1 + 1e-9, 0, 5], [0, 0, 3, 7], [0, 0, 0, 1]]), 1)
        image.set_qform(None, 0)
        image.to_filename(path)
    _, rows = run(files)
    assert int(rows["half", "WM"]["voxels"]) > 0


def test_maps_of_percentages_are_refused(folder, files):
    image = nib.load(files["WM"])
    nib.Nifti1Image(100 * image.get_fdata(dtype=np.float32), image.affine).to_filename(files["WM"])
    with pytest.raises(GetNetError, match=r"WM\.nii\.gz: holds values up to 100"):
        run(files)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_cannot_be_measured_is_not_a_number_in_the_table(folder, files):
    image = nib.load(files["half_field"])
    field = image.get_fdata(dtype=np.float32) * 0
    nib.Nifti1Image(field, image.affine).to_filename(files["half_field"])
    outputs, rows = run(files)
    assert rows["half", "WM"]["field_p95_p5"] == "n/a"
    with open(outputs.out_tsv) as file:
        assert not {"nan", "inf"} & set(file.read().split())


def test_lists_that_do_not_match_are_refused(folder, files):
    with pytest.raises(ValueError, match="bias_images has 1 entries for 2 names"):
        InhomogeneityMetrics(
            input_image=files["input"],
            methods=["perfect", "half"],
            corrected_images=[files["perfect"], files["half"]],
            bias_images=[files["half_field"]],
        ).run()
