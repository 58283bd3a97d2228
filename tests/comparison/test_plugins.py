from __future__ import annotations

import os
from pathlib import Path

import pytest

from getnet_bids.comparison.plugins import plugin_of
from getnet_bids.run.console import USAGE, CommandError
from getnet_bids.settings import Settings
from getnet_bids.workflows import WatchedMultiProcPlugin


def plugin(tmp_path, text=None, threads=None, mem_mb=None):
    path = None
    if text is not None:
        path = tmp_path / "plugin.yml"
        path.write_text(text)
    return plugin_of(
        Settings(
            bids_dir=Path("raw"),
            output_dir=Path("out"),
            analysis_level="participant",
            compare="n4",
            use_plugin=path,
            nprocs=threads,
            mem_mb=mem_mb,
        )
    )


def test_the_watched_multiproc_is_the_default(tmp_path):
    made = plugin(tmp_path, threads=3, mem_mb=6000)
    runner = made.runner(print, print)
    assert isinstance(runner, WatchedMultiProcPlugin)
    assert (made.processes, runner.processors, runner.memory_gb) == (3, 3, 6.0)
    assert plugin(tmp_path).processes >= 1


def test_what_the_file_says_goes_before(tmp_path):
    text = "plugin: MultiProc\nplugin_args:\n  n_procs: 2\n  memory_gb: 4\n"
    made = plugin(tmp_path, text, threads=8)
    assert isinstance(made.runner(print, print), WatchedMultiProcPlugin)
    assert (made.processes, made.args["memory_gb"]) == (2, 4)


def test_other_plugins_are_left_as_they_are(tmp_path):
    assert plugin(tmp_path, "plugin: Linear\n", threads=8).args == {}
    made = plugin(tmp_path, "plugin: SLURM\nplugin_args: {max_jobs: 50, sbatch_args: '--mem=8G'}\n", threads=8)
    runner = made.runner(print, print)
    assert type(runner).__name__ == "SLURMPlugin"
    assert (made.processes, runner.max_jobs) == (50, 50)


@pytest.mark.parametrize(("user", "name"), [("someone", "someone"), (None, "getnet-bids")])
def test_jobs_have_a_name_where_the_environment_has_no_logname(tmp_path, monkeypatch, user, name):
    def unknown():
        raise KeyError("uid not found: 1234")

    for variable in ("LOGNAME", "LNAME", "USERNAME", "USER"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("getpass.getuser", (lambda: user) if user else unknown)
    monkeypatch.setattr("os.environ", dict(os.environ))
    plugin(tmp_path, "plugin: SLURM\n").runner(print, print)
    assert os.environ["LOGNAME"] == name
    os.environ["LOGNAME"] = "other"
    plugin(tmp_path, "plugin: SLURM\n").runner(print, print)
    assert os.environ["LOGNAME"] == "other"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        *((f"n_procs: {n}", "n_procs must be a whole number of 1 or more") for n in ("two", "[1]", "0", "-2", "1.5")),
        ("n_procs: yes", "not True"),
        ("n_procs:", "not None"),
        ("max_jobs: many", "max_jobs must be a whole number of 1 or more, not 'many'"),
        ("n_gpu_procs: -1", "n_gpu_procs must be a whole number of 0 or more"),
        ("memory_gb: x", "memory_gb must be a number above 0, not 'x'"),
        ("memory_gb: 0", "memory_gb must be a number above 0"),
        ("memory_gb: .nan", "memory_gb must be a number above 0"),
        ("mp_context: nope", "mp_context must be one of .*spawn.*, not 'nope'"),
    ],
)
@pytest.mark.parametrize("name", ["MultiProc", "Linear"])
def test_arguments_that_nipype_would_fail_on_are_refused_in_one_line(tmp_path, name, args, said):
    with pytest.raises(CommandError, match=said) as caught:
        plugin(tmp_path, f"plugin: {name}\nplugin_args:\n  {args}\n")
    assert caught.value.code == USAGE
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plugin: [", "not valid YAML"),
        ("- MultiProc", "names no plugin"),
        ("plugin_args: {}", "names no plugin"),
        ("plugin: MultiProc\nplugin_args: [1]", "not a table"),
        ("plugin: Nonsense", "MultiProc"),
        ("plugin: SLURMGraph", "does not wait"),
        ("plugin: !!python/object/apply:os.getcwd []", "not valid YAML"),
    ],
)
def test_what_is_no_plugin_is_refused_in_one_line(tmp_path, text, said):
    with pytest.raises(CommandError, match=said) as caught:
        plugin(tmp_path, text)
    assert caught.value.code == USAGE
    assert "\n" not in str(caught.value)
