"""getnet: correct one image."""

from __future__ import annotations

import errno
import os
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from getnet_bids.core import NOTHING
from getnet_bids.errors import GetNetError, errors_about, reason_of
from getnet_bids.run import console
from getnet_bids.run.console import Interrupted, interruptible
from getnet_bids.run.pipeline import use_huge_pages
from getnet_bids.settings import ModelSettings, option

from .parser import image_parser

if TYPE_CHECKING:
    from getnet_bids.formats import Storage

CANNOT_CREATE_ERRORS = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
)
"""System errors that mean that a file cannot be created under a name."""
say = partial(console.say, program="getnet")


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    args = image_parser().parse_args(argv)
    try:
        with interruptible():
            correct_file(args)
    except console.CommandError as error:
        say(str(error))
        return error.code
    except Interrupted as interrupted:
        say(f"{interrupted}: stopped; nothing was written under a final name that is not complete")
        return interrupted.code
    except OSError as error:  # of a path that cannot even be looked at
        say(reason_of(error))
        return console.IO_ERROR
    return console.DONE


def correct_file(args: Namespace) -> None:
    """Correct the image, or divide it by an existing field; raises `console.CommandError` for any failure."""
    given = {field.name: getattr(args, field.name) for field in fields(ModelSettings) if field.name in args}
    model = ModelSettings(**given)
    check_paths(args, model)
    use_huge_pages()
    from getnet_bids.images import silence_nibabel  # a wrong path is reported before anything is imported for seconds

    silence_nibabel()
    if args.apply is None:
        estimate_field(args, model)
    else:
        apply_field(args, given, model.storage)


@contextmanager
def exit_codes(image: Path, writing: bool = False) -> Iterator[None]:
    """Turn an error on reading or writing into a `console.CommandError` with its exit code."""
    try:
        yield
    except GetNetError as error:
        raise console.CommandError(console.BAD_DATA, str(error)) from None
    except MemoryError:
        raise console.CommandError(console.BAD_DATA, f"{image}: out of memory; give the job more") from None
    except OSError as error:
        code = console.IO_ERROR
        if writing and error.errno in CANNOT_CREATE_ERRORS:
            code = console.CANNOT_CREATE
        elif isinstance(error, FileNotFoundError):
            code = console.NO_INPUT
        raise console.CommandError(code, reason_of(error)) from None


def estimate_field(args: Namespace, model: ModelSettings) -> None:
    """Estimate the field of the image, divide the image by it, and report the verdict."""
    from getnet_bids import Options, correct, images, series
    from getnet_bids.core.device import resolve_device
    from getnet_bids.weights import load_network

    started = time.monotonic()
    options = Options(**model.options, batch_size=model.batch_size, uncertainty=args.uncertainty is not None)
    try:
        resolve_device(model.device)
    except GetNetError as error:
        raise console.CommandError(console.USAGE, str(error)) from None
    with exit_codes(args.image):
        load_network(model.weights, model.device)  # an error of the weights is told before the image is read
        how: dict[str, Any] = {"weights": model.weights, "device": model.device, "options": options}
        streamed, text = series.is_streamed(args.image, args.corrected), ""
        if streamed:
            mean, text = series.reference_image(args.image, args.bvals)
            with errors_about(args.image):
                result = correct(mean, mask=args.mask, **how)
        else:
            result = correct(args.image, mask=args.mask, bvals=args.bvals, **how)
    computed = time.monotonic()
    with exit_codes(args.image, writing=True):
        series.write_correction(args.image, result, args.corrected, args.field, args.uncertainty, model.storage)
    if text and (args.verbose or "lowest shell" in text):
        say(f"{args.image}: field from the {text}")
    for reason in result.reasons:
        say(f"{args.image}: {result.verdict}: {reason}")
    if result.verdict == NOTHING:
        say(f"{args.image}: {result.verdict}: the field varies by less than its uncertainty")
    if args.verbose:
        known = f"{result.field_sd_median:.1%} (95th percentile {result.field_sd_p95:.1%})"
        say(f"{result.verdict}; the field is known to {known}")
        field = images.magnitudes(result.field)
        voxels = int(result.foreground.sum())
        say(f"field from {field.min():.3f} to {field.max():.3f}, {voxels} foreground voxels")
        say(f"{computed - started:.1f} s to read and correct, {time.monotonic() - computed:.1f} to write")


def apply_field(args: Namespace, given: dict[str, Any], storage: Storage) -> None:
    """Divide the image by an existing field."""
    others = [*(name for name in ("mask", "bvals", "uncertainty") if getattr(args, name) is not None), *given]
    if useless := [name for name in others if name not in ("output_dtype", "compress")]:
        name = "no_refine" if useless[0] == "refine" and not given["refine"] else useless[0]
        raise console.CommandError(console.USAGE, f"{option(name)} does nothing with --apply; leave it out")
    import numpy as np

    from getnet_bids import images, series
    from getnet_bids.grids import WHOLE_SHARE, field_for

    with exit_codes(args.image):
        streamed = series.is_streamed(args.image, args.corrected)
        image = series.mean_image(args.image) if streamed else images.read(args.image)
        field, share = field_for(args.apply, image, args.image)
    with exit_codes(args.image, writing=True):
        if args.field:
            images.write(field, args.field, storage.level)
        if streamed:
            series.divide(args.image, field, args.corrected, storage=storage)
        else:
            gain = np.asanyarray(field.dataobj).reshape(*image.shape[:3], *[1] * (len(image.shape) - 3))
            corrected = images.like(image, images.magnitudes(image, args.image) / gain)
            images.write(storage.numbers(image, args.image).image(corrected), args.corrected, storage.level)
    if args.verbose:
        values = images.magnitudes(field)
        say(f"divided {args.image} by {args.apply}, a field from {values.min():.3f} to {values.max():.3f}")
    if share < WHOLE_SHARE:
        say(f"{args.image}: the field reaches {share:.0%} of the object; beyond, its nearest value counts")


def check_paths(args: Namespace, model: ModelSettings) -> None:
    """Raise an error for unusable paths before anything is read."""
    from getnet_bids.images import check_outputs

    inputs = [path for path in (args.image, args.mask, args.bvals, args.apply, model.weights) if path is not None]
    for given in inputs:
        if not given.is_file():
            raise console.CommandError(console.NO_INPUT, f"{given}: {why_missing(given)}")
    outputs = [path for path in (args.corrected, args.field, args.uncertainty) if path is not None]
    try:
        check_outputs(outputs, inputs)
    except GetNetError as error:
        raise console.CommandError(console.USAGE, str(error)) from None
    for path in outputs:
        if not path.parent.is_dir():
            text = "is a file, no folder; choose another" if path.parent.exists() else "no such folder; make it first"
            raise console.CommandError(console.CANNOT_CREATE, f"{path.parent}: {text}")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise console.CommandError(
                console.CANNOT_CREATE, f"{path.parent}: may not be written to; choose another folder"
            )
        if path.is_dir():
            raise console.CommandError(console.CANNOT_CREATE, f"{path}: is a folder; give a file's name")


def why_missing(path: Path) -> str:
    """Return the reason why there is no image file at a path, and what to do."""
    if path.is_symlink() and not path.exists():
        return "not fetched, or a broken link; run `datalad get` on it, or check where it leads"
    if path.is_dir():
        return "is a folder; give a file's name"
    return "not a regular file; give an image" if path.exists() else "no such file"


if __name__ == "__main__":
    sys.exit(main())
