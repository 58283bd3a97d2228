"""getnet: correct one image."""

from __future__ import annotations

import errno
import os
import sys
import time
from argparse import Namespace
from dataclasses import fields
from pathlib import Path
from typing import Any

from getnet_bids.core import NOTHING
from getnet_bids.errors import reason_of
from getnet_bids.run import console
from getnet_bids.run.console import Interrupted, interruptible
from getnet_bids.run.pipeline import use_huge_pages
from getnet_bids.settings import ModelSettings, option

from .parser import image_parser

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


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    args = image_parser().parse_args(argv)
    try:
        with interruptible():
            correct_file(args)
    except console.CommandError as error:
        console.say(str(error), "getnet")
        return error.code
    except Interrupted as interrupted:
        console.say(f"{interrupted}: stopped; nothing was written under a final name that is not complete", "getnet")
        return interrupted.code
    return console.DONE


def correct_file(args: Namespace) -> None:
    """Read, correct and write the image; raises `console.CommandError` for any failure."""
    given = {field.name: getattr(args, field.name) for field in fields(ModelSettings) if field.name in args}
    model = ModelSettings(**given)
    check_paths(args, model)
    if args.apply is not None:
        apply_field(args, given, model)
        return
    use_huge_pages()
    # Imported here because they take seconds to load, and a wrong path should be reported at once.
    from getnet_bids import correct, images, series
    from getnet_bids.core.correction import Options
    from getnet_bids.core.device import resolve_device
    from getnet_bids.errors import GetNetError, errors_about
    from getnet_bids.weights import load_network

    images.silence_nibabel()
    started = time.monotonic()
    options = Options(**model.options, batch_size=model.batch_size, uncertainty=args.uncertainty is not None)
    try:
        resolve_device(model.device)
    except GetNetError as error:
        raise console.CommandError(console.USAGE, str(error)) from None
    try:
        load_network(model.weights, model.device)
        how: dict[str, Any] = {"weights": model.weights, "device": model.device, "options": options}
        streamed, text = series.is_streamed(args.image, args.corrected), ""
        if streamed:
            mean, text = series.reference_image(args.image, args.bvals)
            with errors_about(args.image):
                result = correct(mean, mask=args.mask, **how)
        else:
            result = correct(args.image, mask=args.mask, bvals=args.bvals, **how)
    except GetNetError as error:
        raise console.CommandError(console.BAD_DATA, str(error)) from None
    except MemoryError:
        raise console.CommandError(console.BAD_DATA, f"{args.image}: out of memory; give the job more") from None
    except FileNotFoundError as error:
        raise console.CommandError(console.NO_INPUT, reason_of(error)) from None
    except OSError as error:
        raise console.CommandError(console.IO_ERROR, reason_of(error)) from None
    computed, corrected, storage = time.monotonic(), result.image, model.storage
    try:
        if streamed:
            series.divide(args.image, result.field, args.corrected, storage=storage)
        elif storage.dtype == "same":
            corrected = storage.numbers(images.read(args.image), args.image).image(corrected)
        if args.field:
            images.write(result.field, args.field, storage.level)
        if args.uncertainty:
            images.write(result.uncertainty, args.uncertainty, storage.level)
        if not streamed:
            images.write(corrected, args.corrected, storage.level)
    except GetNetError as error:
        raise console.CommandError(console.BAD_DATA, str(error)) from None
    except OSError as error:
        code = console.CANNOT_CREATE if error.errno in CANNOT_CREATE_ERRORS else console.IO_ERROR
        raise console.CommandError(code, reason_of(error)) from None
    if text and (args.verbose or "lowest shell" in text):
        console.say(f"{args.image}: field from the {text}", "getnet")
    for reason in result.reasons:
        console.say(f"{args.image}: {result.verdict}: {reason}", "getnet")
    if result.verdict == NOTHING:
        console.say(f"{args.image}: {result.verdict}: the field varies by less than its uncertainty", "getnet")
    if args.verbose:
        console.say(
            f"{result.verdict}; the field is known to {result.field_sd_median:.1%} (95th percentile "
            f"{result.field_sd_p95:.1%})",
            "getnet",
        )
        field = images.magnitudes(result.field)
        console.say(
            f"field from {field.min():.3f} to {field.max():.3f}, {int(result.foreground.sum())} foreground voxels",
            "getnet",
        )
        console.say(
            f"{computed - started:.1f} s to read and correct, {time.monotonic() - computed:.1f} to write", "getnet"
        )


