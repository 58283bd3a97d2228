"""Many small images in one run, one in twenty of them bad: good ones are right, bad ones told of, memory stays."""

from __future__ import annotations

import shutil

import nibabel as nib
import numpy as np
import pytest

from getnet_bids.core.network import GetNet, GetNetConfig, pack_weights

from . import soak

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sixty(tmp_path_factory):
    """Return a folder of sixty images and their results by a small network, and what became of them."""
    folder = tmp_path_factory.mktemp("sixty")
    (folder / "quick.safetensors").write_bytes(pack_weights(GetNet(GetNetConfig((4, 4, 4, 4), (1, 1, 1, 1)))))
    return folder, soak.run(folder, 60, folder / "quick.safetensors")


def test_sixty_images(sixty):
    _, done = sixty
    assert done.wrong == []
    assert (done.good, done.bad, done.code) == (57, 3, 1)


@pytest.mark.slow
def test_two_thousand_images(tmp_path):
    done = soak.run(tmp_path, 2000)
    assert done.wrong == []
    assert (done.good, done.bad, done.code) == (1900, 100, 1)
    assert done.slope(1) < 5  # MB in 1,000 images
    assert abs(done.slope(2)) < 0.5
    assert max(handles for *_, handles in done.samples) < 50


@pytest.mark.parametrize("growth", [0, 8])
def test_the_growth_of_memory_that_rises_and_falls(growth):
    rng = np.random.default_rng(0)
    done = np.arange(2, 2000, 2)
    memory = 430 + 47 * (rng.random(len(done)) < np.linspace(0.2, 0.8, len(done))) + growth * done / 1000
    kept = soak.Soak(1900, 100, samples=list(zip(done, memory, 6 + 0 * done, strict=True)))
    assert kept.slope(1) == pytest.approx(growth, abs=1)
    assert kept.slope(2) == pytest.approx(0, abs=1e-6)


def swap(results):
    for name in ("corrected", "field"):
        paths = [one[name] for one in results]
        paths[0].rename(paths[0].with_suffix(".aside"))
        paths[1].rename(paths[0])
        paths[0].with_suffix(".aside").rename(paths[1])


def rescale(results):
    """Change the bits, but not the product."""
    for name, factor in (("corrected", 2), ("field", 0.5)):
        image = nib.load(results[0][name])
        data = image.get_fdata(dtype=np.float32) * np.float32(factor)
        nib.Nifti1Image(data, image.affine).to_filename(results[0][name])


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (swap, "corrected times field is not the image"),
        (rescale, "other bits than by itself"),
        (lambda results: results[0]["sidecar"].unlink(), "lacks sidecar"),
    ],
)
def test_results_that_are_wrong_are_noticed(sixty, tmp_path, spoil, found):
    folder, _ = sixty
    out = shutil.copytree(folder / "out", tmp_path / "out")
    names = [f"{soak.name_of(i)}.nii.gz" for i in (0, 2)]
    spoil([soak.results_of(out, name) for name in names])
    again = soak.Soak(2, 0)
    soak.validate(again, folder / "raw", out, names, {}, folder / "quick.safetensors")
    assert any(found in what for what in again.wrong)


def test_a_bad_image_without_a_line_is_noticed(sixty, tmp_path):
    folder, _ = sixty
    (log,) = folder.glob("out/logs/*/status.tsv")
    there = tmp_path / "out" / "logs" / "run" / "status.tsv"
    there.parent.mkdir(parents=True)
    there.write_text("".join(line for line in log.read_text().splitlines(keepends=True) if "failed" not in line))
    again = soak.Soak(0, 1)
    bad = f"{soak.name_of(10)}.nii"
    soak.validate(again, folder / "raw", tmp_path / "out", [], {bad: "truncated"}, None)
    assert f"{bad}: no line" in again.wrong
