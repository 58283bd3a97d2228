"""The dataset that is handed over to fMRIPrep, by what sMRIPrep collects from it where that is installed."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from bids.layout import BIDSLayout, BIDSLayoutIndexer

from getnet_bids.cli.app import main
from getnet_bids.run import handover
from getnet_bids.run.handover import link_or_copy
from tests.datasets import add, as_scan, describe, read_table

ONE, WITH_T2 = "sub-01/anat/sub-01_T1w.nii.gz", "sub-01/anat/sub-01_T2w.nii.gz"
RUNS = [f"sub-02/anat/sub-02_run-{i}_T1w.nii.gz" for i in (1, 2)]
SESSIONS = [f"sub-03/ses-{s}/anat/sub-03_ses-{s}_T1w.nii.gz" for s in ("a", "b")]
QUICK = ("--device", "cpu", "--no-refine", "--precision", "float32")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, head):
    """Make a dataset with one T1w image, with two runs and with two sessions, and its results."""
    folder = tmp_path_factory.mktemp("handover")
    add(describe(folder / "raw"), ONE, WITH_T2, *RUNS, *SESSIONS, image=as_scan(head))
    assert main([str(folder / "raw"), str(folder / "out"), "participant", *QUICK]) == 0
    return folder


@pytest.fixture
def folder(finished, tmp_path, monkeypatch):
    """Return a copy of both that may be changed, as the folder that commands run in."""
    for name in ("raw", "out"):
        shutil.copytree(finished / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*options, out="out"):
    return main(["raw", out, "participant", *QUICK, *options])


def rows(folder):
    log = max((path for path in (folder / "out/logs").glob("*/handover.tsv")), key=os.path.getmtime)
    return {row["participant_id"]: row for row in read_table(log)}


def images(root):
    return sorted(path.name for path in root.rglob("*.nii*"))


def derived(relative):
    return relative.rpartition("/")[2].replace("_T1w", "_desc-preproc_T1w")


def test_one_image_for_each_subject_and_no_other(folder, capsys):
    assert run("--for", "fmriprep") == 1
    root = folder / "out-fmriprep"
    assert images(root) == [derived(ONE)]
    assert (root / "sub-01/anat/sub-01_desc-preproc_T1w.json").is_file()
    told, said = rows(folder), capsys.readouterr().err
    assert told["sub-01"]["handed_over"] == "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz"
    assert "the only T1w image" in told["sub-01"]["reason"]
    for subject, candidates, choice in (("sub-02", RUNS, "--bids-filter-file"), ("sub-03", SESSIONS, "sessionwise")):
        reason = told[subject]["reason"]
        assert told[subject]["handed_over"] == "n/a"
        assert all(relative.rpartition("/")[2] in reason for relative in candidates)
        assert choice in reason
        assert f"{subject}: not handed over: {reason}" in said
    about = json.loads((root / "dataset_description.json").read_text())
    assert about["HandOver"] == {"For": "fMRIPrep", "OneFor": "subject"}
    assert set(about["DatasetLinks"]) == {"raw", "getnet"}


def test_it_takes_no_room_and_is_up_to_date_after_another_run(folder):
    chosen = ("--participant-label", "01", "--for", "fmriprep", "-m", "T1w")
    assert run(*chosen) == 0
    made, handed = (root / "sub-01/anat" / derived(ONE) for root in (folder / "out", folder / "out-fmriprep"))
    assert made.samefile(handed)
    before = handed.read_bytes()
    assert run("--participant-label", "01", "--smoothness", "60", "-m", "T1w") == 0
    assert handed.read_bytes() == before  # a correction alone does not change what another program may be reading
    assert run(*chosen, "--smoothness", "60") == 0
    assert made.samefile(handed)
    assert handed.read_bytes() != before


def test_a_choice_among_several(folder):
    (folder / "filter.json").write_text(json.dumps({"t1w": {"run": 2}}))
    assert run("--for", "fmriprep", "--participant-label", "02", "--bids-filter-file", "filter.json") == 0
    assert images(folder / "out-fmriprep") == [derived(RUNS[1])]
    # Another choice does not replace it: nothing is removed.
    (folder / "filter.json").write_text(json.dumps({"t1w": {"run": 1}}))
    assert run("--for", "fmriprep", "--participant-label", "02", "--bids-filter-file", "filter.json") == 1
    assert "lies in the hand-over already" in rows(folder)["sub-02"]["reason"]
    assert images(folder / "out-fmriprep") == [derived(RUNS[1])]


def test_one_for_each_session(folder):
    options = ("--for", "fmriprep-sessionwise", "--participant-label", "03", "--hand-over-dir", "sessions")
    assert run(*options) == 0
    assert images(folder / "sessions") == [derived(relative) for relative in SESSIONS]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--hand-over-dir", "out/sub"), "may neither hold the results nor lie in them"),
        (("--hand-over-dir", "raw/sub-01"), "inside the input"),
        (("--hand-over-dir", "theirs"), "holds something else than a hand-over"),
        (("--dry-run",), "contradict each other"),
        (("--compare", "n4", "--simulate-gain", "20"), "contradict each other"),
    ],
)
def test_what_is_refused(folder, capsys, options, said):
    (folder / "theirs").mkdir()
    (folder / "theirs/notes.txt").write_text("a user's")
    assert run("--for", "fmriprep", *options) in (64, 73)
    assert said in capsys.readouterr().err
    assert not (folder / "out-fmriprep").exists()
    assert [path.name for path in (folder / "theirs").iterdir()] == ["notes.txt"]


def test_one_for_each_subject_and_one_for_each_session_are_not_mixed(folder, capsys):
    assert run("--for", "fmriprep", "--participant-label", "01") == 0
    before = images(folder / "out-fmriprep")
    assert run("--for", "fmriprep-sessionwise", "--participant-label", "03") == 73
    said = "is a hand-over of one image for each subject; give another --hand-over-dir"
    assert said in capsys.readouterr().err
    assert images(folder / "out-fmriprep") == before
    assert run("--for", "fmriprep-sessionwise", "--participant-label", "03", "--hand-over-dir", "sessions") == 0
    assert run("--for", "fmriprep", "--participant-label", "01", "--hand-over-dir", "sessions") == 73


def test_no_run_writes_its_results_into_a_hand_over(folder, capsys):
    assert run("--for", "fmriprep", "--participant-label", "01") == 0
    assert run("--participant-label", "01", out="out-fmriprep") == 73
    assert "handed over to another program" in capsys.readouterr().err


def test_a_copy_where_there_are_no_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "no hard links here")

    (tmp_path / "a").write_bytes(b"first")
    monkeypatch.setattr(os, "link", refuse)
    link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"first"
    (tmp_path / "a").write_bytes(b"second")
    link_or_copy(tmp_path / "a", tmp_path / "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    assert (tmp_path / "b").read_bytes() == b"second"


def test_pybids_and_bids2table_open_it(folder):
    bids2table = pytest.importorskip("bids2table")
    assert run("--for", "fmriprep", "--participant-label", "01") == 0
    root = folder / "out-fmriprep"
    layout = BIDSLayout(folder / "raw", derivatives=root, indexer=BIDSLayoutIndexer(index_metadata=True))
    (found,) = layout.get(scope="getnet_bids", extension="nii.gz")
    assert (found.entities["suffix"], found.entities["desc"]) == ("T1w", "preproc")
    assert found.get_metadata()["SkullStripped"] is False
    rows = bids2table.index_dataset(root).to_pylist()
    assert [row["path"] for row in rows if row["ext"] == ".nii.gz"] == [f"sub-01/anat/{derived(ONE)}"]


@pytest.mark.slow
def test_smriprep_takes_the_image_that_is_handed_over_and_no_list_and_no_t2w(folder):
    collect = pytest.importorskip("smriprep.utils.bids").collect_derivatives
    run("--for", "fmriprep")
    plain, handed = (collect(str(root), "01", []) for root in (folder / "out", folder / "out-fmriprep"))
    assert handed == {
        "t1w_preproc": str(folder / "out-fmriprep/sub-01/anat" / derived(ONE)),
        "transforms": {},
    }
    assert "t2w_preproc" in plain
    assert isinstance(collect(str(folder / "out"), "02", [])["t1w_preproc"], list)
    assert collect(str(folder / "out-fmriprep"), "02", []) == {"transforms": {}}
    run("--for", "fmriprep-sessionwise", "--hand-over-dir", "sessions", "--participant-label", "03")
    for session, relative in zip("ab", SESSIONS, strict=True):
        found = collect(str(folder / "sessions"), "03", [], session_id=session)
        assert found["t1w_preproc"].endswith(derived(relative))


@pytest.fixture
def corrections(folder, monkeypatch):
    """Return a function that builds sMRIPrep's workflow and names the nodes in it that run N4."""
    api = pytest.importorskip("templateflow.api")
    pytest.importorskip("smriprep")
    # A graph is built of paths; what the templates hold is of no matter to it, and fetching them takes a network.
    monkeypatch.setattr(api, "get", lambda *_, **__: str(folder / "raw" / ONE))
    from nipype.interfaces.ants import N4BiasFieldCorrection
    from niworkflows.utils.spaces import Reference, SpatialReferences
    from smriprep.workflows.anatomical import init_anat_fit_wf

    spaces = SpatialReferences(spaces=[])
    spaces.checkpoint()

    def build(precomputed, skull_strip_mode, images=(ONE,)):
        workflow = init_anat_fit_wf(
            bids_root=str(folder / "raw"),
            output_dir=str(folder / "smriprep"),
            freesurfer=False,
            hires=False,
            longitudinal=False,
            msm_sulc=False,
            t1w=[str(folder / "raw" / image) for image in images],
            t2w=[],
            skull_strip_mode=skull_strip_mode,
            skull_strip_template=Reference("OASIS30ANTs"),
            spaces=spaces,
            precomputed=precomputed,
            omp_nthreads=1,
            sloppy=True,
        )
        names = workflow.list_node_names()
        return {name for name in names if isinstance(workflow.get_node(name).interface, N4BiasFieldCorrection)}

    return build


