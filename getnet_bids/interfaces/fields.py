"""Nodes that multiply an image by a known field, divide a series by a field, or average volumes for an estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MeanVolumeInputSpec(BaseInterfaceInputSpec):
    """Inputs of `MeanVolume`."""

    input_image = File(mandatory=True, desc="image in 3-D or 4-D")
    bvals = File(
        exists=True, desc="b-values of a diffusion series, of which only volumes with b up to 50 s/mm2 are averaged"
    )


class MeanVolumeOutputSpec(TraitedSpec):
    """Outputs of `MeanVolume`."""

    output_image = File(exists=True, desc="the mean, float32: <input_image>_mean")
    volumes = traits.List(traits.Int, desc="the volumes that were averaged, counted from 0")
    description = Str(desc="description of these volumes")


class MeanVolume(SimpleInterface):
    """Average the volumes of a series from which its field is estimated, as the BIDS App does.

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
        from getnet_bids.bvals import bvals_of, volumes_for_field
        from getnet_bids.series import mean_image, volumes_in

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
    """Divide each volume of an image by the same field, reading one volume at a time.

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
        images.check_outputs([path], [source, self.inputs.bias_image])
        divide(source, images.read(self.inputs.bias_image), path)
        self._results["output_image"] = str(path)
        return runtime


COARSE_GRID = 48
"""Points along the longest side of the grid on which fields are drawn, which is much finer than their variation."""
CORRELATION_LENGTH = 0.45
"""Correlation length as a fraction of the object's extent: about 100 mm in a head, as at 3 T."""


class SimulateGainInputSpec(BaseInterfaceInputSpec):
    """Inputs of `SimulateGain`."""

    input_image = File(mandatory=True, desc="image in 2-D, 3-D or 4-D; all volumes of a 4-D image get the same field")
    percent = traits.Range(
        low=0.0,
        high=100.0,
        value=30.0,
        exclude_high=True,
        usedefault=True,
        desc="p: the field spans 1 - p/100 to 1 + p/100 over the foreground",
    )
    seed = traits.Range(low=0, value=0, usedefault=True, desc="seed of the random field")
    length = traits.Range(
        low=0.0, exclude_low=True, desc="correlation length of the field, mm (default 0.45 of the object's extent)"
    )
    mask_image = File(desc="the field spans its range where this is above 0 (default: the foreground)")


class SimulateGainOutputSpec(TraitedSpec):
    """Outputs of `SimulateGain`."""

    output_image = File(exists=True, desc="image times field: <input_image>_gain<percent>")
    bias_image = File(exists=True, desc="the field: <input_image>_gain<percent>_bias")


class SimulateGain(SimpleInterface):
    """Multiply an image by a known random smooth field.

    The field is a Gaussian random field (`getnet_bids.core.gain.smooth_log_gain`), scaled linearly so that it spans the
    given range over the foreground; elsewhere it is limited to this range.

    Examples
    --------
    >>> from getnet_bids.interfaces import SimulateGain
    >>> simulate = SimulateGain(input_image="sub-01_T1w.nii.gz", percent=30, seed=1)
    >>> simulate.run().outputs.bias_image  # doctest: +SKIP
    '/scratch/sub-01_T1w_gain30_bias.nii.gz'
    """

    input_spec = SimulateGainInputSpec
    output_spec = SimulateGainOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from getnet_bids import images, masks

        inputs = self.inputs
        image = images.read(inputs.input_image)
        voxels = images.magnitudes(image).reshape(image.shape[:4])
        if isdefined(inputs.mask_image):
            inside = masks.read_mask(inputs.mask_image, image)
        else:
            inside = masks.foreground_of(image, inputs.input_image)
        length = inputs.length if isdefined(inputs.length) else None
        field = gain_field(inside, images.voxel_size(image), inputs.percent, inputs.seed, length)
        shaded = voxels * (field if voxels.ndim < 4 else field[..., None])
        for name, data, suffix in (("output_image", shaded.reshape(image.shape), ""), ("bias_image", field, "_bias")):
            path = output_path(Undefined, inputs.input_image, f"_gain{inputs.percent:g}{suffix}", runtime.cwd)
            images.write(images.like(image, data), path)
            self._results[name] = str(path)
        return runtime


def gain_field(
    inside: NDArray[np.bool_], voxel: tuple[float, ...], percent: float, seed: int, length: float | None = None
) -> NDArray[np.float32]:
    """Draw a random field that spans a given range.

    Parameters
    ----------
    inside : ndarray of bool, shape (X, Y) or (X, Y, Z)
        Voxels over which it spans the range.
    voxel : tuple of float
        Size of a voxel, mm.
    percent : float
        The range is 1 - percent/100 to 1 + percent/100.
    seed : int
    length : float, optional
        Correlation length, mm; default `CORRELATION_LENGTH` of the longest side of the box around `inside`.

    Returns
    -------
    ndarray, float32, shape of `inside`
    """
    import numpy as np
    import torch
    from scipy import ndimage

    from getnet_bids.core.gain import smooth_log_gain
    from getnet_bids.core.signs import sides

    extent = [n * v for n, v in zip(inside.shape, voxel, strict=True)]
    if length is None:
        length = CORRELATION_LENGTH * max(sides(inside, voxel))
    grid = [max(1, round(COARSE_GRID * e / max(extent))) for e in extent]
    generator = torch.Generator().manual_seed(seed)
    coarse = (
        smooth_log_gain(grid, torch.tensor([length / max(extent)], dtype=torch.float32), generator)[0]
        .numpy()
        .astype(np.float64)
    )
    factors = [n / g for n, g in zip(inside.shape, grid, strict=True)]
    drawn = ndimage.zoom(coarse, factors, order=3, mode="nearest", grid_mode=True)
    low, high = drawn[inside].min(), drawn[inside].max()
    share = np.clip((drawn - low) / max(high - low, np.finfo(np.float64).tiny), 0, 1)
    return (1 + percent / 100 * (2 * share - 1)).astype(np.float32)
