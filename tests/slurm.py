"""Whether a SLURM runs on this machine."""

from __future__ import annotations

import re
import shutil
import subprocess


def slurm_runs() -> bool:
    """Return whether there is a SLURM with a node that takes jobs."""
    if shutil.which("sbatch") is None or shutil.which("sinfo") is None:
        return False
    asked = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True)
    return asked.returncode == 0 and bool(re.search("idle|mix|alloc", asked.stdout))
