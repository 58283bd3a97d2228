"""The SLURM script of docs/hpc, in a stand-in for SLURM everywhere and in SLURM itself where it runs."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.datasets import read_table

from .slurm import slurm_runs

SCRIPT = Path(__file__).parents[1] / "docs" / "hpc" / "getnet-slurm.sh"
if not SCRIPT.is_file():
    pytest.skip("not a checkout", allow_module_level=True)
SUBJECTS = ("01", "02", "03")
SESSIONS = ("a", "b", "c", "d", "e", "f")
COMMAND = f"env OMP_NUM_THREADS=1 {sys.executable} -m getnet_bids.cli.app"
STANDS_IN = """#!/usr/bin/env bash
# In SLURM's place: runs arrays at once, one task after another, and prints a number for what it is given.
set -eu
last=-1
for word; do
    case $word in --array=0-*) last=${word#--array=0-} ;; esac
    script=$word
done
echo "$*" >> "$CALLS"
[ -z "${IDLE:-}" ] || last=-1
for task in $(seq 0 "$last"); do
    SLURM_ARRAY_TASK_ID=$task SLURM_CPUS_PER_TASK=1 bash "$script" >> "$CALLS.log" 2>&1 || true
done
wc -l < "$CALLS"
"""


def submit(raw, out, *options, environment=None):
    command = [SCRIPT, "-c", COMMAND, "-j", out.parent / "jobs", *options, raw, out]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=out.parent)


def tree(out):
    """All files that a run leaves but its logs, without run numbers and seconds."""
    files = [path for path in out.rglob("*") if path.is_file() and not path.is_relative_to(out / "logs")]
    return {path.relative_to(out).as_posix(): content(path) for path in files}


def content(path):
    if path.name == "group_metrics.html":  # times are among what it draws; the numbers are those of the table
        return None
    if path.suffix == ".json":
        values = json.loads(path.read_text())
        values.get("GetNet", {}).pop("Seconds", None)
        return values
    if path.suffix == ".tsv":
        return [{**row, "seconds": None} for row in read_table(path)]
    if path.suffix == ".html":
        # A page written after the group's has a link to it.
        passing = (
            r"\d{8}T\d{6}-[0-9a-f]{4}|(?<=Seconds of computation</dt><dd>)[\d.]+|<a href=\"group_[^>]*>[^<]*</a>\."
        )
        return re.sub(passing, "", path.read_text())
    return path.read_bytes()


@pytest.fixture
def stand_in(tmp_path):
    """An environment in which sbatch is the stand-in; its calls are in the file CALLS."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sbatch").write_text(STANDS_IN)
    (folder / "sbatch").chmod(0o755)
    for name in ("squeue", "scontrol"):  # a SLURM that runs here is not asked
        (folder / name).write_text("#!/usr/bin/env bash\nexit 1\n")
        (folder / name).chmod(0o755)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "CALLS": str(tmp_path / "calls")}


@pytest.mark.slow
def test_only_what_is_not_done_is_submitted(make_dataset, tmp_path, stand_in):
    raw = make_dataset("sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz")
    out, one, calls = tmp_path / "out with a space", tmp_path / "one.txt", Path(stand_in["CALLS"])
    one.write_text("sub-02\n")
    first = submit(raw, out, "-l", one, "-s", "--partition=short --time=60", environment=stand_in)
    assert first.returncode == 0, first.stderr
    assert "1 subjects in 1 tasks" in first.stdout
    array, group = calls.read_text().splitlines()
    assert array.startswith("--parsable --array=0-0 --partition=short --time=60 ")
    assert "--dependency=afterany:1 " in group
    assert [path.parts[-3] for path in out.glob("sub-*/anat/*_desc-preproc_T1w.json")] == ["sub-02"]

    second = submit(raw, out, "-n", "1", environment=stand_in)
    assert "1 subjects in 1 tasks" in second.stdout
    assert len(list(out.glob("sub-*/anat/*_desc-preproc_T1w.json"))) == 2
    assert len(list((out / "logs").glob("*/status.tsv"))) == 2

    third = submit(raw, out, environment=stand_in)
    assert "all subjects are done" in third.stdout
    assert "dependency" not in calls.read_text().splitlines()[-1]


