"""getnet-bids: correct the images of a dataset."""

from __future__ import annotations

import sys

from getnet_bids.errors import reason_of
from getnet_bids.run import console
from getnet_bids.settings import Settings

from .checks import check
from .doctor import doctor, is_doctor
from .parser import parse
from .signals import Interrupted, interruptible


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


if __name__ == "__main__":
    sys.exit(main())
