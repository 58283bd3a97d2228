"""Series and sets through the whole program: one field for all of their volumes and members."""

from __future__ import annotations

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from getnet_bids.cli.app import main
from tests.conftest import AFFINE
from tests.datasets import issues, status

DWI, BOLD, ASL = "sub-1/dwi/sub-1_dwi", "sub-1/func/sub-1_task-x_bold", "sub-1/perf/sub-1_asl"
WEIGHTS = {
    DWI: [1, 0.3, 0.98, 0.1],
    BOLD: [1, 1.01, 0.99],
    "sub-1/func/sub-1_task-x_sbref": None,
    ASL: [0.4, 0.41],
    "sub-1/perf/sub-1_m0scan": None,
    "sub-1/fmap/sub-1_dir-AP_epi": None,
    "sub-1/anat/sub-1_T1w": None,
    "sub-1/anat/sub-1_echo-1_MEGRE": None,
    "sub-1/anat/sub-1_echo-2_MEGRE": None,
    "sub-1/anat/sub-1_inv-1_MP2RAGE": None,
    "sub-1/anat/sub-1_inv-2_MP2RAGE": None,
}
"""The volumes' brightness of each series."""
SAME = 1e-5
"""Largest relative change of a ratio: that of float32, a few times over."""


@pytest.fixture(scope="module")
def raw(tmp_path_factory, head):
    """Make a dataset with series and sets of all kinds; no two images or volumes are in proportion."""
    root = tmp_path_factory.mktemp("series") / "raw"
    rng = np.random.default_rng(5)
    for stem, weights in WEIGHTS.items():
        volumes = [head * w * rng.uniform(0.8, 1.2, head.shape) for w in (weights or [rng.uniform(0.5, 1)])]
        voxels = np.stack(volumes, 3) if weights else volumes[0]
        image = nib.Nifti1Image(voxels.astype(np.float32), AFFINE)
        image.header.set_xyzt_units("mm", "sec")
        if weights:
            image.header["pixdim"][4] = 2
        path = root / f"{stem}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.to_filename(path)
    about = {"Name": "Test", "BIDSVersion": "1.10.0", "DatasetType": "raw", "Authors": ["A", "B"]}
    (root / "dataset_description.json").write_text(json.dumps(about))
    (root / "README").write_text("A dataset for a test.\n")
    (root / "dwi.bval").write_text("0 1000 5 2000\n")
    (root / f"{DWI}.bvec").write_text("0 1 0 0\n0 0 0 1\n0 0 1 0\n")
    (root / "sub-1/perf/sub-1_aslcontext.tsv").write_text("volume_type\ncontrol\nlabel\n")
    (root / "task-x_bold.json").write_text('{"RepetitionTime": 2, "TaskName": "x"}')
    fmap = {"TotalReadoutTime": 0.05, "PhaseEncodingDirection": "j", "IntendedFor": "bids::sub-1/func/x.nii.gz"}
    (root / "sub-1/fmap/sub-1_dir-AP_epi.json").write_text(json.dumps(fmap))
    return root


@pytest.fixture(scope="module")
def finished(raw):
    """Correct all of it."""
    out = raw.parent / "out"
    assert app(raw, out, "-m", "all") == 0
    return out


def app(raw, out, *options):
    return main([str(part) for part in (raw, out, "participant", "--device", "cpu", *options)])


def statuses(out, column="status"):
    return {source: row[column] for source, row in status(out).items()}


def reasons(out):
    return statuses(out, "reason")


def data(path):
    return nib.load(path).get_fdata()


def output(out, stem, suffix=None, ending=".nii.gz"):
    head, _, own = stem.rpartition("_")
    return out / f"{head}_desc-preproc_{suffix or own}{ending}"


def field(out, stem):
    head, _, own = stem.rpartition("_")
    return out / f"{head}_mod-{own}_desc-preproc_biasfield.nii.gz"


def test_all_images_are_done(finished):
    assert statuses(finished) == {f"{stem}.nii.gz": "done" for stem in WEIGHTS}