def test_each_subject_is_in_one_task(make_dataset, tmp_path, stand_in):
    subjects = [f"sub-{i:02}" for i in range(5)]
    raw = make_dataset(*(f"{subject}/anat/{subject}_T1w.nii.gz" for subject in subjects))
    done = submit(raw, tmp_path / "out", "-n", "2", environment={**stand_in, "IDLE": "yes"})
    assert "5 subjects in 3 tasks" in done.stdout
    chunks = sorted((tmp_path / "jobs").glob("*/chunk-*"))
    assert [chunk.name for chunk in chunks] == ["chunk-0000", "chunk-0001", "chunk-0002"]
    assert [line for chunk in chunks for line in chunk.read_text().split()] == subjects
    assert "--array=0-2 " in Path(stand_in["CALLS"]).read_text()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--participant-label", "01"), "-l FILE"),
        (("participant",), "leave out"),
        (("--smoothness", "rough"), "is not a number above 0"),
    ],
)
def test_what_cannot_work_is_not_submitted(make_dataset, tmp_path, stand_in, options, says):
    raw = make_dataset("sub-01/anat/sub-01_T1w.nii.gz")
    command = [SCRIPT, "-c", COMMAND, "-j", tmp_path / "jobs", raw, tmp_path / "out", *options]
    done = subprocess.run(command, capture_output=True, text=True, env=stand_in)
    assert done.returncode == 64
    assert says in done.stderr
    assert not Path(stand_in["CALLS"]).exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("-n", "0"), "-n 0: give a number of subjects, 1 or more"),
        (("-n", "some"), "-n some: give a number"),
        (("-n", "-1"), "-n -1: give a number"),
        (("-l", "absent.txt"), "-l absent.txt: no such file"),
    ],
)
def test_options_of_the_script_that_cannot_work(make_dataset, tmp_path, stand_in, options, says):
    done = submit(make_dataset("sub-01/anat/sub-01_T1w.nii.gz"), tmp_path / "out", *options, environment=stand_in)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith(f"getnet-slurm.sh: {says}")
    assert not Path(stand_in["CALLS"]).exists()
    assert not (tmp_path / "jobs").exists()


def test_what_slurm_refuses_leaves_no_plan_and_no_group_job(make_dataset, tmp_path, stand_in):
    raw = make_dataset("sub-01/anat/sub-01_T1w.nii.gz")
    put(stand_in, "sbatch", '#!/usr/bin/env bash\necho "$*" >> "$CALLS"\necho "invalid partition" >&2\nexit 1\n')
    done = submit(raw, tmp_path / "out", environment=stand_in)
    assert done.returncode == 1
    assert done.stderr.endswith("invalid partition\n")
    assert len(Path(stand_in["CALLS"]).read_text().splitlines()) == 1
    assert not (tmp_path / "out").exists()


QUEUE = """#!/usr/bin/env bash
echo "7 getnet-bids $OUT"
echo "7 getnet-bids $OUT"
echo "8 another's"
"""
CONFIG = """#!/usr/bin/env bash
echo "MaxArraySize            = 3"
"""


def put(stand_in, name, text):
    path = Path(stand_in["CALLS"]).parent / "bin" / name
    path.write_text(text)
    path.chmod(0o755)


def test_jobs_that_are_queued_are_not_submitted_twice(make_dataset, tmp_path, stand_in):
    raw, out = make_dataset("sub-01/anat/sub-01_T1w.nii.gz"), tmp_path / "out with a space"
    put(stand_in, "squeue", QUEUE)
    environment = {**stand_in, "OUT": str(out), "IDLE": "yes"}
    refused = submit(raw, out, environment=environment)
    assert refused.returncode == 64
    assert "queued or running: 7; wait" in refused.stderr
    assert not Path(stand_in["CALLS"]).exists()
    assert submit(raw, tmp_path / "other", environment=environment).returncode == 0
    assert submit(raw, out, "-f", environment=environment).returncode == 0


