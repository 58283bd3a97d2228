"""N4's field of a volume, by antspyx or by ANTs' own binary."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from nipype.interfaces.base import isdefined
from numpy.typing import NDArray

from getnet_bids.errors import GetNetError

from .threads import itk_threads

BINARY = "N4BiasFieldCorrection"
SETTINGS = (
    "shrink_factor",
    "n_iterations",
    "convergence_threshold",
    "bspline_fitting_distance",
    "bspline_order",
    "histogram_sharpening",
)
Volume = NDArray[np.float32]


def antspyx_field(volume: Volume, spacing: list[float], mask: Any, weight: Any, inputs: Any) -> Volume:
    """Estimate the field by antspyx.

    Parameters
    ----------
    volume : ndarray, shape (X, Y) or (X, Y, Z), float32
    spacing : list of float
        mm.
    mask, weight : ndarray or None
        On the same grid.
    inputs : N4CorrectionInputSpec
        The settings; what is undefined is as antspyx has it.

    Returns
    -------
    ndarray, float32, shape of the volume

    Raises
    ------
    ValueError
        A setting that antspyx does not have.
    """
    itk_threads(inputs.num_threads)
    import ants

    settings: dict[str, Any] = {}
    if isdefined(inputs.shrink_factor):
        settings["shrink_factor"] = inputs.shrink_factor
    if isdefined(inputs.n_iterations):
        tolerance = inputs.convergence_threshold if isdefined(inputs.convergence_threshold) else 1e-7
        settings["convergence"] = {"iters": list(inputs.n_iterations), "tol": tolerance}
    if isdefined(inputs.bspline_fitting_distance):
        if inputs.bspline_fitting_distance != round(inputs.bspline_fitting_distance):
            raise GetNetError(
                "antspyx takes a bspline_fitting_distance in whole mm; round it, or set backend to 'ants'"
            )
        settings["spline_param"] = round(inputs.bspline_fitting_distance)
    for name, fixed in (("bspline_order", 3), ("histogram_sharpening", (0.15, 0.01, 200))):
        if isdefined(getattr(inputs, name)) and getattr(inputs, name) != fixed:
            raise GetNetError(f"antspyx has no {name} other than {fixed}; leave it out, or set backend to 'ants'")

    def as_ants(array: Any) -> Any:
        return None if array is None else ants.from_numpy(array.astype(np.float32), spacing=tuple(spacing))

    field = ants.n4_bias_field_correction(
        as_ants(volume), mask=as_ants(mask), weight_mask=as_ants(weight), return_bias_field=True, **settings
    )
    return field.numpy()


def binary_field(volume: Volume, spacing: list[float], mask: Any, weight: Any, inputs: Any) -> Volume:
    """Estimate the field by ANTs' binary, through nipype's interface; otherwise as `antspyx_field`.

    Raises
    ------
    FileNotFoundError
        There is no such binary on the PATH.
    """
    import nibabel as nib
    from nipype.interfaces.ants import N4BiasFieldCorrection

    if shutil.which(BINARY) is None:
        raise FileNotFoundError(f"{BINARY} is not on the PATH; install ANTs, or set backend to 'antspyx'")
    settings = {name: getattr(inputs, name) for name in SETTINGS if isdefined(getattr(inputs, name))}
    with TemporaryDirectory() as folder:
        files = {}
        for name, array in (("input_image", volume), ("mask_image", mask), ("weight_image", weight)):
            if array is not None:
                files[name] = str(Path(folder, f"{name}.nii"))
                stored = np.asarray(array, np.uint8 if array.dtype == bool else np.float32)
                nib.Nifti1Image(stored, np.diag([*spacing, *[1.0] * (4 - len(spacing))])).to_filename(files[name])
        bias = str(Path(folder, "bias.nii"))
        N4BiasFieldCorrection(
            dimension=volume.ndim,
            output_image=str(Path(folder, "corrected.nii")),
            bias_image=bias,
            num_threads=inputs.num_threads,
            **files,
            **settings,
        ).run(cwd=folder)
        return np.asarray(nib.Nifti1Image.from_filename(bias).dataobj, dtype=np.float32).reshape(volume.shape)
