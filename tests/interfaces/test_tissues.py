from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile

import nibabel as nib
import numpy as np
import pytest
from nipype.interfaces.base import isdefined
from scipy import ndimage

from getnet_bids.errors import GetNetError
from getnet_bids.interfaces import TissueSegmentation, templates
from getnet_bids.interfaces.templates import load_template
from tests.datasets import data
from tests.phantoms import flat as phantom


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """Return a head made of the bundled template: skull and scalp around it, turned, shifted, shaded, noisy."""
    template = load_template()
    inside = template.brain.get_fdata() > 0.5
    away = ndimage.distance_transform_edt(~inside, sampling=2.0)
    volume = np.where(inside, template.image.get_fdata(), 0) / template.image.get_fdata().max()
    volume[(away > 6) & (away < 12)] = 0.9
    gain = np.exp(0.3 * np.linspace(-1, 1, inside.shape[0]))[:, None, None].astype(np.float32)
    volume = np.abs(volume * gain + np.random.default_rng(0).normal(0, 0.02, inside.shape))
    turn = nib.eulerangles.euler2mat(0.1, -0.15, 0.1) @ np.diag([1.05, 0.95, 1.0])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn, (20, -30, 15)
    affine = affine @ template.image.affine
    folder = tmp_path_factory.mktemp("head")
    # Every other voxel: registration and Atropos take seconds.
    step = (slice(None, None, 2),) * 3
    affine = affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    nib.Nifti1Image(volume[step].astype(np.float32), affine).to_filename(folder / "T1w.nii.gz")
    nib.Nifti1Image(np.broadcast_to(gain, inside.shape)[step], affine).to_filename(folder / "field.nii.gz")
    truth = np.stack([prior.get_fdata()[step] for prior in template.priors])
    return folder, inside[step], truth


@pytest.mark.slow
@pytest.mark.usefixtures("antspyx")
def test_a_head_is_segmented_by_template_and_atropos(folder, head, monkeypatch):
    source, inside, truth = head
    monkeypatch.setattr(templates, "REGISTRATION_RESOLUTION", 4.0)
    outputs = (
        TissueSegmentation(
            input_image=str(source / "T1w.nii.gz"), bias_images=[str(source / "field.nii.gz")], template="bundled"
        )
        .run()
        .outputs
    )
    assert outputs.method == "atropos"
    assert not isdefined(outputs.note)
    assert outputs.tissue_names == ["CSF", "GM", "WM"]
    assert dice(data(outputs.brain_mask) > 0, inside) > 0.93
    labels = data(outputs.dseg)
    expected = np.where(inside, truth.argmax(0) + 1, 0)
    for index, tissue in ((1, 2), (2, 3)):
        assert dice(labels == index, expected == tissue) > 0.85
    maps = np.stack([data(path) for path in outputs.tissue_maps])
    assert maps.min() >= 0
    np.testing.assert_allclose(maps.sum(0)[data(outputs.brain_mask) > 0], 1, atol=1e-3)
    with open(outputs.dseg_tsv) as file:
        assert file.read() == "index\tname\n1\tGM\n2\tWM\n3\tCSF\n"


