"""What GetNet's and N4's interfaces have in common: the inputs, and how outputs are named."""

from __future__ import annotations

from pathlib import Path

from nipype.interfaces.base import BaseInterfaceInputSpec, File, Str, TraitedSpec, isdefined, traits
from nipype.utils.filemanip import split_filename


class BiasFieldInputSpec(BaseInterfaceInputSpec):
    """Inputs that mean the same to GetNet and to nipype's N4BiasFieldCorrection, under N4's names."""

    input_image = File(mandatory=True, desc="image to correct, in 2-D, 3-D or 4-D: NIfTI or MGH")
    mask_image = File(desc="the field is fitted where this is above 0; it is given, and applied, everywhere")
    weight_image = File(desc="weights of the voxels that the field is fitted to, such as a probability map")
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
    bias_image = File(exists=True, desc="the field that it was divided by; undefined unless asked for")


def output_path(given: str, source: str, suffix: str, folder: str) -> Path:
    """Name an output as N4 does.

    Parameters
    ----------
    given : str or Undefined
        What the user set: a name, or one with ``%s`` for the source's.
    source : str
        The input image.
    suffix : str
        What comes after the source's name where nothing was set.
    folder : str
        The node's, against which names are taken.

    Returns
    -------
    Path
        Absolute.

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