@pytest.mark.parametrize("stem", [DWI, BOLD])
def test_all_volumes_are_divided_by_one_field(raw, finished, stem):
    before, after, gain = data(raw / f"{stem}.nii.gz"), data(output(finished, stem)), data(field(finished, stem))
    assert gain.shape == before.shape[:3]
    np.testing.assert_allclose(after * gain[..., None], before, rtol=SAME)
    np.testing.assert_allclose(after[..., 1:] / after[..., :1], before[..., 1:] / before[..., :1], rtol=SAME)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sub-1/anat/sub-1_echo-1_MEGRE", "sub-1/anat/sub-1_echo-2_MEGRE"),
        ("sub-1/anat/sub-1_inv-1_MP2RAGE", "sub-1/anat/sub-1_inv-2_MP2RAGE"),
        (ASL, "sub-1/perf/sub-1_m0scan"),
    ],
)
def test_ratios_within_a_set_are_kept(raw, finished, one, other):
    def ratio(first, second):
        first, second = data(first), data(second)
        return first / (second[..., None] if first.ndim > second.ndim else second)

    before = ratio(raw / f"{one}.nii.gz", raw / f"{other}.nii.gz")
    after = ratio(output(finished, one), output(finished, other))
    np.testing.assert_allclose(after, before, rtol=SAME)
    assert not np.allclose(data(output(finished, other)), data(raw / f"{other}.nii.gz"), rtol=0.01)


def test_the_field_of_a_diffusion_series_is_that_of_its_b0_volumes(raw, finished, tmp_path):
    from getnet_bids import correct

    voxels = data(raw / f"{DWI}.nii.gz").astype(np.float32)
    alone = correct(nib.Nifti1Image(voxels[..., [0, 2]], AFFINE), device="cpu")
    np.testing.assert_allclose(data(field(finished, DWI)), alone.field.get_fdata(), rtol=SAME)
    made = json.loads(output(finished, DWI, ending=".json").read_text())["GetNet"]
    assert made["Reference"]["Method"] == "mean of the 2 volumes with b up to 50 s/mm2"
    assert made["Volumes"] == [0, 2]
    assert made["Reference"]["Files"].keys() == {"dwi.bval", f"{DWI}.bvec"}


def test_what_belongs_to_a_series_is_copied_beside_it(raw, finished):
    assert output(finished, DWI, ending=".bval").read_bytes() == (raw / "dwi.bval").read_bytes()
    assert output(finished, DWI, ending=".bvec").read_bytes() == (raw / f"{DWI}.bvec").read_bytes()
    context = "sub-1/perf/sub-1_aslcontext.tsv"
    assert output(finished, ASL, "aslcontext", ".tsv").read_bytes() == (raw / context).read_bytes()
    assert json.loads(output(finished, BOLD, ending=".json").read_text())["RepetitionTime"] == 2
    epi = json.loads(output(finished, "sub-1/fmap/sub-1_dir-AP_epi", ending=".json").read_text())
    assert epi["TotalReadoutTime"] == 0.05
    assert "IntendedFor" not in epi


def test_sidecars_name_what_the_field_is_from(finished):
    content = json.loads(output(finished, "sub-1/anat/sub-1_inv-1_MP2RAGE", ending=".json").read_text())
    sources = [f"bids:raw:sub-1/anat/sub-1_inv-{i}_MP2RAGE.nii.gz" for i in (1, 2)]
    assert content["Sources"] == sources
    about_field = json.loads((finished / "sub-1/anat/sub-1_mod-MP2RAGE_desc-preproc_biasfield.json").read_text())
    assert about_field["Sources"] == sources[1:]


def test_the_validator_has_nothing_to_say(finished):
    assert issues(finished) == []


def test_the_page_shows_each_image(finished):
    page = (finished / "sub-1.html").read_text()
    for stem in WEIGHTS:
        assert f'id="{stem.rpartition("/")[2]}"' in page
    assert "mean of the 2 volumes with b up to 50 s/mm2 bids:raw:sub-1/dwi/sub-1_dwi.nii.gz" in page
    assert len(list((finished / "sub-1" / "figures").glob("*_after.jpg"))) == len(WEIGHTS)


def test_lost_pictures_are_drawn_again_alike(raw, finished, tmp_path):
    out = shutil.copytree(finished, tmp_path / "out")
    picture = "sub-1/figures/sub-1_mod-dwi_desc-preproc_before.jpg"
    before = (out / picture).read_bytes()
    (out / picture).unlink()
    assert main([str(raw), str(out), "participant", "--reports-only", "-m", "all"]) == 0
    assert (out / picture).read_bytes() == before


def test_a_second_run_does_nothing_and_what_changed_is_done_again(raw, finished, tmp_path):
    copy, out = shutil.copytree(raw, tmp_path / "raw"), shutil.copytree(finished, tmp_path / "out")
    assert app(copy, out, "-m", "all") == 0
    assert set(statuses(out).values()) == {"skipped"}
    (copy / "dwi.bval").write_text("0 1000 1000 2000\n")
    second = copy / "sub-1/anat/sub-1_inv-2_MP2RAGE.nii.gz"
    nib.Nifti1Image(data(second).astype(np.float32)[:, ::-1], AFFINE).to_filename(second)
    output(out, ASL, "aslcontext", ".tsv").unlink()
    assert app(copy, out, "-m", "all") == 0
    again = {source for source, status in statuses(out).items() if status == "done"}
    expected = {DWI, ASL, "sub-1/perf/sub-1_m0scan"} | {f"sub-1/anat/sub-1_inv-{i}_MP2RAGE" for i in (1, 2)}
    assert again == {f"{stem}.nii.gz" for stem in expected}