@pytest.mark.usefixtures("antspyx")
def test_what_is_no_head_gets_classes(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    # A tenth of a head's size.
    affine = np.diag([0.3, 0.3, 0.3, 1.0])
    nib.Nifti1Image(phantom.head(), affine).to_filename(tmp_path / "mouse_T2w.nii.gz")
    outputs = TissueSegmentation(input_image=str(tmp_path / "mouse_T2w.nii.gz"), n_classes=2).run().outputs
    assert outputs.method == "classes"
    assert outputs.tissue_names == ["class 1", "class 2"]
    assert re.search(r"no.* human brain, since it measures 1\d x 2\d x 1\d mm", outputs.note)
    assert not isdefined(outputs.brain_mask)
    dark, bright = (phantom.head()[data(path) > 0.9].mean() for path in outputs.tissue_maps)
    assert dark < bright
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.usefixtures("antspyx")
def test_a_brain_mask_that_is_there_goes_before_the_templates(folder, head, monkeypatch):
    source, inside, truth = head
    # Where the template is laid is tested above, and takes long: here it is laid rightly, but poorly fitting.
    priors = tuple(np.where(inside, prior, tissue == 0).astype(np.float32) for tissue, prior in enumerate(truth))
    monkeypatch.setattr(
        templates, "register_template", lambda *_: templates.TemplateRegistration(inside, priors, 1.0, 0.2)
    )
    image = nib.load(source / "T1w.nii.gz")
    smaller = ndimage.binary_erosion(inside, iterations=2)
    given = nib.Nifti1Image(smaller.astype(np.uint8), image.affine).as_reoriented(nib.orientations.axcodes2ornt("PIR"))
    given.to_filename(folder / "mask.nii.gz")
    segmentation = TissueSegmentation(
        input_image=str(source / "T1w.nii.gz"), method="atropos", brain_mask=str(folder / "mask.nii.gz")
    )
    outputs = segmentation.run().outputs
    np.testing.assert_array_equal(data(outputs.brain_mask) > 0, smaller)
    assert outputs.note.startswith("segmented as a human brain as asked, though the template fits poorly")
    nib.Nifti1Image(np.zeros(inside.shape, np.uint8), image.affine).to_filename(folder / "mask.nii.gz")
    with pytest.raises(GetNetError, match="has no voxel inside the image"):
        segmentation.run()


def test_a_slice_is_no_brain_even_if_asked(folder, tmp_path):
    nib.Nifti1Image(phantom.head()[:, :, 28:29], np.diag([3.0, 3, 3, 1])).to_filename(tmp_path / "a.nii")
    with pytest.raises(ValueError, match="cannot be registered to a single slice"):
        TissueSegmentation(input_image=str(tmp_path / "a.nii"), method="atropos").run()


@pytest.mark.usefixtures("antspyx")
@pytest.mark.parametrize("shape", [(60, 72), (60, 72, 1)])
def test_a_slice_gets_classes(folder, tmp_path, shape):
    nib.Nifti1Image(phantom.head()[:, :, 28].reshape(shape), np.diag([3.0, 3, 3, 1])).to_filename(tmp_path / "a.nii")
    outputs = TissueSegmentation(input_image=str(tmp_path / "a.nii")).run().outputs
    assert outputs.method == "classes"
    assert data(outputs.dseg).shape == shape
    assert set(np.unique(data(outputs.dseg))) == {0, 1, 2, 3}


@pytest.fixture
def labelled(tmp_path):
    """Return a function that writes an image and labels of GM 1, WM 2, CSF 3, or others, on a turned grid."""
    level = phantom.head(noise=0.0)
    labels = 1 * np.isclose(level, 0.6) + 2 * np.isclose(level, 1.0) + 3 * np.isclose(level, 0.25)
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    nib.Nifti1Image(phantom.head(), affine).to_filename(tmp_path / "image.nii.gz")

    def write(name, values):
        turned = nib.Nifti1Image(np.asarray(values)[labels].astype(np.int32), affine).as_reoriented(
            nib.orientations.axcodes2ornt("PIR")
        )
        turned.to_filename(tmp_path / name)
        return str(tmp_path / "image.nii.gz"), str(tmp_path / name)

    return write, labels


@pytest.mark.parametrize("values", [[0, 1, 2, 3], [0, 3, 41, 14], [0, 1005, 2, 24]])
def test_a_dseg_that_is_there_is_taken(folder, labelled, values):
    write, labels = labelled
    image, dseg = write("sub-01_dseg.nii.gz", values)
    outputs = TissueSegmentation(input_image=image, dseg=dseg).run().outputs
    assert outputs.method == "derivatives"
    assert outputs.tissue_names == ["CSF", "GM", "WM"]
    np.testing.assert_array_equal(data(outputs.dseg), labels)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_beside_the_dseg_tells_what_the_labels_are(folder, labelled, tmp_path, encoding):
    write, labels = labelled
    image, dseg = write("sub-01_dseg.nii.gz", [0, 2, 1, 3])
    table = "index\tname\n1\tWhite matter\n2\tGray matter\n3\tCSF\nn/a\tBone\n"
    (tmp_path / "sub-01_dseg.tsv").write_text(table, encoding=encoding)
    outputs = TissueSegmentation(input_image=image, dseg=dseg).run().outputs
    np.testing.assert_array_equal(data(outputs.dseg), labels)


def test_a_table_without_numbers_of_labels_is_refused(folder, labelled, tmp_path):
    write, _ = labelled
    image, dseg = write("sub-01_dseg.nii.gz", [0, 1, 2, 3])
    (tmp_path / "sub-01_dseg.tsv").write_text("label\tname\n1\tWhite matter\n")
    with pytest.raises(GetNetError, match=r"sub-01_dseg\.tsv: names no CSF, GM or WM"):
        TissueSegmentation(input_image=image, dseg=dseg).run()


def test_a_table_can_be_given_and_is_then_hashed(folder, labelled, tmp_path):
    write, labels = labelled
    image, dseg = write("sub-01_dseg.nii.gz", [0, 2, 1, 3])
    table = tmp_path / "other.tsv"
    table.write_text("index\tname\n1\tWhite matter\n2\tGray matter\n3\tCSF\n")
    segmentation = TissueSegmentation(input_image=image, dseg=dseg, dseg_table=str(table))
    before = segmentation.inputs.get_hashval(hash_method="content")[1]
    np.testing.assert_array_equal(data(segmentation.run().outputs.dseg), labels)
    table.write_text("index\tname\n1\tGray matter\n2\tWhite matter\n3\tCSF\n")
    assert segmentation.inputs.get_hashval(hash_method="content")[1] != before


def test_bone_and_soft_tissue_do_not_change_what_other_labels_are(folder, labelled, tmp_path):
    write, labels = labelled
    image, dseg = write("sub-01_dseg.nii.gz", [5, 1, 2, 3])
    np.testing.assert_array_equal(data(TissueSegmentation(input_image=image, dseg=dseg).run().outputs.dseg), labels)


def test_probabilities_that_are_there_are_taken(folder, labelled):
    write, labels = labelled
    maps = [write(f"sub-01_label-{t}_probseg.nii.gz", np.arange(4) == i) for t, i in (("GM", 1), ("WM", 2))]
    outputs = TissueSegmentation(input_image=maps[0][0], probsegs=[path for _, path in maps]).run().outputs
    assert outputs.tissue_names == ["GM", "WM"]
    np.testing.assert_allclose(data(outputs.tissue_maps[1]), labels == 2, atol=1e-6)


def test_labels_cover_the_same_voxels_as_the_mask(folder, labelled, tmp_path):
    write, _ = labelled
    paths = []
    for index, tissue in enumerate(("GM", "WM", "CSF"), 1):
        image, path = write(f"label-{tissue}_probseg.nii.gz", np.arange(4) == index)
        shown = nib.load(path)
        smooth = ndimage.gaussian_filter(shown.get_fdata(dtype=np.float32), 1.0)
        nib.Nifti1Image(smooth, shown.affine).to_filename(tmp_path / f"smooth_label-{tissue}_probseg.nii.gz")
        paths.append(str(tmp_path / f"smooth_label-{tissue}_probseg.nii.gz"))
    outputs = TissueSegmentation(input_image=image, probsegs=paths).run().outputs
    np.testing.assert_array_equal(data(outputs.dseg) > 0, data(outputs.brain_mask) > 0)


def test_maps_that_are_no_probabilities_are_refused(folder, labelled, tmp_path):
    write, _ = labelled
    image, percent = write("sub-01_label-GM_probseg.nii.gz", [0, 60, 0, 0])
    with pytest.raises(GetNetError, match=r"label-GM_probseg\.nii\.gz: holds values up to 60, but probabilities are"):
        TissueSegmentation(input_image=image, probsegs=[percent]).run()
    _, unnamed = write("pve_1.nii.gz", [0, 1, 0, 0])
    with pytest.raises(GetNetError, match=r"pve_1\.nii\.gz: .* must contain label-CSF_, label-GM_ or label-WM_"):
        TissueSegmentation(input_image=image, probsegs=[unnamed]).run()


def test_maps_of_several_volumes_are_refused(folder, labelled, tmp_path):
    write, labels = labelled
    image, _ = write("sub-01_dseg.nii.gz", [0, 1, 2, 3])
    for inputs in ({"dseg": "four_dseg.nii.gz"}, {"probsegs": ["label-GM_probseg.nii.gz"]}):
        name = inputs.get("dseg") or inputs["probsegs"][0]
        nib.Nifti1Image(np.stack([labels == 1] * 2, 3).astype(np.uint8), np.eye(4)).to_filename(folder / name)
        with pytest.raises(GetNetError, match="has 2 volumes; give a file of one"):
            TissueSegmentation(input_image=image, **inputs).run()
    nib.Nifti1Image((labels == 1).astype(np.uint8)[..., None], np.diag([3.0, 3, 3.1, 1])).to_filename("one_dseg.nii.gz")
    assert TissueSegmentation(input_image=image, dseg="one_dseg.nii.gz").run().outputs.tissue_names == ["GM"]


def test_labels_of_nothing_known_are_refused(folder, labelled):
    write, _ = labelled
    image, dseg = write("sub-01_dseg.nii.gz", [0, 99, 99, 99])
    with pytest.raises(GetNetError, match=r"sub-01_dseg\.nii\.gz: holds no CSF, GM or WM"):
        TissueSegmentation(input_image=image, dseg=dseg).run()
    with pytest.raises(ValueError, match="give dseg or probsegs"):
        TissueSegmentation(input_image=image, method="derivatives").run()


@pytest.mark.usefixtures("antspyx")
@pytest.mark.slow
def test_templates_of_templateflow_by_name(tmp_path):
    """TemplateFlow looks at its folder when it is imported: in a process of its own, with files of the bundled one."""
    pytest.importorskip("templateflow")
    code = """
import sys
from getnet_bids.interfaces.templates import load_template
mine = load_template()
from templateflow import conf
folder = conf.TF_HOME / "tpl-MNI152NLin2009cAsym"
names = ["T1w", "desc-brain_mask", "label-CSF_probseg", "label-GM_probseg", "label-WM_probseg"]
try:
    load_template("MNI152NLin2009cAsym")
except FileNotFoundError as error:
    assert "TEMPLATEFLOW_HOME" in str(error), error
else:
    sys.exit("an empty template was taken")
for name, image in zip(names, [mine.image, mine.brain, *mine.priors]):
    image.to_filename(folder / f"tpl-MNI152NLin2009cAsym_res-02_{name}.nii.gz")
theirs = load_template("MNI152NLin2009cAsym")
assert abs(theirs.priors[2].get_fdata() - mine.priors[2].get_fdata()).max() < 1e-6
try:
    load_template("Nope")
except ValueError as error:
    assert "MNI152NLin2009cAsym" in str(error)
"""
    # A proxy that is not there: no network, whatever this machine has.
    off = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    environment = {**os.environ, **off, "TEMPLATEFLOW_HOME": str(tmp_path / "templateflow")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1500:]
