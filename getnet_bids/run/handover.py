"""What a run says of its hand-over to another program, on the screen and in its log."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from getnet_bids.bids.handover import HandedOver, hand_over
from getnet_bids.errors import reason_of
from getnet_bids.files import write_text
from getnet_bids.settings import Settings

from . import console

if TYPE_CHECKING:
    from getnet_bids.bids.discovery import Source
    from getnet_bids.bids.outputs import Outputs

TABLE = "handover.tsv"
COLUMNS = ("participant_id", "session_id", "handed_over", "reason")


def hand_images_over(images: Sequence[tuple[Source, Outputs]], settings: Settings, folder: Path) -> int:
    """Hand the T1w images of a run over, and return the exit code.

    Parameters
    ----------
    images : sequence of Source and Outputs
        All images of the run.
    settings : Settings
        With `hand_over`.
    folder : Path
        The run's logs.

    Returns
    -------
    int
        `console.SOME_FAILED` if a subject or session goes without.
    """
    root = settings.hand_over_root
    try:
        rows = hand_over(
            images, root, settings.bids_dir, settings.output_dir, settings.hand_over == "fmriprep-sessionwise"
        )
    except OSError as error:
        raise console.CommandError(console.CANNOT_CREATE, f"{root}: cannot be written to: {reason_of(error)}") from None
    write_text(folder / TABLE, "".join("\t".join(cells) + "\n" for cells in [COLUMNS, *map(cells_of, rows)]))
    for row in rows:
        if not row.image or settings.verbose:
            console.say(f"sub-{row.subject}: {row.image or 'not handed over'}: {row.reason}")
    done = sum(bool(row.image) for row in rows)
    console.say(f"handed over {done} T1w images of {len(rows)}; give fMRIPrep --derivatives getnet={root}")
    return console.SOME_FAILED if done < len(rows) or not rows else console.DONE


def cells_of(row: HandedOver) -> tuple[str, ...]:
    """Return a row of the table."""
    session = f"ses-{row.session}" if row.session else "n/a"
    return f"sub-{row.subject}", session, row.image or "n/a", " ".join(row.reason.split())