def test_the_reference_alone(raw, finished, tmp_path):
    out = tmp_path / "out"
    assert app(raw, out, "-m", "dwi", "bold", "asl", "--reference-only") == 0
    for stem, reference in ((DWI, "dwiref"), (BOLD, "boldref"), (ASL, "aslref")):
        assert not output(out, stem).exists()
        volumes = [0, 2] if stem == DWI else slice(None)
        mean = data(raw / f"{stem}.nii.gz")[..., volumes].mean(3)
        np.testing.assert_allclose(data(output(out, stem, reference)) * data(field(out, stem)), mean, rtol=SAME)
    assert not list(out.rglob("*.bval"))
    assert (out / "sub-1.html").read_text().count('class="flip"') == (finished / "sub-1.html").read_text().count(
        'class="flip"'
    ) * 3 // len(WEIGHTS)
    assert issues(out) == []
    (out / "sub-1.html").unlink()
    assert app(raw, out, "-m", "dwi", "bold", "asl", "--reference-only") == 0
    assert set(statuses(out).values()) == {"skipped"}
    assert (out / "sub-1.html").exists()


def test_the_single_band_reference_gives_the_field(raw, tmp_path):
    out = tmp_path / "out"
    assert app(raw, out, "-m", "bold", "sbref", "--series-reference", "sbref") == 0
    made = json.loads(output(out, BOLD, ending=".json").read_text())
    assert made["Sources"] == [f"bids:raw:{stem}.nii.gz" for stem in (BOLD, "sub-1/func/sub-1_task-x_sbref")]
    gain = data(field(out, "sub-1/func/sub-1_task-x_sbref"))
    np.testing.assert_allclose(data(output(out, BOLD)) * gain[..., None], data(raw / f"{BOLD}.nii.gz"), rtol=SAME)


def test_gradients_of_a_users_own_are_not_replaced(raw, tmp_path, capsys):
    out = tmp_path / "out"
    assert app(raw, out, "-m", "asl") == 0
    own = output(out, DWI, ending=".bvec")
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("a user's")
    assert app(raw, out, "-m", "dwi", "asl") == 1
    assert f"{own} was not made by getnet_bids, and is not replaced" in capsys.readouterr().err
    assert own.read_text() == "a user's"
    own.unlink()
    assert app(raw, out, "-m", "dwi", "asl") == 0
    assert app(raw, out, "-m", "dwi", "asl", "--force") == 0
    own.write_text(own.read_text().replace("1", "2", 1))  # edited, and of the same size
    capsys.readouterr()
    assert app(raw, out, "-m", "dwi", "--force") == 1
    assert f"{own} was changed after getnet_bids wrote it" in capsys.readouterr().err
    assert own.read_text().startswith("0 2")


def test_gradients_that_a_user_adds_to_a_result_stay(raw, tmp_path, capsys):
    copy, out = shutil.copytree(raw, tmp_path / "raw"), tmp_path / "out"
    gradients = (copy / f"{DWI}.bvec").read_text()
    (copy / f"{DWI}.bvec").unlink()
    assert app(copy, out, "-m", "dwi") == 0
    own = output(out, DWI, ending=".bvec")
    own.write_text("a user's")
    assert app(copy, out, "-m", "dwi", "--force") == 0
    (copy / f"{DWI}.bvec").write_text(gradients)
    assert app(copy, out, "-m", "dwi") == 1
    assert f"{own} was not made by getnet_bids, and is not replaced" in capsys.readouterr().err
    assert own.read_text() == "a user's"


def test_a_set_of_which_one_cannot_be_read_fails_as_a_whole(raw, tmp_path):
    copy, out = shutil.copytree(raw, tmp_path / "raw"), tmp_path / "out"
    (copy / "sub-1/anat/sub-1_inv-1_MP2RAGE.nii.gz").write_bytes(b"nothing of use")
    assert app(copy, out, "-m", "MP2RAGE", "T1w") == 1
    assert [statuses(out)[f"sub-1/anat/sub-1_{stem}.nii.gz"] for stem in ("inv-1_MP2RAGE", "inv-2_MP2RAGE", "T1w")] == [
        *("failed", "failed", "done")
    ]
    assert not list(out.rglob("*MP2RAGE.json"))