def test_an_array_is_not_larger_than_the_site_allows(make_dataset, tmp_path, stand_in):
    raw = make_dataset(*(f"sub-{i}/anat/sub-{i}_T1w.nii.gz" for i in range(5)))
    put(stand_in, "scontrol", CONFIG)
    environment = {**stand_in, "IDLE": "yes"}
    refused = submit(raw, tmp_path / "out", "-n", "1", environment=environment)
    assert refused.returncode == 64
    assert "give -n 2 or more" in refused.stderr
    assert not list((tmp_path / "jobs").glob("*/chunk-*"))
    assert not (tmp_path / "out").exists()
    assert "5 subjects in 3 tasks" in submit(raw, tmp_path / "out", "-n", "2", environment=environment).stdout


def test_what_a_job_is_told(make_dataset, tmp_path, stand_in):
    raw = make_dataset("sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz")
    show = f"env -u CUDA_VISIBLE_DEVICES {COMMAND}"
    environment = {**stand_in, "CUDA_VISIBLE_DEVICES": "3"}
    environment.pop("LOGNAME", None)
    done = submit(raw, tmp_path / "out", "-c", show, environment={**environment, "IDLE": "yes"})
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "jobs").iterdir()
    group = subprocess.run(["bash", folder / "group.sh"], capture_output=True, text=True, env=environment)
    assert "getnet-slurm.sh: 2 images are not done; give the same command again" in group.stderr
    script = re.sub(r"exec .*", "env", (folder / "task.sh").read_text())
    told = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, check=True).stdout
    assert "APPTAINERENV_CUDA_VISIBLE_DEVICES=3" in told.splitlines()
    assert re.search(r"^LOGNAME=\w", told, re.MULTILINE)
    assert "#SBATCH --open-mode=append" in script


def state(job):
    """A job's state as SLURM tells it, RUNNING or so."""
    told = subprocess.run(["scontrol", "show", "job", "-o", job], capture_output=True, text=True).stdout
    return [*re.findall(r"JobState=(\w+)", told), "GONE"][0]


def wait_until(true, seconds=300):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.2)


@pytest.mark.skipif(not slurm_runs(), reason="no SLURM runs here")
def test_in_slurm_a_cancelled_task_is_made_up_for_and_the_tree_is_that_of_a_single_run(make_dataset, tmp_path):
    raw = make_dataset(
        *(f"sub-{one}/ses-{two}/anat/sub-{one}_ses-{two}_T1w.nii.gz" for one in SUBJECTS for two in SESSIONS)
    )
    out, single = tmp_path / "out", tmp_path / "single"
    small = ("-n", "1", "-s", "--cpus-per-task=1 --mem=1G", "-g", "--cpus-per-task=1 --mem=1G")
    done = submit(raw, out, *small)
    assert done.returncode == 0, done.stderr
    array, group = re.findall(r"(?:array|group) (\d+)", done.stdout)
    wait_until(lambda: list(out.glob("sub-02/ses-*/anat/*_desc-preproc_T1w.json")))
    subprocess.run(["scancel", f"{array}_1"], check=True)
    wait_until(lambda: state(group) in ("COMPLETED", "FAILED"))
    assert [state(f"{array}_{i}") for i in range(3)] == ["COMPLETED", "CANCELLED", "COMPLETED"]
    assert len(list(out.glob("sub-02/ses-*/anat/*_desc-preproc_T1w.json"))) < len(SESSIONS)

    done = submit(raw, out, *small)
    assert "1 subjects in 1 tasks" in done.stdout
    group = re.search(r"group (\d+)", done.stdout)[1]
    wait_until(lambda: state(group) in ("COMPLETED", "FAILED"))
    assert state(group) == "COMPLETED"

    command = [*COMMAND.split(), str(raw), str(single)]
    subprocess.run([*command, "participant", "--nprocs", "1"], check=True, capture_output=True)
    subprocess.run([*command, "group"], check=True, capture_output=True)
    ours, expected = tree(out), tree(single)
    assert ours.keys() == expected.keys()
    assert [name for name in expected if ours[name] != expected[name]] == []
