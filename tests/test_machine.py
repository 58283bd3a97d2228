"""What a process may have, told from folders laid out as Linux lays out control groups."""

from __future__ import annotations

import os
import platform

import pytest

from getnet_bids import machine
from getnet_bids.machine import memory_limit, memory_of_machine, processors

HERE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def lay_out(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("files", "cores", "memory"),
    [
        # Version 2, a job within a slice: the least of all levels counts.
        (
            {
                "own": "0::/slurm/job_7\n",
                "groups/slurm/cpu.max": "100000 100000\n",
                "groups/slurm/memory.max": "8000000000\n",
                "groups/slurm/job_7/cpu.max": "max 100000\n",
                "groups/slurm/job_7/memory.max": "4000000000\n",
            },
            1,
            4_000_000_000,
        ),
        # Version 2 in a container: the files are at the root, the name is the host's.
        ({"own": "0::/../x\n", "groups/cpu.max": "50000 100000\n", "groups/memory.max": "max\n"}, 1, None),
        # Version 1, which has a huge number where there is no limit.
        (
            {
                "own": "4:memory:/job\n1:cpu,cpuacct:/\n",
                "groups/memory/job/memory.limit_in_bytes": "3000000000\n",
                "groups/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "groups/cpu/cpu.cfs_quota_us": "-1\n",
                "groups/cpu/cpu.cfs_period_us": "100000\n",
            },
            HERE,
            3_000_000_000,
        ),
        ({"own": ""}, HERE, None),
    ],
    ids=["slurm", "container", "version-1", "none"],
)
def test_limits_of_control_groups(tmp_path, files, cores, memory):
    own, root = tmp_path / "own", tmp_path / "groups"
    lay_out(tmp_path, files)
    assert processors(root, own) == cores
    assert memory_limit(root, own) == memory


def test_the_machines_memory(tmp_path):
    path = tmp_path / "meminfo"
    path.write_text("MemTotal:       16000 kB\nMemFree:  1 kB\nMemAvailable:    8000 kB\nHugePages_Total:       0\n")
    assert memory_of_machine(path) == (16_384_000, 8_192_000)
    assert memory_of_machine(tmp_path / "none") is None


def test_the_processors_name(tmp_path, monkeypatch):
    facts = tmp_path / "cpuinfo"
    facts.write_text("processor\t: 0\nmodel name\t: Some Processor 9000\nmodel name\t: Another\n")
    monkeypatch.setattr(machine, "CPUINFO", facts)
    assert machine.processor_name() == "Some Processor 9000"
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "none")
    assert machine.processor_name() == (platform.processor() or platform.machine())