def shaded(head, axis):
    """Multiply the head by a steep field along an axis."""
    steep = np.exp(np.linspace(-0.6, 0.6, head.shape[axis])).reshape([-1 if i == axis else 1 for i in range(3)])
    return head * steep, steep


@pytest.fixture
def with_pair(head, tmp_path):
    """Make a dataset with a head shaded by the head coil, the same by both coils, and a subject without."""
    root, (by_head, steep) = tmp_path / "raw", shaded(head, 1)
    files = {
        "sub-1/anat/sub-1_T1w": by_head,
        "sub-1/fmap/sub-1_acq-headT1w_RB1COR": by_head,
        "sub-1/fmap/sub-1_acq-bodyT1w_RB1COR": head,
        "sub-1/fmap/sub-1_acq-headMTw_RB1COR": head,
        "sub-1/fmap/sub-1_acq-bodyMTw_RB1COR": head,
        "sub-2/anat/sub-2_T1w": by_head,
    }
    for stem, voxels in files.items():
        (root / stem).parent.mkdir(parents=True, exist_ok=True)
        nib.Nifti1Image(voxels.astype(np.float32), AFFINE).to_filename(root / f"{stem}.nii.gz")
    (root / "dataset_description.json").write_text('{"Name": "Test", "BIDSVersion": "1.10.0"}')
    return root, steep


def test_the_measured_receive_field_is_used_as_asked(with_pair, head, tmp_path):
    raw, steep = with_pair
    stem, inside = "sub-1/anat/sub-1_T1w", head > 300
    errors = {}
    for use, code in (("none", 0), ("auto", 0), ("measured", 1)):
        out = tmp_path / use
        assert app(raw, out, "--receive-field", use) == code
        error = np.log(np.broadcast_to(steep, head.shape)[inside] / data(field(out, stem))[inside])
        errors[use] = error.std()
        before, after = data(raw / f"{stem}.nii.gz"), data(output(out, stem))
        np.testing.assert_allclose(after * data(field(out, stem)), before, rtol=SAME)
    assert errors["measured"] < 0.02
    assert errors["measured"] < errors["none"]
    assert not output(tmp_path / "measured", "sub-2/anat/sub-2_T1w").exists()
    assert output(tmp_path / "auto", "sub-2/anat/sub-2_T1w").exists()
    made = json.loads(output(tmp_path / "auto", stem, ending=".json").read_text())["GetNet"]
    pair = [f"bids:raw:sub-1/fmap/sub-1_acq-{coil}T1w_RB1COR.nii.gz" for coil in ("head", "body")]
    assert made["Reference"]["Receive"]["Sources"] == pair
    assert app(raw, tmp_path / "auto", "--receive-field", "auto") == 0
    assert set(statuses(tmp_path / "auto").values()) == {"skipped"}


def test_the_verdict_is_on_the_whole_field_where_some_of_it_was_measured(with_pair, tmp_path):
    raw, _ = with_pair
    for use in ("auto", "measured"):
        app(raw, tmp_path / use, "--receive-field", use)
        made = json.loads(output(tmp_path / use, "sub-1/anat/sub-1_T1w", ending=".json").read_text())["GetNet"]
        assert made["Verdict"] == "corrected"


def test_a_measured_field_does_not_hide_that_the_image_is_no_magnitude(with_pair, head, tmp_path):
    raw, _ = with_pair
    rng = np.random.default_rng(0)
    phase = rng.uniform(-1, 1, head.shape).astype(np.float32)
    nib.Nifti1Image(phase, AFFINE).to_filename(raw / "sub-1/anat/sub-1_T1w.nii.gz")
    assert app(raw, tmp_path / "out", "--receive-field", "measured") == 1
    assert "is negative" in reasons(tmp_path / "out")["sub-1/anat/sub-1_T1w.nii.gz"]


@pytest.mark.parametrize(("spoil", "text"), [("empty", "has no signal where this has"), ("away", "only 0% of it lies")])
def test_a_pair_that_cannot_be_used_is_named(with_pair, head, tmp_path, spoil, text):
    raw, _ = with_pair
    affine = AFFINE.copy()
    affine[:3, 3] += 900 * (spoil == "away")
    body = "sub-1/fmap/sub-1_acq-bodyT1w_RB1COR.nii.gz"
    nib.Nifti1Image(head * (spoil == "away"), affine).to_filename(raw / body)
    out = tmp_path / "out"
    assert app(raw, out, "--receive-field", "auto") == 1
    reason = reasons(out)["sub-1/anat/sub-1_T1w.nii.gz"]
    assert text in reason
    assert body in reason
    assert reason.startswith(body.replace("body", "head"))
