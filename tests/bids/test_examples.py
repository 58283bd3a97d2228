"""The images found are those that PyBIDS finds, less those of a table, in the datasets of bids-examples.

With GETNET_BIDS_EXAMPLES naming a checkout of https://github.com/bids-standard/bids-examples all its datasets are
compared, in a minute or two; without it only the sample below, of trees like some of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from getnet_bids.bids.discovery import find_images
from getnet_bids.bids.names import DATATYPES, PLACES, SUFFIXES
from getnet_bids.cli.app import main
from getnet_bids.run import console as exits
from tests.datasets import add, describe

CHECKOUT = os.environ.get("GETNET_BIDS_EXAMPLES")

DIFFERENCES = {
    "is not a magnitude image": "PyBIDS gives phase, real and imaginary parts too unless asked for part-mag",
    "listed in .bidsignore": "PyBIDS does not read .bidsignore",
    "not a raw image: it has": "PyBIDS gives the images of a derivative dataset; corrected ones are not raw",
    "not a BIDS name: 'space-": "the same, in a standard space",
    "not a BIDS name: 'res-": "the same",
    "another image has this name": "both would have the same outputs; BIDS forbids it",
}
"""All that may be found by PyBIDS and not by us: what we say of it, and why it is so."""

SAMPLE = {
    "plain": ["sub-{01,02}/anat/sub-@_{T1w,inplaneT2}.nii.gz", "sub-{01,02}/func/sub-@_task-x_bold.nii.gz"],
    "sessions": ["sub-{01,02}/ses-{1,2}/anat/sub-@_ses-@_{run-1_T1w,run-2_T1w,acq-hi_rec-norm_T2w,FLAIR}.nii.gz"],
    "phase": ["sub-1/anat/sub-1_{inv-1,inv-2}_{part-mag,part-phase}_MP2RAGE.nii", "sub-1/anat/sub-1_UNIT1.nii"],
    "maps": ["sub-1/anat/sub-1_{T1map,R2starmap,Chimap,PDT2map,MTRmap}.nii.gz", "sub-1/anat/sub-1_T1w.nii.gz"],
    "series": [
        "sub-1/anat/sub-1_{echo-1,echo-2}_{MEGRE,MESE}.nii.gz",
        "sub-1/anat/sub-1_{flip-1,flip-2}_{mt-on,mt-off}_MTS.nii.gz",
        "sub-1/fmap/sub-1_{acq-famp,acq-anat}_TB1TFL.nii.gz",
    ],
    "ignored": ["sub-01/ses-mri/anat/sub-01_ses-mri_{acq-mprage_T1w,run-1_echo-1_FLASH,run-2_echo-1_FLASH}.nii.gz"],
    "masks": ["sub-1/anat/sub-1_mod-{T1w,T2w}_defacemask.nii.gz", "sub-1/anat/sub-1_{T1w,T2w}.nii.gz"],
    "nested": [
        "sub-1/anat/sub-1_T1w.nii.gz",
        "derivatives/pipe/sub-1/anat/sub-1_{desc-preproc,space-MNI_desc-preproc}_T1w.nii.gz",
        "sourcedata/sub-1/anat/sub-1_T1w.nii.gz",
        "code/sub-1/anat/sub-1_T1w.nii.gz",
    ],
    "derived": [
        "sub-1/anat/sub-1_{desc-preproc,space-MNI_res-2_desc-preproc}_T1w.nii.gz",
        "sub-1/anat/sub-1_dseg.nii.gz",
    ],
    "functional": [
        "sub-1/func/sub-1_task-x_{dir-AP,dir-PA}_{bold,sbref}.nii.gz",
        "sub-1/func/sub-1_task-y_{echo-1,echo-2}_{part-mag,part-phase}_bold.nii.gz",
        "sub-1/fmap/sub-1_{dir-AP,dir-PA}_epi.nii.gz",
        "sub-1/fmap/sub-1_{magnitude1,magnitude2,phasediff}.nii.gz",
    ],
    "diffusion": ["sub-1/ses-1/dwi/sub-1_ses-1_{dir-AP,dir-PA}_{dwi,sbref}.nii.gz", "sub-1/dwi/sub-1_ADC.nii.gz"],
    "perfusion": ["sub-1/perf/sub-1_{asl,m0scan}.nii.gz", "sub-1/fmap/sub-1_dir-PA_m0scan.nii.gz"],
    "electric": ["sub-1/eeg/sub-1_task-x_eeg.edf", "sub-1/ieeg/sub-1_task-x_ieeg.edf"],
    "no description": ["sub-1/anat/sub-1_T1w.nii.gz"],
}
"""Trees: {a,b} stands for each of these, @ for what stood in the folder of that name."""
COUNTS = {
    "plain": 6,
    "sessions": 16,
    "phase": 3,
    "maps": 1,
    "series": 8,
    "ignored": 1,
    "masks": 2,
    "nested": 1,
    "derived": 0,
    "functional": 8,
    "diffusion": 4,
    "perfusion": 3,
    "electric": 0,
}


def spread(pattern):
    """Return the paths that a pattern stands for."""
    start, brace, rest = pattern.partition("{")
    if not brace:
        return [filled(pattern)]
    choices, _, rest = rest.partition("}")
    return [path for choice in choices.split(",") for path in spread(f"{start}{choice}{rest}")]


def filled(path):
    """Put the folders' labels where @ stands."""
    *folders, file = path.split("/")
    for folder in folders:
        file = file.replace(f"{folder.partition('-')[0]}-@", folder)
    return "/".join([*folders, file])


