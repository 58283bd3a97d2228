"""``getnet-photographs``: collect the open photographs of the package's weights from clones, and write shards."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from getnet_bids import __version__

from .listed import commands, listed, package_file

REMEDY = (
    "photographs are missing or differ from the list; fetch them with `getnet-photographs --list | sh`, name the "
    "folder with --clones, or add --partial to do without them"
)
EPILOG = """
two commands do everything; they download about 4 GB:
  getnet-photographs --list | sh
  getnet-photographs --out shards
"""


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of ``getnet-photographs``."""
    parser = argparse.ArgumentParser(
        prog="getnet-photographs",
        description="Collect the open photographs that the package's weights were trained on, and write them as shards "
        "for `getnet-train --data`. Each file's SHA-256 is compared with the list.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--clones",
        nargs="+",
        type=Path,
        default=[Path("clones")],
        metavar="DIR",
        help="folder of the repositories: git clones, bare or not, or unpacked folders, as OWNER/NAME, OWNER+NAME or "
        "NAME [clones]",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--out", type=Path, metavar="DIR", help="write the shards to this folder; existing files are never overwritten"
    )
    what.add_argument("--check", action="store_true", help="only find the photographs and compare them with the list")
    what.add_argument("--list", action="store_true", help="print the commands that fetch the repositories, for `sh`")
    what.add_argument(
        "--terms", action="store_true", help="print the licence of each collection and the evidence for it"
    )
    parser.add_argument("--partial", action="store_true", help="write shards even though photographs are missing")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``getnet-photographs``; return the exit code, 1 if photographs are missing without ``--partial``."""
    args = make_parser().parse_args(arguments)
    photos = listed()
    if args.list:
        print("\n".join(commands(photos, args.clones[0])))
        return 0
    if args.terms:
        print(package_file("terms.md").read_text(), end="")
        return 0
    from ..sources import UNREADABLE
    from .listed import check, reader
    from .shards import shards

    try:
        good, whole = check(photos, args.clones, print)
        if not whole:
            print(f"{sum(good):,} of {len(good):,} photographs found", file=sys.stderr)
        if args.check or not (whole or (args.partial and any(good))):
            if not (whole or args.check):
                print(f"getnet-photographs: nothing written: {REMEDY}", file=sys.stderr)
            return 0 if whole else 1
        with ExitStack() as stack:
            for line in shards(photos, args.out, reader(photos, args.clones, stack), whole):
                print(line)
    except (OSError, ValueError, *UNREADABLE) as error:
        print(f"getnet-photographs: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
