"""getnet-bids: correct the images of a dataset; what cannot work is refused before anything is searched for."""

from __future__ import annotations

import sys
from pathlib import Path

from getnet_bids.bids.dataset import check_input, check_output, check_results
from getnet_bids.bids.handover import check_hand_over
from getnet_bids.comparison.dataset import check_kind
from getnet_bids.errors import reason_of
from getnet_bids.run import console
from getnet_bids.run.console import Interrupted, interruptible
from getnet_bids.settings import Settings

from .doctor import doctor, is_doctor
from .parser import parse


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
        # Whoever read our table has had enough of it, as `head` does; nothing is to be flushed to it any more.
        sys.stdout = None
        return console.IO_ERROR
    except OSError as error:
        console.say(reason_of(error))
        return console.IO_ERROR


def participant(settings: Settings, argv: list[str]) -> int:
    """Run the participant level and return the exit code."""
    from getnet_bids.run.participant import participant_level

    return participant_level(settings, argv)


def group(settings: Settings) -> int:
    """Run the group level and return the exit code."""
    from getnet_bids.reports.completeness import completeness
    from getnet_bids.reports.group import write_group_report
    from getnet_bids.run.participant import search

    found = [source.relative for source in search(settings).sources]
    state = completeness(settings.output_dir, settings.bids_dir, found)
    try:
        written = write_group_report(settings.output_dir, state.missing)
    except ValueError as error:
        raise console.CommandError(console.BAD_DATA, str(error)) from None
    for line in state.lines:
        console.say(line)
    console.say(f"wrote {', '.join(str(path) for path in written)}: {state.summary}")
    return console.SOME_FAILED if state.missing else console.DONE


def check(settings: Settings) -> None:
    """Refuse files and folders that settings name and that cannot be used.

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
    if problem := check_output(settings.bids_dir, settings.output_dir):
        raise console.CommandError(console.CANNOT_CREATE, problem)
    if settings.hand_over and (
        problem := check_hand_over(settings.hand_over_root, settings.bids_dir, settings.output_dir)
    ):
        raise console.CommandError(console.CANNOT_CREATE, problem)
    corrects = settings.analysis_level == "participant" and not settings.reports_only
    if corrects and (problem := check_kind(settings.output_dir, settings.simulated)):
        raise console.CommandError(console.CANNOT_CREATE, problem)
    if not corrects and (problem := check_results(settings.output_dir)):
        raise console.CommandError(console.NO_INPUT, problem)
    if settings.compare:
        check_system()
    check_files(settings)


def check_system() -> None:
    """Refuse a comparison where nipype cannot run one."""
    try:
        import pwd  # noqa: F401 - nipype's plugins import it
    except ImportError:
        text = "--compare needs nipype's plugins, which Windows has not got; use Linux, macOS, WSL or the container"
        raise console.CommandError(console.USAGE, text) from None


def check_files(settings: Settings) -> None:
    """Refuse files and folders that are not there."""
    for path in (settings.weights, settings.bids_filter_file, settings.use_plugin):
        if path is not None and not path.is_file():
            raise console.CommandError(console.NO_INPUT, f"{path}: no such file")
    paths: dict[str, str] = {}
    for given in settings.derivatives or []:
        name, _, folder = given.partition("=")
        if not Path(folder).is_dir():
            raise console.CommandError(console.NO_INPUT, f"{folder}: no such folder (derivatives {name})")
        if name == "raw":
            raise console.CommandError(console.USAGE, "--derivatives: raw stands for the input; give another name")
        if paths.setdefault(name, folder) != folder:
            raise console.CommandError(console.USAGE, f"--derivatives: {name} stands for two folders; name them apart")


if __name__ == "__main__":
    sys.exit(main())
