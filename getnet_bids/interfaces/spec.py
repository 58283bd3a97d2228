"""Common parts of the interfaces to GetNet and N4: inputs, names of outputs, nipype's command line."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nipype.interfaces.base import BaseInterfaceInputSpec, File, SimpleInterface, Str, TraitedSpec, isdefined, traits
from nipype.interfaces.base.core import VALID_TERMINAL_OUTPUT
from nipype.utils.filemanip import split_filename

from getnet_bids import __version__

if TYPE_CHECKING:
    import numpy as np
    from nibabel.spatialimages import SpatialImage
    from numpy.typing import NDArray


class BiasFieldInputSpec(BaseInterfaceInputSpec):
    """Inputs with the same meaning for GetNet and nipype's N4BiasFieldCorrection, under N4's names."""

    input_image = File(mandatory=True, desc="image to correct, in 2-D, 3-D or 4-D: NIfTI or MGH")
    mask_image = File(desc="the field is fitted where this is above 0, and applied everywhere")
    weight_image = File(desc="weights of the voxels to which the field is fitted, such as a probability map")
    output_image = Str(
        name_source=["input_image"],
        name_template="%s_corrected",
        keep_extension=True,
        hash_files=False,
        desc="corrected image (default: <input_image>_corrected); %s stands for the input's name",
    )
    save_bias = traits.Bool(False, mandatory=True, usedefault=True, xor=["bias_image"], desc="save the field")
    bias_image = File(hash_files=False, desc="field (default, with save_bias: <input_image>_bias); implies save_bias")


class BiasFieldOutputSpec(TraitedSpec):
    """N4's outputs."""

    output_image = File(exists=True, desc="corrected image")
    bias_image = File(exists=True, desc="the field that the image was divided by; undefined unless asked for")


def output_path(given: str, source: str, suffix: str, folder: str) -> Path:
    """Return the path of an output, named as in N4.

    Parameters
    ----------
    given : str or Undefined
        The name set by the user, in which ``%s`` stands for the name of the source.
    source : str
        The input image.
    suffix : str
        Text after the source's name if no name was set.
    folder : str
        Folder of the node, to which names are relative.

    Returns
    -------
    Path
        Absolute path.

    Examples
    --------
    >>> from nipype.interfaces.base import Undefined
    >>> output_path(Undefined, "/data/sub-01_T1w.nii.gz", "_corrected", "/scratch").as_posix()
    '/scratch/sub-01_T1w_corrected.nii.gz'
    >>> output_path("n4_%s", "/data/sub-01_T1w.nii.gz", "_corrected", "/scratch").as_posix()
    '/scratch/n4_sub-01_T1w.nii.gz'
    >>> output_path("out.nii", "/data/sub-01_T1w.nii.gz", "_corrected", "/scratch").as_posix()
    '/scratch/out.nii'
    """
    _, stem, extension = split_filename(source)
    if not isdefined(given):
        return Path(folder, f"{stem}{suffix}{extension}")
    if "%s" in given:
        given = given.replace("%s", stem)
        given += "" if split_filename(given)[2] else extension
    return Path(folder, given)


def read_weights(path: str, image: SpatialImage) -> NDArray[np.float32]:
    """Read the weights of an image's voxels; raise an error if they are on another grid, or 0 everywhere."""
    from getnet_bids import images, masks

    weights = images.read(path)
    masks.mask_for(image, weights, path)
    return images.magnitudes(weights).reshape(image.shape[:3])


class CommandInterface(SimpleInterface):
    """An interface that can replace one of ANTs' commands in scripts that use the attributes of nipype's commands.

    Parameters
    ----------
    command : str, optional
        Ignored, since no command is run.
    terminal_output : str, optional
        As in nipype's commands, but nothing is ever printed.
    write_cmdline : bool
        Stored, but ignored.
    **inputs
        As for any interface.
    """

    _version = __version__
    _cmd = ""
    _num_threads: ClassVar[int] = 1
    _terminal_output: ClassVar[str] = "stream"

    def __init__(
        self, command: str | None = None, terminal_output: str | None = None, write_cmdline: bool = False, **inputs: Any
    ) -> None:
        super().__init__(**inputs)
        if "num_threads" not in inputs and self._num_threads != 1:
            self.inputs.num_threads = self._num_threads
        if terminal_output is not None:
            self.terminal_output = terminal_output
        self.write_cmdline = write_cmdline

    @classmethod
    def set_default_num_threads(cls, num_threads: int) -> None:
        """Set the default number of threads for new instances of this class."""
        cls._num_threads = num_threads

    @classmethod
    def set_default_terminal_output(cls, output_type: str) -> None:
        """Set the default of `terminal_output` for this class."""
        cls._terminal_output = checked_output(output_type)

    @property
    def terminal_output(self) -> str:
        """Destination of a command's output, of which there is none here."""
        return self.__dict__.get("own_terminal_output", self._terminal_output)

    @terminal_output.setter
    def terminal_output(self, value: str) -> None:
        self.__dict__["own_terminal_output"] = checked_output(value)

    @property
    def cmd(self) -> str:
        """The equivalent command."""
        return self._cmd

    @property
    def cmdline(self) -> str:
        """The equivalent command line; as in nipype's commands, an error if a mandatory input is missing."""
        self._check_mandatory_inputs()
        return shlex.join([self._cmd, *self._arguments()])

    def _pre_run_hook(self, runtime: Any) -> Any:
        self._results: dict[str, Any] = {}  # outputs of an earlier run with other inputs are not outputs of this one
        return runtime

    def _post_run_hook(self, runtime: Any) -> Any:
        runtime.cmdline, runtime.returncode, runtime.success_codes = self.cmdline, 0, (0,)
        runtime.stdout = runtime.stderr = runtime.merged = ""
        return runtime

    def _list_outputs(self) -> dict[str, Any]:
        """Return the outputs of the run; before a run, as in nipype's commands, the files that it would make."""
        if self._results:
            return self._results
        return {name: str(path) for name, path in self._paths(os.getcwd()).items()}

    def _paths(self, folder: str) -> dict[str, Path]:
        """Return the paths of the files that a run in a folder makes, by the names of the outputs."""
        inputs = self.inputs
        paths = {"output_image": output_path(inputs.output_image, inputs.input_image, "_corrected", folder)}
        if inputs.save_bias or isdefined(inputs.bias_image):
            paths["bias_image"] = output_path(inputs.bias_image, inputs.input_image, "_bias", folder)
        return paths

    def _arguments(self) -> list[str]:
        """Return the arguments of the equivalent command; each interface implements this."""
        raise NotImplementedError


def checked_output(value: str) -> str:
    """Return a value of `terminal_output` if nipype knows it, otherwise raise an error."""
    if value not in VALID_TERMINAL_OUTPUT:
        raise AttributeError(f"terminal_output must be one of {', '.join(VALID_TERMINAL_OUTPUT)}, not {value!r}")
    return value
