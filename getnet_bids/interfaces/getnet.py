"""GetNet as a nipype interface that can replace N4BiasFieldCorrection."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from nipype import logging
from nipype.interfaces.base import File, Str, Tuple, isdefined, traits

from getnet_bids.core import ALGORITHM, BATCH_SIZE, PRECISIONS
from getnet_bids.errors import GetNetError, errors_about
from getnet_bids.weights import default_weights

from .spec import BiasFieldInputSpec, BiasFieldOutputSpec, CommandInterface, output_path, read_weights

LOGGER = logging.getLogger("nipype.interface")


def without_meaning(kind: Any, *args: Any, **metadata: Any) -> Any:
    """Make an input of N4 that is accepted and ignored; it has no effect, so it is not part of the hash either."""
    return kind(*args, nohash=True, ignored=True, desc="input of N4; accepted and ignored", **metadata)


class GetNetCorrectionInputSpec(BiasFieldInputSpec):
    """Inputs of `GetNetCorrection`."""

    copy_header = traits.Bool(
        False,
        usedefault=True,
        nohash=True,
        desc="N4 copies the input's header if this is set; GetNet always keeps it",
    )
    weight_image = File(desc="the field is fitted where this is at least half of its maximum (and in the mask)")
    bvals = File(
        exists=True,
        desc="b-values of a diffusion series, whose field is estimated from the mean of the volumes with b up to 50 "
        "s/mm2",
    )
    output_uncertainty = Str(
        desc="write a map of the standard deviation of the log field; %s stands for the input's name"
    )
    weights = File(exists=True, desc="the network's weights, a safetensors file (default: the package's own)")
    algorithm = traits.Enum(
        ALGORITHM,
        usedefault=True,
        desc="number of this version's algorithm, the only value; so nipype does not reuse the results of another one",
    )
    refine = traits.Bool(True, usedefault=True, desc="refine the network's field with the image's own tissues")
    smoothness = traits.Float(
        desc="smoothness of the field, mm: it has no half waves shorter than a third to a half of this (default: 100 "
        "for a head, scaled to the size of other objects)"
    )
    precision = traits.Enum(
        *PRECISIONS, usedefault=True, desc="precision of the network; auto: bfloat16 if the device supports it"
    )
    output_dtype = traits.Enum(
        "float32",
        "same",
        usedefault=True,
        desc="data type of the corrected image; same: as the input, rounded, never clipped",
    )
    compress = traits.Range(low=1, high=9, value=1, usedefault=True, nohash=True, desc="gzip level")
    use_gpu = traits.Bool(
        False, usedefault=True, nohash=True, desc="take one of the plugin's GPU slots; the device auto then means CUDA"
    )
    device = Str(
        "auto",
        usedefault=True,
        nohash=True,
        desc="cpu, cuda, cuda:N or mps; auto: CUDA if use_gpu is set and it is available, otherwise the CPU",
    )
    batch_size = traits.Range(
        low=1,
        value=BATCH_SIZE,
        usedefault=True,
        nohash=True,
        desc="number of slices that the network processes at a time",
    )
    num_threads = traits.Int(
        1, usedefault=True, nohash=True, desc="threads on the CPU (default: 1, as in all of ANTs); -1: torch's default"
    )

    dimension = without_meaning(traits.Enum, 3, 2, 4, usedefault=True)
    shrink_factor = without_meaning(traits.Int)
    n_iterations = without_meaning(traits.List, traits.Int)
    convergence_threshold = without_meaning(traits.Float)
    bspline_fitting_distance = without_meaning(traits.Float)
    bspline_order = without_meaning(traits.Int)
    rescale_intensities = without_meaning(traits.Bool, False, usedefault=True)
    histogram_sharpening = without_meaning(Tuple, traits.Float, traits.Float, traits.Int)
    args = without_meaning(Str)
    environ = without_meaning(traits.DictStrStr, usedefault=True)


class GetNetCorrectionOutputSpec(BiasFieldOutputSpec):
    """N4's outputs, the verdict and the time."""

    output_uncertainty = File(exists=True, desc="map of the standard deviation of the log field, if asked for")
    verdict = Str(desc="corrected, nothing to correct, or doubtful")
    reasons = traits.List(Str, desc="reasons why the result is doubtful, each with what to do")
    field_sd_median = traits.Float(desc="standard deviation of the estimated log field: median over the foreground")
    field_sd_p95 = traits.Float(desc="the same: 95th percentile over the foreground")
    known_fields_found = traits.Float(desc="fraction of known fields on the image's slices which the network found")
    negative_values = traits.Bool(desc="of niworkflows' N4: whether an offset was added to the input; here never")
    seconds = traits.Float(desc="time of the correction, without reading and writing files")
    device = Str(desc="the device that computed the field, and its type or the number of threads")


