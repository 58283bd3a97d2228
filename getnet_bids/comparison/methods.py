"""The methods that GetNet can be compared with: an entry in the table at the end adds one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

GETNET = "GetNet"
"""Name of this package's method."""
OPTIONS = ("compare", "segmentation", "template", "simulate_gain", "random_seed", "gain_seed", "given")
"""Options that the recipe of a comparison adds to that of the correction."""


@dataclass(frozen=True)
class Method:
    """A method of bias field correction.

    Parameters
    ----------
    name : str
        Letters and digits, used in tables and figures, and in file names as ``desc-<name>``.
    long_name : str
        Name for descriptions.
    workflow : str
        ``module:function`` of a function that builds a workflow with the arguments, inputs and outputs of
        `getnet_bids.workflows.init_n4_wf`, named ``<name in lower case>_wf``; imported when a comparison runs.
    scale : str
        A sentence on the scale of its field, for the field's sidecar.
    packages : tuple of str
        Distributions whose versions affect its results.
    """

    name: str
    long_name: str
    workflow: str
    scale: str
    packages: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The name in lower case, for the names of nipype inputs and outputs."""
        return self.name.lower()

    @property
    def builder(self) -> Callable[..., Any]:
        """The function that builds its workflow."""
        module, _, function = self.workflow.partition(":")
        return getattr(import_module(module), function)


METHODS: dict[str, Method] = {
    "n4": Method(
        name="N4",
        long_name="N4 (ANTs)",
        workflow="getnet_bids.workflows:init_n4_wf",
        scale="Its scale is N4's own.",
        packages=("antspyx",),
    ),  # Tustison et al., IEEE TMI 2010
}
"""The methods by their names for ``--compare``."""


def names() -> list[str]:
    """Return the names of GetNet and of all methods, in the order of tables and pages."""
    return [GETNET, *(method.name for method in METHODS.values())]
