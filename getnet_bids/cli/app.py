"""getnet-bids: the command line of the BIDS App, which refuses invalid options before it searches for images."""

from __future__ import annotations

import platform
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from getnet_bids import __version__
from getnet_bids.bids.dataset import check_input, check_output, check_results
from getnet_bids.bids.names import SUFFIXES, WEIGHTED
from getnet_bids.comparison.dataset import check_kind
from getnet_bids.comparison.methods import METHODS
from getnet_bids.configuration import read_toml
from getnet_bids.errors import GetNetError, reason_of
from getnet_bids.files import text_of
from getnet_bids.run import console
from getnet_bids.run.console import Interrupted, interruptible
from getnet_bids.run.handover import check_hand_over
from getnet_bids.run.imports import is_installed
from getnet_bids.settings import LEVELS, Settings, ignored_at_group

from .parser import app_parser, doctor_parser

LABEL = "[0-9a-zA-Z+]+"
LABEL_COLUMNS = {
    "sub-": ("participant_id", "participant", "participant_label", "subject_id", "subject", "sub"),
    "ses-": ("session_id", "session", "session_label", "ses"),
}
"""Names of the column of labels in a table, in lower case."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        with interruptible():
            if is_doctor(argv):
                return doctor(argv[1:])
            settings = parse(argv)
            check(settings)
            return group(settings) if settings.analysis_level == "group" else participant(settings, argv)
    except console.CommandError as error:
        console.say(str(error))
        return error.code
    except Interrupted as interrupted:
        console.say(f"{interrupted}: stopped; run the same command again to go on")
        return interrupted.code
    except BrokenPipeError:
        # The reader of our table has closed the pipe, as `head` does, so nothing must be flushed to it any more.
        sys.stdout = None
        return console.IO_ERROR
    except OSError as error:
        console.say(reason_of(error))
        return console.IO_ERROR


def parse(argv: list[str]) -> Settings:
    """Read the command line, and the configuration file that it may name.

    The command line takes precedence over the file; options that are in neither have their defaults.

    Parameters
    ----------
    argv : list of str
        Without the program's name.

    Returns
    -------
    Settings

    Raises
    ------
    CommandError
        The file does not exist, a value is not allowed, or two options cannot be combined.
    """
    given = vars(app_parser().parse_args(argv))
    file = given.pop("config_file", None)
    try:
        configured = read_toml(file) if file else {}
    except FileNotFoundError:
        raise console.CommandError(console.NO_INPUT, f"{file}: no such file") from None
    except GetNetError as error:
        raise console.CommandError(console.USAGE, str(error)) from None
    values: dict[str, Any] = {**configured, **given}
    if values["analysis_level"] not in LEVELS:
        text = f"analysis level {values['analysis_level']!r} is not known; use participant or group"
        raise console.CommandError(console.UNKNOWN_LEVEL, text)
    for name, prefix in (("participant_label", "sub-"), ("session_label", "ses-")):
        if name in values:
            values[name] = labels(values[name], prefix)
    try:
        for name, value in values.items():
            values[name] = tuple(value) if isinstance(value, list) else value
        if values.get("output_layout") == "legacy":
            values["output_dir"] /= "getnet_bids"
        return Settings(**values)
    except GetNetError as error:
        raise console.CommandError(console.USAGE, str(error)) from None


def labels(given: list[str] | tuple[str, ...], prefix: str) -> tuple[str, ...]:
    """Remove prefixes and duplicates from labels; the name of a text file or table stands for the labels in it.

    Examples
    --------
    >>> labels(["sub-01", "02"], "sub-")
    ('01', '02')
    """
    listed: list[str] = []
    for one in given:
        # A single label may also be the name of a file; among several, only names that are not valid labels are files.
        is_file = (len(given) == 1 or not re.fullmatch(LABEL, one.removeprefix(prefix))) and Path(one).is_file()
        listed += read_labels(Path(one), prefix) if is_file else [one]
    for label in listed:
        if not re.fullmatch(LABEL, label.removeprefix(prefix)):
            raise console.CommandError(
                console.USAGE, f"{label!r} is not a label ({prefix}<letters and digits>), nor a file of labels"
            )
    if not listed:
        raise console.CommandError(console.USAGE, f"{', '.join(given)}: holds no label; write one per line")
    return tuple(dict.fromkeys(label.removeprefix(prefix) for label in listed))


def read_labels(path: Path, prefix: str) -> list[str]:
    """Read a file of labels: words separated by blanks, commas or lines, or a table such as ``participants.tsv``.

    In a table, the labels are in the column ``participant_id`` or ``session_id`` (or ``sub``, ``ses`` and the like).

    Raises
    ------
    CommandError
        The file is not a text file.
    """
    text = text_of(path.read_bytes())
    if {"\0", "\ufffd"} & set(text):
        raise console.CommandError(console.USAGE, f"{path}: not a text file of labels; write one label per line")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    head = [cell.strip(' "').lower() for cell in re.split("[\t,;]", lines[0])] if lines else []
    column = next((i for i, cell in enumerate(head) if cell in LABEL_COLUMNS[prefix]), None)
    if column is None:
        return [word.strip('"') for word in re.split(r"[\s,;]+", "\n".join(lines)) if word.strip('"')]
    rows = [[cell.strip(' "') for cell in re.split("[\t,;]", line)] for line in lines[1:]]
    return [row[column] for row in rows if len(row) > column and row[column] not in ("", "n/a")]


def participant(settings: Settings, argv: list[str]) -> int:
    """Run the participant level and return the exit code."""
    from getnet_bids.run.participant import participant_level

    return participant_level(settings, argv)


def group(settings: Settings) -> int:
    """Run the group level and return the exit code."""
    from getnet_bids.reports.completeness import completeness
    from getnet_bids.reports.group import write_group_report
    from getnet_bids.run.search import search

    if ignored := ignored_at_group(settings):
        console.say(f"the group level is for all results; ignored: {', '.join(ignored)}")
    # Images of all suffixes; `completeness` leaves out those for which no run was asked.
    suffixes = SUFFIXES if settings.modalities == WEIGHTED else settings.modalities
    every = replace(settings, modalities=suffixes, participant_label=None, session_label=None)
    found = [source.relative for source in search(every).sources]
    state = completeness(settings.output_dir, settings.bids_dir, found)
    try:
        written = write_group_report(settings.output_dir, state.missing)
    except GetNetError as error:  # a user's file in the way
        raise console.CommandError(console.CANNOT_CREATE, str(error)) from None
    except ValueError as error:
        raise console.CommandError(console.BAD_DATA, str(error)) from None
    for line in state.lines:
        console.say(line)
    console.say(f"wrote {', '.join(str(path) for path in written)}: {state.summary}")
    return console.SOME_FAILED if state.missing else console.DONE


def check(settings: Settings) -> None:
    """Raise an error for files and folders in the settings that cannot be used.

    Parameters
    ----------
    settings : Settings

    Raises
    ------
    CommandError
    """
    if not settings.bids_dir.is_dir():
        raise console.CommandError(console.NO_INPUT, f"{settings.bids_dir}: no such folder")
    if not settings.skip_bids_validation and (problem := check_input(settings.bids_dir)):
        raise console.CommandError(console.NOT_BIDS, problem)
    try:
        problem = check_output(settings.bids_dir, settings.output_dir)
    except OSError as error:
        problem = f"{settings.output_dir}: cannot be written to: {reason_of(error)}"
    if problem:
        raise console.CommandError(console.CANNOT_CREATE, problem)
    if settings.hand_over and (
        problem := check_hand_over(settings.hand_over_root, settings.bids_dir, settings.output_dir, settings.hand_over)
    ):
        raise console.CommandError(console.CANNOT_CREATE, problem)
    corrects = settings.analysis_level == "participant" and not settings.reports_only
    if corrects and (problem := check_kind(settings.output_dir, settings.simulated)):
        raise console.CommandError(console.CANNOT_CREATE, problem)
    if not corrects and (problem := check_results(settings.output_dir)):
        raise console.CommandError(console.NO_INPUT, problem)
    if settings.compare:
        check_system()
        check_packages(settings.compare)
    check_files(settings)


def check_system() -> None:
    """Raise an error if a comparison is asked for on a system on which nipype cannot run one."""
    try:
        import pwd  # noqa: F401 - nipype's plugins import it
    except ImportError:
        text = "--compare needs nipype's plugins, which Windows has not got; use Linux, macOS, WSL or the container"
        raise console.CommandError(console.USAGE, text) from None


def check_packages(method: str) -> None:
    """Refuse a comparison with a method whose packages are not installed."""
    for package in METHODS[method].packages:
        if not is_installed(package):
            python = f"{sys.version_info.major}.{sys.version_info.minor}"
            text = f"--compare {method} needs {package}: pip install {package}; if there is none for Python {python}, "
            raise console.CommandError(console.USAGE, f"{text}take an older one, or the container")


def check_files(settings: Settings) -> None:
    """Raise an error for files and folders that do not exist."""
    for path in (settings.weights, settings.bids_filter_file, settings.use_plugin):
        if path is not None and not path.is_file():
            text = "is a folder; give a file's name" if path.is_dir() else "no such file"
            raise console.CommandError(console.NO_INPUT, f"{path}: {text}")
    paths: dict[str, str] = {}
    for given in settings.derivatives or []:
        name, _, folder = given.partition("=")
        if not Path(folder).is_dir():
            raise console.CommandError(console.NO_INPUT, f"{folder}: no such folder (derivatives {name})")
        if name == "raw":
            raise console.CommandError(console.USAGE, "--derivatives: raw stands for the input; give another name")
        if paths.setdefault(name, folder) != folder:
            raise console.CommandError(console.USAGE, f"--derivatives: {name} stands for two folders; use two names")


def is_doctor(argv: list[str]) -> bool:
    """Return whether a command line is that of the doctor: a dataset may be called ``doctor``, too.

    Examples
    --------
    >>> is_doctor(["doctor"]), is_doctor(["doctor", "--device", "cpu"]), is_doctor(["doctor", "out", "participant"])
    (True, True, False)
    """
    return argv[:1] == ["doctor"] and all(word.startswith("-") for word in argv[1:2])


def doctor(argv: list[str]) -> int:
    """Run the command line and return the exit code."""
    args = doctor_parser().parse_args(argv)
    # Not before the command line is read: torch takes seconds to import.
    try:
        from getnet_bids.run.doctor import diagnose
    except ImportError as error:  # of a package without which not even the rest can be found out
        print(f"getnet_bids {__version__}, Python {platform.python_version()} in {sys.prefix}")
        print(f"WRONG  {error}; install getnet_bids again with pip")
        return console.SOME_FAILED

    found = diagnose(args.device, args.output_dir)
    print("\n".join(found.lines()))
    return console.SOME_FAILED if found.wrong else console.DONE


if __name__ == "__main__":
    sys.exit(main())