class GetNetCorrection(CommandInterface):
    """Correct the bias field of an image by GetNet, in place of N4BiasFieldCorrection.

    Inputs with the same meaning have N4's names; outputs and their default names are N4's. Inputs that only N4 has
    (iterations, shrink factor, spline ...) are accepted and ignored, with one line in the log. The dimension is that of
    the file, not the input `dimension`; the volumes of a 4-D image share one field, and are read one at a time.

    The result is, bit for bit, that of `getnet_bids.correct` on the same device, whatever the number of threads. Inputs
    that change it by rounding at most (device, batch size, threads) do not enter the hash.

    Examples
    --------
    >>> from getnet_bids.interfaces import GetNetCorrection
    >>> correction = GetNetCorrection(save_bias=True, shrink_factor=4, n_iterations=[50] * 4)
    >>> correction.inputs.input_image = "sub-01_T1w.nii.gz"
    >>> correction.run().outputs.output_image  # doctest: +SKIP
    '/scratch/sub-01_T1w_corrected.nii.gz'
    """

    input_spec = GetNetCorrectionInputSpec
    output_spec = GetNetCorrectionOutputSpec
    _cmd = "getnet"

    def __init__(self, **inputs: Any) -> None:
        super().__init__(**inputs)
        if not isdefined(self.inputs.weights):
            # As an input, so that a cached result with the weights of an older package is not reused.
            self.inputs.weights = str(default_weights())

    def _run_interface(self, runtime: Any) -> Any:
        from getnet_bids import Options, correct, images, series
        from getnet_bids.core.device import device_text, resolve_device, torch_threads
        from getnet_bids.formats import Storage
        from getnet_bids.weights import load_network

        inputs = self.inputs
        source = inputs.input_image
        paths = self._paths(runtime.cwd)
        read = (source, inputs.mask_image, inputs.weight_image, inputs.bvals, inputs.weights)
        images.check_outputs(list(paths.values()), filter(isdefined, read))
        corrected, bias, sd_map = paths["output_image"], paths.get("bias_image"), paths.get("output_uncertainty")
        if self.ignored:
            LOGGER.info("GetNet does not use %s: ignored", ", ".join(self.ignored))

        options = Options(
            smoothness=inputs.smoothness if isdefined(inputs.smoothness) else None,
            refine=inputs.refine,
            precision=inputs.precision,
            batch_size=inputs.batch_size,
            uncertainty=sd_map is not None,
        )
        bvals = inputs.bvals if isdefined(inputs.bvals) else None
        streamed = series.is_streamed(source, corrected)
        image = series.reference_image(source, bvals)[0] if streamed else images.read(source)
        mask = self._mask(image)
        weights = inputs.weights if isdefined(inputs.weights) else None
        load_network(weights, self._device)
        with torch_threads(inputs.num_threads):
            started = time.perf_counter()
            with errors_about(source):
                result = correct(
                    image,
                    mask=mask,
                    bvals=None if streamed else bvals,
                    weights=weights,
                    device=self._device,
                    options=options,
                )
            self._results["seconds"] = time.perf_counter() - started
            self._results["device"] = device_text(resolve_device(self._device))
        series.write_correction(source, result, corrected, bias, sd_map, Storage(inputs.output_dtype, inputs.compress))
        self._results |= {name: str(path) for name, path in paths.items()}
        self._results |= {"verdict": result.verdict, "reasons": list(result.reasons), "negative_values": False}
        self._results |= {"field_sd_median": result.field_sd_median, "field_sd_p95": result.field_sd_p95}
        self._results |= {"known_fields_found": result.known_fields_found}
        for reason in result.reasons:
            LOGGER.warning("%s: %s: %s", source, result.verdict, reason)
        return runtime

    def _arguments(self) -> list[str]:
        """Return the arguments of the ``getnet`` command, which has no option for a weight_image."""
        inputs, paths = self.inputs, self._paths("")
        given = [inputs.input_image, str(paths["output_image"])]
        for option, name in (("--field", "bias_image"), ("--uncertainty", "output_uncertainty")):
            if name in paths:
                given += [option, str(paths[name])]
        if isdefined(inputs.mask_image):
            given += ["--mask", inputs.mask_image]
        if isdefined(inputs.bvals):
            given += ["--bvals", inputs.bvals]
        if isdefined(inputs.weights) and inputs.weights != str(default_weights()):
            given += ["--weights", inputs.weights]
        if isdefined(inputs.smoothness):
            given += ["--smoothness", f"{inputs.smoothness:g}"]
        if not inputs.refine:
            given += ["--no-refine"]
        if inputs.precision != "auto":
            given += ["--precision", inputs.precision]
        if inputs.output_dtype != "float32":
            given += ["--output-dtype", inputs.output_dtype]
        if inputs.compress != 1:
            given += ["--compress", str(inputs.compress)]
        return [*given, "--device", self._device]

    def _paths(self, folder: str) -> dict[str, Path]:
        paths, inputs = super()._paths(folder), self.inputs
        if isdefined(inputs.output_uncertainty):
            name = output_path(inputs.output_uncertainty, inputs.input_image, "_uncertainty", folder)
            paths["output_uncertainty"] = name
        return paths

    @property
    def _device(self) -> str:
        inputs = self.inputs
        return "cpu" if inputs.device == "auto" and not inputs.use_gpu else inputs.device

    @property
    def ignored(self) -> list[str]:
        """The names of inputs that were set but have no effect."""
        given = self.inputs.trait_get(ignored=True)
        standard = self.input_spec().trait_get(ignored=True)
        return sorted(name for name, value in given.items() if isdefined(value) and value != standard[name])

    def _mask(self, image: Any) -> Any:
        """Return the mask of the voxels to which the field is fitted, or None."""
        import nibabel as nib
        import numpy as np

        from getnet_bids import masks
        from getnet_bids.core.preparation import MIN_VOXELS

        inputs, inside = self.inputs, None
        if isdefined(inputs.mask_image):
            inside = masks.read_mask(inputs.mask_image, image)
        if isdefined(inputs.weight_image):
            weights = read_weights(inputs.weight_image, image)
            heavy = weights >= 0.5 * np.nanmax(weights)
            if np.count_nonzero(heavy & masks.foreground_of(image, inputs.input_image)) < MIN_VOXELS:
                text = "is low nearly everywhere where the image has signal; leave it out, or give the right one"
                raise GetNetError(text, inputs.weight_image)
            inside = heavy if inside is None else inside & heavy
            if not inside.any():
                raise GetNetError("is low in all of mask_image; give the right ones", inputs.weight_image)
        return None if inside is None else nib.Nifti1Image(inside.astype(np.uint8), image.affine)
