"""Tasks that begin at the same moment on one output folder do not get in each other's way."""

import json
import multiprocessing
import secrets
import subprocess
import sys
import time

import pytest

from getnet_bids.bids.dataset import add_to_description, check_output, prepare_output
from getnet_bids.bids.status import RunLog

TASKS = 12


def begin(raw, out, barrier, problems):
    """What a task does to an output folder before its first image."""
    try:
        barrier.wait()
        if problem := check_output(raw, out):
            problems.put(problem)
        prepare_output(raw, out)
        RunLog(out / "logs").add("sub-01/anat/sub-01_T1w.nii.gz", "done")
    except BaseException as error:
        problems.put(repr(error))


@pytest.mark.slow
def test_the_beginnings_of_many_tasks_do_not_clash(make_dataset, tmp_path):
    raw = make_dataset("sub-01/anat/sub-01_T1w.nii.gz")
    spawned = multiprocessing.get_context("fork")
    for attempt in range(5):
        out = tmp_path / f"out-{attempt}"
        barrier, problems = spawned.Barrier(TASKS), spawned.SimpleQueue()
        tasks = [spawned.Process(target=begin, args=(raw, out, barrier, problems)) for _ in range(TASKS)]
        for task in tasks:
            task.start()
        for task in tasks:
            task.join()
        assert problems.empty(), problems.get()
        assert json.loads((out / "dataset_description.json").read_text())["DatasetType"] == "derivative"
        assert len(list((out / "logs").glob("*/status.tsv"))) == TASKS
        assert [path.name for path in out.rglob(".*")] == [".bidsignore"]


def link(out, name, barrier):
    """What a comparison adds to the description of a dataset."""
    barrier.wait()
    add_to_description(out, {"DatasetLinks": {name: f"file:///{name}"}})


def test_what_many_tasks_add_to_a_description_is_all_there(make_dataset, tmp_path):
    raw, out = make_dataset(), tmp_path / "out"
    prepare_output(raw, out)
    spawned = multiprocessing.get_context("fork")
    barrier = spawned.Barrier(TASKS)
    tasks = [spawned.Process(target=link, args=(out, f"task{i}", barrier)) for i in range(TASKS)]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join()
    prepare_output(raw, out)
    links = json.loads((out / "dataset_description.json").read_text())["DatasetLinks"]
    assert links.keys() == {"raw", *(f"task{i}" for i in range(TASKS))}


def test_two_tasks_of_one_second_and_one_random_number_have_a_folder_of_logs_each(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda form: "20260101T000000")
    numbers = iter(["0007", "0007", "0007", "0008"])
    monkeypatch.setattr(secrets, "token_hex", lambda size: next(numbers))
    assert [RunLog(tmp_path).folder.name[-4:] for _ in range(2)] == ["0007", "0008"]


@pytest.mark.slow
def test_one_process_a_gpu_shares_out_the_subjects(make_dataset, tmp_path):
    """The one-liner of docs/hpc.rst, with two workers on the CPU in the GPUs' place."""
    subjects = ["sub-01", "sub-02"]
    raw = make_dataset(*(f"{subject}/anat/{subject}_T1w.nii.gz" for subject in subjects))
    out = tmp_path / "out"
    program = f"{sys.executable} -m getnet_bids.cli.app"
    line = (
        f"ls -d {raw}/sub-* | xargs -n 1 basename | xargs -P 2 -n 1 --process-slot-var=GPU sh -c '"
        f'echo "$GPU $@"; CUDA_VISIBLE_DEVICES=$GPU exec {program} {raw} {out} participant --nprocs 1 '
        '--participant-label "$@"\' getnet'
    )
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shared = sorted(text.split() for text in done.stdout.splitlines())
    assert {gpu for gpu, *_ in shared} == {"0", "1"}
    assert sorted(subject for _, *chunk in shared for subject in chunk) == subjects
    assert len(list(out.glob("sub-*/anat/*_desc-preproc_T1w.json"))) == 2
    assert len(list((out / "logs").glob("*/status.tsv"))) == 2


@pytest.mark.slow
def test_one_task_a_session_of_the_same_subject(make_dataset, tmp_path):
    sessions = ["a", "b", "c"]
    raw, out = make_dataset(*(f"sub-01/ses-{s}/anat/sub-01_ses-{s}_T1w.nii.gz" for s in sessions)), tmp_path / "out"
    command = [sys.executable, "-m", "getnet_bids.cli.app", raw, out, "participant", "--no-refine", "--nprocs", "1"]
    tasks = [subprocess.Popen([*command, "--session-label", s], stderr=subprocess.PIPE) for s in sessions]
    for task in tasks:
        assert task.wait() == 0, task.stderr.read()
        task.stderr.close()
    made = sorted(path.name for path in out.glob("sub-01/ses-*/anat/*_T1w.json"))
    assert made == [f"sub-01_ses-{s}_desc-preproc_T1w.json" for s in sessions]
    page = (out / "sub-01.html").read_text()
    assert all(f"sub-01_ses-{s}_T1w" in page for s in sessions)
    assert [path.name for path in out.rglob(".*")] == [".bidsignore"]
