"""What cannot work is refused before anything is looked for."""

from __future__ import annotations

import re
from argparse import Namespace
from pathlib import Path

from getnet_bids.bids.comparison_dataset import check_kind, gain_of
from getnet_bids.bids.dataset import check_input, check_output, check_results

from . import exits

LEVELS = ("participant", "group")
NEEDS = (
    ("segmentation", "auto", "compare", "--compare n4"),
    ("template", "bundled", "compare", "--compare n4"),
    ("simulate_gain", None, "compare", "--compare n4"),
    ("random_seed", 0, "simulate_gain", "--simulate-gain PERCENT"),
    ("derivatives", None, "compare", "--compare n4"),
    ("use_plugin", None, "compare", "--compare n4"),
    ("write_graph", False, "compare", "--compare n4"),
)
"""Options that do nothing without another: destination, default, the other's destination, how it is given."""
APART = (
    ("reports_only", "dry_run"),
    ("reports_only", "force"),
)
"""Switches that contradict each other."""
NOT_AT_GROUP = ("compare", "dry_run", "force", "reports_only")
"""Options that the group level would not heed."""


def check(args: Namespace) -> None:
    """Refuse a command line that cannot work; labels lose their prefixes, and files of labels are read.

    Parameters
    ----------
    args : Namespace
        Of the command line and the configuration file.

    Raises
    ------
    CommandError
    """
    if args.analysis_level not in LEVELS:
        text = f"analysis level {args.analysis_level!r} is not known; use participant or group"
        raise exits.CommandError(exits.UNKNOWN_LEVEL, text)
    check_combination(args)
    args.participant_label = labels(args.participant_label, "sub-")
    args.session_label = labels(args.session_label, "ses-")
    if not args.bids_dir.is_dir():
        raise exits.CommandError(exits.NO_INPUT, f"{args.bids_dir}: no such folder")
    if not args.skip_bids_validation and (problem := check_input(args.bids_dir)):
        raise exits.CommandError(exits.NOT_BIDS, problem)
    if problem := check_output(args.bids_dir, args.output_dir):
        raise exits.CommandError(exits.CANNOT_CREATE, problem)
    if args.analysis_level == "participant" and not args.reports_only:
        gain = gain_of(args.simulate_gain, args.random_seed)
        if problem := check_kind(args.output_dir, gain):
            raise exits.CommandError(exits.CANNOT_CREATE, problem)
    if (args.analysis_level == "group" or args.reports_only) and (problem := check_results(args.output_dir)):
        raise exits.CommandError(exits.NO_INPUT, problem)
    check_files(args)


def check_combination(args: Namespace) -> None:
    """Refuse options that do nothing together, rather than let someone think that they did."""
    given = vars(args)
    if args.analysis_level == "group" and (useless := [dest for dest in NOT_AT_GROUP if given[dest]]):
        raise exits.CommandError(exits.USAGE, f"{option(useless[0])} is for the participant level; leave it out")
    for dest, default, other, how in NEEDS:
        if given[dest] != default and not given[other]:
            raise exits.CommandError(exits.USAGE, f"{option(dest)} does something only with {how}")
    for one, other in APART:
        if given[one] and given[other]:
            raise exits.CommandError(exits.USAGE, f"{option(one)} and {option(other)} contradict each other; give one")
    if args.segmentation == "derivatives" and not args.derivatives:
        raise exits.CommandError(exits.USAGE, "--segmentation derivatives needs --derivatives NAME=PATH")


def option(dest: str) -> str:
    """Give an option's name.

    Examples
    --------
    >>> option("simulate_gain")
    '--simulate-gain'
    """
    return "--" + dest.replace("_", "-")


def check_files(args: Namespace) -> None:
    """Refuse files and folders that are not there."""
    for path in (args.weights, args.bids_filter_file, args.use_plugin):
        if path is not None and not path.is_file():
            raise exits.CommandError(exits.NO_INPUT, f"{path}: no such file")
    paths: dict[str, str] = {}
    for given in args.derivatives or []:
        name, _, path = given.partition("=")
        if not Path(path).is_dir():
            raise exits.CommandError(exits.NO_INPUT, f"{path}: no such folder (derivatives {name})")
        if name == "raw":
            raise exits.CommandError(exits.USAGE, "--derivatives: raw stands for the input; give another name")
        if paths.setdefault(name, path) != path:
            raise exits.CommandError(exits.USAGE, f"--derivatives: {name} stands for two folders; name them apart")


def labels(given: list[str] | None, prefix: str) -> list[str] | None:
    """Clean labels of their prefix; a text file stands for those in it.

    Examples
    --------
    >>> labels(["sub-01", "02"], "sub-")
    ['01', '02']
    """
    if given is None:
        return None
    if len(given) == 1 and Path(given[0]).is_file():
        try:
            given = Path(given[0]).read_text(encoding="utf-8").split()
        except UnicodeDecodeError:
            raise exits.CommandError(exits.USAGE, f"{given[0]}: not a text file of labels") from None
    clean = list(dict.fromkeys(label.removeprefix(prefix) for label in given))
    for label in clean:
        if not re.fullmatch("[0-9a-zA-Z+]+", label):
            raise exits.CommandError(
                exits.USAGE, f"{label!r} is no label ({prefix}<letters and digits>), nor a file of them"
            )
    if not clean:
        raise exits.CommandError(exits.USAGE, "the file of labels is empty")
    return clean
