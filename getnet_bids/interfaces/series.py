"""Nodes for series: the mean of the volumes that a field is estimated from, and division of a series by a field."""

from __future__ import annotations

from typing import Any

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    Str,
    TraitedSpec,
    Undefined,
    isdefined,
    traits,
)

from .spec import output_path


class MeanVolumeInputSpec(BaseInterfaceInputSpec):
    """Inputs of `MeanVolume`."""

    input_image = File(mandatory=True, desc="image in 3-D or 4-D")
    bvals = File(exists=True, desc="b-values of a diffusion series: volumes with b up to 50 s/mm2 alone are averaged")


class MeanVolumeOutputSpec(TraitedSpec):
    """Outputs of `MeanVolume`."""

    output_image = File(exists=True, desc="the mean, float32: <input_image>_mean")
    volumes = traits.List(traits.Int, desc="the volumes that were averaged, from 0")
    description = Str(desc="what they are, in words")


class MeanVolume(SimpleInterface):
    """Average the volumes of a series that its field is estimated from, as the BIDS App does.

    Examples
    --------
    >>> from getnet_bids.interfaces import MeanVolume
    >>> mean = MeanVolume(input_image="sub-01_dwi.nii.gz")
    >>> mean.run().outputs.output_image  # doctest: +SKIP
    '/scratch/sub-01_dwi_mean.nii.gz'
    """

    input_spec = MeanVolumeInputSpec
    output_spec = MeanVolumeOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from getnet_bids import images
        from getnet_bids.series import bvals_of, mean_image, volumes_for_field, volumes_in

        source = self.inputs.input_image
        bvals = self.inputs.bvals if isdefined(self.inputs.bvals) else None
        count = volumes_in(source)
        volumes, text = volumes_for_field(count, bvals_of(bvals), source)
        path = output_path(Undefined, source, "_mean", runtime.cwd)
        images.write(mean_image(source, volumes), path)
        listed = list(range(count)) if volumes is None else volumes
        self._results |= {"output_image": str(path), "volumes": listed, "description": text}
        return runtime


class ApplyFieldInputSpec(BaseInterfaceInputSpec):
    """Inputs of `ApplyField`."""

    input_image = File(exists=True, mandatory=True, desc="NIfTI image in 3-D or 4-D")
    bias_image = File(exists=True, mandatory=True, desc="the field, on the same grid")
    output_image = Str(desc="corrected image (default: <input_image>_corrected); %s stands for the input's name")


class ApplyFieldOutputSpec(TraitedSpec):
    """Output of `ApplyField`."""

    output_image = File(exists=True, desc="corrected image, float32")


class ApplyField(SimpleInterface):
    """Divide each volume of an image by one field; volumes are read one at a time.

    Examples
    --------
    >>> from getnet_bids.interfaces import ApplyField
    >>> apply = ApplyField()
    >>> apply.inputs.input_image = "sub-01_dwi.nii.gz"  # doctest: +SKIP
    """

    input_spec = ApplyFieldInputSpec
    output_spec = ApplyFieldOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from getnet_bids import images
        from getnet_bids.series import divide

        source = self.inputs.input_image
        path = output_path(self.inputs.output_image, source, "_corrected", runtime.cwd)
        divide(source, images.read(self.inputs.bias_image), path)
        self._results["output_image"] = str(path)
        return runtime