@pytest.mark.slow
def test_smriprep_builds_its_workflow_without_its_own_correction(folder, corrections):
    from smriprep.utils.bids import collect_derivatives

    run("--for", "fmriprep", "--participant-label", "01")
    handed = collect_derivatives(str(folder / "out-fmriprep"), "01", [])
    with_mask = {**handed, "t1w_mask": str(folder / "raw" / ONE)}
    assert corrections({}, "skip") == {"n4_only_wf.inu_n4", "n4_only_wf.atropos_wf.inu_n4_final"}
    assert corrections(handed, "skip") == set()
    assert "anat_template_wf.n4_correct" in corrections({}, "force", RUNS)
    assert len(corrections({"t1w_mask": with_mask["t1w_mask"]}, "force")) == 2
    assert corrections(with_mask, "force") == set()
    # What is left is within the brain extraction, and of its output the mask alone is used.
    left = corrections(handed, "force")
    assert left
    assert all(name.startswith("brain_extraction_wf.") for name in left)


@pytest.mark.parametrize("ending", [".nii.gz", ".json"])
def test_a_users_own_image_or_an_edited_one_is_not_replaced(folder, capsys, ending):
    chosen = ("--participant-label", "01", "--for", "fmriprep", "-m", "T1w")
    file = folder / "out-fmriprep/sub-01/anat" / derived(ONE).replace(".nii.gz", ending)
    assert run(*chosen) == 0
    text = file.read_bytes()
    file.unlink()  # else the result would be edited, too
    file.write_bytes(b"mine" if ending == ".nii.gz" else text.replace(b"T1w image", b"my T1w image"))
    before = file.read_bytes()
    for more in ((), ("--force",)):
        capsys.readouterr()
        assert run(*chosen, *more) == 1
        [line] = [line for line in capsys.readouterr().err.splitlines() if "not handed over" in line]
        assert f"{file.name} was changed after getnet_bids wrote it, and is not replaced; move or rename it" in line
        assert file.read_bytes() == before
    shutil.rmtree(file.parent)
    file.parent.mkdir()
    file.with_name(derived(ONE)).write_bytes(b"mine")
    assert run(*chosen) == 1
    assert f"{derived(ONE)} was not made by getnet_bids" in capsys.readouterr().err
    assert file.with_name(derived(ONE)).read_bytes() == b"mine"
    file.with_name(derived(ONE)).unlink()
    assert run(*chosen) == 0


def test_a_hand_over_that_was_stopped_goes_on(folder, monkeypatch):
    chosen = ("--participant-label", "01", "-m", "T1w")
    assert run(*chosen, "--for", "fmriprep") == 0
    assert run(*chosen, "--force") == 0  # another file, which is not handed over yet

    def stopped(*_args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(handover, "link_or_copy", stopped)
        assert run(*chosen, "--for", "fmriprep") == 73
    made, handed = (root / "sub-01/anat" / derived(ONE) for root in (folder / "out", folder / "out-fmriprep"))
    assert not made.samefile(handed)
    assert run(*chosen, "--for", "fmriprep") == 0
    assert made.samefile(handed)