@pytest.fixture
def sample(tmp_path, request):
    """Build one of the trees of the sample."""
    root = tmp_path / "dataset"
    add(root, *(path for pattern in SAMPLE[request.param] for path in spread(pattern)))
    if request.param != "no description":
        kind = "derivative" if request.param == "derived" else "raw"
        describe(root, DatasetType=kind, GeneratedBy=[{"Name": "pipe"}])
    if request.param == "ignored":
        (root / ".bidsignore").write_text("*_FLASH.*\n")
    return root


def found_by_pybids(root):
    """Return the images that PyBIDS gives, and nothing where it refuses the dataset."""
    layout, exceptions = pytest.importorskip("bids.layout"), pytest.importorskip("bids.exceptions")
    try:
        index = layout.BIDSLayout(root, indexer=layout.BIDSLayoutIndexer(validate=True, index_metadata=False))
    except exceptions.BIDSValidationError:
        return None
    files = []
    for kind in DATATYPES:
        suffixes = [suffix for suffix in SUFFIXES if kind in PLACES[suffix]]
        files += index.get(datatype=kind, suffix=suffixes, extension=[".nii", ".nii.gz"], return_type="filename")
    return {Path(file).relative_to(root.resolve()).as_posix() for file in files}


def compare(root, capsys):
    """Compare with PyBIDS and run --dry-run; return the images."""
    found = find_images(root, suffixes=SUFFIXES)
    ours, theirs = {source.relative for source in found.sources}, found_by_pybids(root.resolve())
    code = main([str(root), str(root.parent / "none"), "participant", "--dry-run", "-m", *SUFFIXES])
    printed = capsys.readouterr()
    if theirs is None:
        assert code == exits.NOT_BIDS
        return ours
    assert ours - theirs == set()
    for path in theirs - ours:
        assert any(reason in found.skipped[path] for reason in DIFFERENCES), found.skipped[path]
    assert code == (exits.DONE if ours else exits.NOTHING_MATCHED)
    # Members of a set stand together, whatever lies between them.
    assert sorted(line.split("\t")[0] for line in printed.out.splitlines()[1:]) == sorted(ours)
    assert "Traceback" not in printed.err
    return ours


@pytest.mark.parametrize("sample", SAMPLE, indirect=True)
def test_sample(sample, request, capsys):
    images = compare(sample, capsys)
    kind = request.node.callspec.params["sample"]
    if kind in COUNTS:
        assert len(images) == COUNTS[kind]


def datasets():
    """Return the datasets of the checkout."""
    root = Path(CHECKOUT) if CHECKOUT else None
    return sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".") if root else []


@pytest.mark.skipif(not CHECKOUT, reason="GETNET_BIDS_EXAMPLES does not name a checkout of bids-examples")
@pytest.mark.parametrize("dataset", datasets(), ids=lambda path: path.name)
def test_bids_examples(dataset, capsys):
    compare(dataset, capsys)


@pytest.mark.skipif(not CHECKOUT, reason="GETNET_BIDS_EXAMPLES does not name a checkout of bids-examples")
def test_the_table_has_no_idle_row():
    said = [reason for path in datasets() for reason in find_images(path, suffixes=SUFFIXES).skipped.values()]
    sample_only = {"another image has this name", "not a BIDS name: 'res-"}
    assert {row for row in DIFFERENCES if not any(row in reason for reason in said)} <= sample_only
