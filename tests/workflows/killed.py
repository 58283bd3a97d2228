"""A node whose worker is killed while it runs, as by the kernel's out-of-memory killer."""

import os
import signal

from nipype.interfaces.base import BaseInterfaceInputSpec, SimpleInterface, TraitedSpec, traits


class KilledInputSpec(BaseInterfaceInputSpec):
    number = traits.Int(0, usedefault=True)


class KilledOutputSpec(TraitedSpec):
    out = traits.Int()


class Killed(SimpleInterface):
    """Kill the process that runs it."""

    input_spec = KilledInputSpec
    output_spec = KilledOutputSpec

    def _run_interface(self, runtime):
        os.kill(os.getpid(), signal.SIGKILL)
