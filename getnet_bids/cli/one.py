"""getnet: correct one image."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from pathlib import Path

from . import exits
from .memory import take_big_pages
from .parser import image_parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    args = image_parser().parse_args(argv)
    try:
        correct_file(args)
    except exits.CommandError as error:
        exits.say("getnet", str(error))
        return error.code
    except KeyboardInterrupt:
        exits.say("getnet", "interrupted; nothing was written under a final name that is not complete")
        return 130
    return exits.DONE


def correct_file(args: Namespace) -> None:
    """Read, correct and write; raises `exits.CommandError` for whatever goes wrong."""
    check_paths(args)
    take_big_pages()
    # Only now: these take seconds to import, and a wrong path should be told at once.
    from getnet_bids import correct, images
    from getnet_bids.core.correction import Options
    from getnet_bids.core.device import resolve_device
    from getnet_bids.errors import GetNetError
    from getnet_bids.weights import load_network

    images.hush()
    started = time.monotonic()
    options = Options(args.smoothness, args.refine, args.precision, args.batch_size)
    try:
        resolve_device(args.device)
    except GetNetError as error:
        raise exits.CommandError(exits.USAGE, str(error)) from None
    try:
        load_network(args.weights, args.device)
        result = correct(args.image, mask=args.mask, weights=args.weights, device=args.device, options=options)
    except GetNetError as error:
        raise exits.CommandError(exits.BAD_DATA, str(error)) from None
    except MemoryError:
        raise exits.CommandError(exits.BAD_DATA, f"{args.image}: out of memory; give the job more") from None
    except FileNotFoundError as error:
        raise exits.CommandError(exits.NO_INPUT, str(error)) from None
    except OSError as error:
        raise exits.CommandError(exits.IO_ERROR, str(error)) from None
    computed = time.monotonic()
    try:
        if args.field:
            images.write(result.field, args.field)
        images.write(result.image, args.corrected)
    except PermissionError as error:
        raise exits.CommandError(exits.CANNOT_CREATE, str(error)) from None
    except OSError as error:
        raise exits.CommandError(exits.IO_ERROR, str(error)) from None
    if args.verbose:
        field = images.magnitudes(result.field)
        exits.say(
            "getnet",
            f"field from {field.min():.3f} to {field.max():.3f}, {int(result.foreground.sum())} foreground voxels",
        )
        exits.say(
            "getnet", f"{computed - started:.1f} s to read and correct, {time.monotonic() - computed:.1f} to write"
        )


def check_paths(args: Namespace) -> None:
    """Refuse what cannot work before anything is read."""
    from getnet_bids.images import extension

    for given in (args.image, args.mask, args.weights):
        if given is not None and not given.is_file():
            raise exits.CommandError(exits.NO_INPUT, f"{given}: no such file")
    outputs = [path for path in (args.corrected, args.field) if path is not None]
    for path in outputs:
        try:
            extension(path)
        except ValueError as error:
            raise exits.CommandError(exits.USAGE, str(error)) from None
        if not path.parent.is_dir():
            raise exits.CommandError(exits.CANNOT_CREATE, f"{path.parent}: no such folder; make it first")
        if path.is_dir():
            raise exits.CommandError(exits.CANNOT_CREATE, f"{path}: is a folder; give a file's name")
    inputs = [path for path in (args.image, args.mask, args.weights) if path is not None]
    for i, path in enumerate(outputs):
        if any(same(path, other) for other in [*inputs, *outputs[:i]]):
            raise exits.CommandError(
                exits.USAGE, f"{path}: would overwrite another file of this command; give another name"
            )


def same(path: Path, other: Path) -> bool:
    """Tell whether two paths are one file, links followed."""
    return path.resolve() == other.resolve() or (path.exists() and other.exists() and path.samefile(other))


if __name__ == "__main__":
    sys.exit(main())
