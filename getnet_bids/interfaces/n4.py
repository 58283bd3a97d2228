"""ANTs' N4, through antspyx or ANTs' own binary, with the inputs and outputs of GetNetCorrection."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from nipype.interfaces.base import File, Str, Tuple, isdefined, traits
from numpy.typing import NDArray

from getnet_bids.errors import GetNetError

from .spec import BiasFieldInputSpec, BiasFieldOutputSpec, CommandInterface, read_weights

BINARY = "N4BiasFieldCorrection"
THREADS_VARIABLE = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"
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
    """Estimate the field with antspyx.

    Parameters
    ----------
    volume : ndarray, shape (X, Y) or (X, Y, Z), float32
    spacing : list of float
        Voxel size, mm.
    mask, weight : ndarray or None
        On the same grid.
    inputs : N4CorrectionInputSpec
        The settings; undefined ones have antspyx's defaults.

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
    """Estimate the field with ANTs' binary through nipype's interface; otherwise like `antspyx_field`.

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


def itk_threads(count: int) -> None:
    """Set the number of ITK's threads in this process.

    ITK reads the environment only once, when it first needs the number, so call this before anything of antspyx runs.
    A variable that the user has exported takes precedence.

    Parameters
    ----------
    count : int
        Number of threads; -1 changes nothing.
    """
    if count > 0:
        os.environ.setdefault(THREADS_VARIABLE, str(count))


def itk_device(count: int) -> str:
    """Return ``cpu`` with the number of ITK's threads, if it is known, for `count` as in `itk_threads`."""
    number = os.environ.get(THREADS_VARIABLE) or (count if count > 0 else None)
    return f"cpu ({number} threads)" if number else "cpu"


class N4CorrectionInputSpec(BiasFieldInputSpec):
    """Inputs of `N4Correction`: those of nipype's N4BiasFieldCorrection, and the backend."""

    backend = traits.Enum("antspyx", "ants", usedefault=True, desc="the Python package, or ANTs' binary on the PATH")
    copy_header = traits.Bool(False, usedefault=True, nohash=True, desc="ignored: the header is always kept")
    weight_image = File(desc="weights of the voxels in the fit of the spline")
    dimension = traits.Enum(3, 2, 4, usedefault=True, nohash=True, desc="ignored: the dimension is that of the file")
    shrink_factor = traits.Int(desc="default: the backend's (4)")
    n_iterations = traits.List(
        traits.Int(), desc="largest number of iterations at each level; default: the backend's (50, 50, 50, 50)"
    )
    convergence_threshold = traits.Float(requires=["n_iterations"], desc="default: 1e-7 with antspyx, 0 with ants")
    bspline_fitting_distance = traits.Float(desc="in mm, a whole number with antspyx; default: a mesh of one element")
    bspline_order = traits.Int(requires=["bspline_fitting_distance"], desc="always 3 with antspyx")
    rescale_intensities = traits.Bool(
        False, usedefault=True, desc="rescale intensities to the range of the input in the mask"
    )
    histogram_sharpening = Tuple(
        traits.Float, traits.Float, traits.Int, desc="FWHM, Wiener noise, bins; always (0.15, 0.01, 200) with antspyx"
    )
    num_threads = traits.Int(
        1,
        usedefault=True,
        nohash=True,
        desc="threads of ITK, which sets the number once per process; -1: ITK's default",
    )


class N4CorrectionOutputSpec(BiasFieldOutputSpec):
    """N4's outputs, its time and its device."""

    seconds = traits.Float(desc="time of N4, without reading and writing files")
    device = Str(desc="cpu, and the number of threads")


class N4Correction(CommandInterface):
    """Correct the bias field of an image by N4 (Tustison et al., IEEE TMI 2010), for comparison with GetNet.

    Settings that are not given have the backend's defaults. As in `GetNetCorrection`, the volumes of a 4-D image share
    one field, that of their mean, headers are kept and the results are float32. As usual for N4, the scale of the field
    is arbitrary, and outside a mask the image is unchanged.

    Examples
    --------
    >>> from getnet_bids.interfaces import N4Correction
    >>> n4 = N4Correction(input_image="sub-01_T1w.nii.gz", save_bias=True)
    >>> n4.run().outputs.seconds  # doctest: +SKIP
    38.2
    """

    input_spec = N4CorrectionInputSpec
    output_spec = N4CorrectionOutputSpec
    _cmd = BINARY

    def _arguments(self) -> list[str]:
        from nipype.interfaces.ants import N4BiasFieldCorrection

        taken = (*SETTINGS, "rescale_intensities", "input_image", "mask_image", "weight_image")
        given = {name: value for name in taken if isdefined(value := getattr(self.inputs, name))}
        given |= {name: str(path) for name, path in self._paths("").items()}
        ants = N4BiasFieldCorrection(dimension=self.inputs.dimension, **given)
        return shlex.split(ants.cmdline)[1:]

    def _run_interface(self, runtime: Any) -> Any:
        from getnet_bids import images, masks

        inputs = self.inputs
        paths = self._paths(runtime.cwd)
        read = (inputs.input_image, inputs.mask_image, inputs.weight_image)
        images.check_outputs(list(paths.values()), filter(isdefined, read))
        image = images.read(inputs.input_image)
        voxels = images.magnitudes(image).reshape(image.shape[:4])
        volume = voxels if voxels.ndim < 4 else voxels.mean(3)
        mask = weight = None
        if isdefined(inputs.mask_image):
            mask = masks.read_mask(inputs.mask_image, image)
        if isdefined(inputs.weight_image):
            weight = read_weights(inputs.weight_image, image)

        estimate = antspyx_field if inputs.backend == "antspyx" else binary_field
        # N4 needs a volume of one slice to be two-dimensional.
        spacing = [size for size, n in zip(images.voxel_size(image), volume.shape, strict=True) if n > 1]
        squeezed: list[Any] = [None if a is None else a.squeeze() for a in (volume, mask, weight)]
        started = time.perf_counter()
        field = estimate(squeezed[0], spacing, squeezed[1], squeezed[2], inputs).reshape(volume.shape)
        self._results["seconds"] = time.perf_counter() - started
        self._results["device"] = itk_device(inputs.num_threads)

        result: NDArray[np.floating] = voxels / (field if voxels.ndim < 4 else field[..., None])
        inside = np.ones(volume.shape, bool) if mask is None else mask
        if inputs.rescale_intensities:
            result = rescaled(result, voxels, inside)
        # As in N4 itself, the image is unchanged outside the mask.
        result = np.where(inside if voxels.ndim < 4 else inside[..., None], result, voxels)
        data = {"output_image": result.reshape(image.shape), "bias_image": field}
        for name, path in paths.items():
            images.write(images.like(image, data[name]), path)
            self._results[name] = str(path)
        return runtime


def rescaled(
    corrected: NDArray[np.floating], image: NDArray[np.floating], inside: NDArray[np.bool_]
) -> NDArray[np.floating]:
    """Scale a corrected image to the range of the input inside the mask, as N4's own option does.

    Examples
    --------
    >>> import numpy as np
    >>> rescaled(np.array([1.0, 2.0, 3.0]), np.array([0.0, 10.0, 40.0]), np.ones(3, bool)).tolist()
    [0.0, 20.0, 40.0]
    """
    low, high = image[inside].min(), image[inside].max()
    least, most = corrected[inside].min(), corrected[inside].max()
    return high - (most - corrected) * ((high - low) / (most - least))