def apply_field(args: Namespace, given: dict[str, Any], model: ModelSettings) -> None:
    """Divide the image by an existing field; raises `console.CommandError` for any failure."""
    others = [*(name for name in ("mask", "bvals", "uncertainty") if getattr(args, name) is not None), *given]
    if useless := [name for name in others if name not in ("output_dtype", "compress")]:
        raise console.CommandError(console.USAGE, f"{option(useless[0])} does nothing with --apply; leave it out")
    import numpy as np

    from getnet_bids import images, series
    from getnet_bids.errors import GetNetError
    from getnet_bids.grids import WHOLE_SHARE, field_for

    images.silence_nibabel()
    storage = model.storage
    try:
        streamed = series.is_streamed(args.image, args.corrected)
        image = series.mean_image(args.image) if streamed else images.read(args.image)
        field, share = field_for(args.apply, image, args.image)
        if args.field:
            images.write(field, args.field, storage.level)
        if streamed:
            series.divide(args.image, field, args.corrected, storage=storage)
        else:
            gain = np.asanyarray(field.dataobj).reshape(*image.shape[:3], *[1] * (len(image.shape) - 3))
            corrected = images.like(image, images.magnitudes(image, args.image) / gain)
            if storage.dtype == "same":
                corrected = storage.numbers(image, args.image).image(corrected)
            images.write(corrected, args.corrected, storage.level)
    except GetNetError as error:
        raise console.CommandError(console.BAD_DATA, str(error)) from None
    except FileNotFoundError as error:
        raise console.CommandError(console.NO_INPUT, reason_of(error)) from None
    except OSError as error:
        code = console.CANNOT_CREATE if error.errno in CANNOT_CREATE_ERRORS else console.IO_ERROR
        raise console.CommandError(code, reason_of(error)) from None
    if share < WHOLE_SHARE:
        text = f"the field reaches {share:.0%} of the object; beyond, its nearest value counts"
        console.say(f"{args.image}: {text}", "getnet")


def check_paths(args: Namespace, model: ModelSettings) -> None:
    """Raise an error for unusable paths before anything is read."""
    from getnet_bids.images import extension

    for given in (args.image, args.mask, args.bvals, args.apply, model.weights):
        if given is not None and not given.is_file():
            raise console.CommandError(console.NO_INPUT, f"{given}: {why_missing(given)}")
    outputs = [path for path in (args.corrected, args.field, args.uncertainty) if path is not None]
    for path in outputs:
        try:
            extension(path)
        except ValueError as error:
            raise console.CommandError(console.USAGE, str(error)) from None
        if not path.parent.is_dir():
            text = "is a file, no folder; choose another" if path.parent.exists() else "no such folder; make it first"
            raise console.CommandError(console.CANNOT_CREATE, f"{path.parent}: {text}")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise console.CommandError(
                console.CANNOT_CREATE, f"{path.parent}: may not be written to; choose another folder"
            )
        if path.is_dir():
            raise console.CommandError(console.CANNOT_CREATE, f"{path}: is a folder; give a file's name")
    inputs = [path for path in (args.image, args.mask, args.bvals, args.apply, model.weights) if path is not None]
    for i, path in enumerate(outputs):
        if any(is_same_file(path, other) for other in [*inputs, *outputs[:i]]):
            raise console.CommandError(
                console.USAGE, f"{path}: would overwrite another file of this command; give another name"
            )


def why_missing(path: Path) -> str:
    """Return the reason why there is no image file at a path, and what to do."""
    if path.is_symlink() and not path.exists():
        return "not fetched, or a broken link; run `datalad get` on it, or check where it leads"
    if path.is_dir():
        return "is a folder; give a file's name"
    return "not a regular file; give an image" if path.exists() else "no such file"


def is_same_file(path: Path, other: Path) -> bool:
    """Return whether two paths lead to the same file, following links."""
    return path.resolve() == other.resolve() or (path.exists() and other.exists() and path.samefile(other))


if __name__ == "__main__":
    sys.exit(main())
