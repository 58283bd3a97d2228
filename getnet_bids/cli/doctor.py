"""getnet-bids doctor: what a report of a bug needs, and what is wrong with an installation."""

from __future__ import annotations

from pathlib import Path

from getnet_bids.run import console

from .parser import Parser, device

COMMAND = "doctor"


def is_doctor(argv: list[str]) -> bool:
    """Return whether a command line is this command's: a dataset may be called so, too.

    Examples
    --------
    >>> is_doctor(["doctor"]), is_doctor(["doctor", "--device", "cpu"]), is_doctor(["doctor", "out", "participant"])
    (True, True, False)
    """
    return argv[:1] == [COMMAND] and all(word.startswith("-") for word in argv[1:2])


def doctor_parser() -> Parser:
    """Build the parser of getnet-bids doctor."""
    parser = Parser(
        prog=f"getnet-bids {COMMAND}",
        description="Print what a report of a bug needs to know (versions, weights, processors, memory, device, "
        "precision), correct a tiny head whose field is known, and tell what is wrong.",
        epilog="Exit codes: 0 nothing is wrong, 1 something is, 64 usage.",
        allow_abbrev=False,
    )
    parser.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda, cuda:N or mps (%(default)s)")
    parser.add_argument(
        "--output-dir", type=Path, metavar="DIR", help="look whether derivatives can be written there, and for locks"
    )
    return parser


def doctor(argv: list[str]) -> int:
    """Run the command line and return the exit code."""
    args = doctor_parser().parse_args(argv)
    # Not before the command line is read: torch takes seconds to import.
    from getnet_bids.run.doctor import diagnose

    found = diagnose(args.device, args.output_dir)
    print("\n".join(found.lines()))
    return console.SOME_FAILED if found.wrong else console.DONE
