"""The N4 of ANTs, through antspyx or ANTs' own binary, with GetNetCorrection's inputs and outputs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from nipype.interfaces.base import File, SimpleInterface, Tuple, isdefined, traits

from .spec import BiasFieldInputSpec, BiasFieldOutputSpec, output_path

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class N4CorrectionInputSpec(BiasFieldInputSpec):
    """Inputs of `N4Correction`: those of nipype's N4BiasFieldCorrection, and which N4 it is."""

    backend = traits.Enum("antspyx", "ants", usedefault=True, desc="the Python package, or ANTs' binary on the PATH")
    copy_header = traits.Bool(False, usedefault=True, nohash=True, desc="ignored: the header is always kept")
    weight_image = File(desc="weights of the voxels in the fit of the spline")
    dimension = traits.Enum(3, 2, 4, usedefault=True, nohash=True, desc="ignored: the file's own counts")
    shrink_factor = traits.Int(desc="default: the backend's (4)")
    n_iterations = traits.List(traits.Int(), desc="at most, at each level; default: the backend's (50, 50, 50, 50)")
    convergence_threshold = traits.Float(requires=["n_iterations"], desc="default: 1e-7 with antspyx, 0 with ants")
    bspline_fitting_distance = traits.Float(desc="mm, with antspyx whole ones; default: a mesh of one element")
    bspline_order = traits.Int(requires=["bspline_fitting_distance"], desc="with antspyx always 3")
    rescale_intensities = traits.Bool(False, usedefault=True, desc="to the range that the image had in the mask")
    histogram_sharpening = Tuple(
        traits.Float, traits.Float, traits.Int, desc="FWHM, Wiener noise, bins; with antspyx always (0.15, 0.01, 200)"
    )
    num_threads = traits.Int(
        1, usedefault=True, nohash=True, desc="of ITK, which fixes it once per process; -1: as ITK has it"
    )


class N4CorrectionOutputSpec(BiasFieldOutputSpec):
    """N4's outputs and its time."""

    seconds = traits.Float(desc="that N4 took, reading and writing the files apart")


class N4Correction(SimpleInterface):
    """Correct the intensity of an image by N4 (Tustison et al., IEEE TMI 2010), to compare GetNet with.

    What is not set is as the backend has it. As in `GetNetCorrection`, volumes of a 4-D image share one field, that
    of their mean, headers are kept and the results are float32. As N4 has it, the field has any scale, and outside a
    mask the image stays as it was.

    Examples
    --------
    >>> from getnet_bids.interfaces import N4Correction
    >>> n4 = N4Correction(input_image="sub-01_T1w.nii.gz", save_bias=True)
    >>> n4.run().outputs.seconds  # doctest: +SKIP
    38.2
    """

    input_spec = N4CorrectionInputSpec
    output_spec = N4CorrectionOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        import numpy as np

        from getnet_bids import images, masks

        from .n4_backends import antspyx_field, binary_field

        inputs = self.inputs
        corrected = output_path(inputs.output_image, inputs.input_image, "_corrected", runtime.cwd)
        bias = None
        if inputs.save_bias or isdefined(inputs.bias_image):
            bias = output_path(inputs.bias_image, inputs.input_image, "_bias", runtime.cwd)
        for path in (corrected, bias):
            if path is not None:
                images.extension(path)
        image = images.read(inputs.input_image)
        voxels = images.magnitudes(image).reshape(image.shape[:4])
        volume = voxels if voxels.ndim < 4 else voxels.mean(3)
        mask = weight = None
        if isdefined(inputs.mask_image):
            mask = masks.read_mask(inputs.mask_image, image)
        if isdefined(inputs.weight_image):
            given = images.read(inputs.weight_image)
            masks.mask_for(image, given, inputs.weight_image)  # refuses another grid, and all zeros
            weight = images.magnitudes(given).reshape(volume.shape)

        estimate = antspyx_field if inputs.backend == "antspyx" else binary_field
        # To N4 a volume of one slice has to be a slice.
        spacing = [size for size, n in zip(images.voxel_size(image), volume.shape, strict=True) if n > 1]
        squeezed: list[Any] = [None if a is None else a.squeeze() for a in (volume, mask, weight)]
        started = time.perf_counter()
        field = estimate(squeezed[0], spacing, squeezed[1], squeezed[2], inputs).reshape(volume.shape)
        self._results["seconds"] = time.perf_counter() - started

        result: NDArray[np.floating] = voxels / (field if voxels.ndim < 4 else field[..., None])
        inside = np.ones(volume.shape, bool) if mask is None else mask
        if inputs.rescale_intensities:
            result = rescaled(result, voxels, inside)
        # As N4 itself has it: outside the mask the image stays as it was.
        result = np.where(inside if voxels.ndim < 4 else inside[..., None], result, voxels)
        if bias is not None:
            images.write(images.like(image, field), bias)
            self._results["bias_image"] = str(bias)
        images.write(images.like(image, result.reshape(image.shape)), corrected)
        self._results["output_image"] = str(corrected)
        return runtime


def rescaled(
    corrected: NDArray[np.floating], image: NDArray[np.floating], inside: NDArray[np.bool_]
) -> NDArray[np.floating]:
    """Bring a corrected image to the range that the image had inside the mask, as N4's own option does.

    Examples
    --------
    >>> import numpy as np
    >>> rescaled(np.array([1.0, 2.0, 3.0]), np.array([0.0, 10.0, 40.0]), np.ones(3, bool)).tolist()
    [0.0, 20.0, 40.0]
    """
    low, high = image[inside].min(), image[inside].max()
    least, most = corrected[inside].min(), corrected[inside].max()
    return high - (most - corrected) * ((high - low) / (most - least))
