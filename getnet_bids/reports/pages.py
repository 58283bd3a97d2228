"""Write each subject's page as soon as its last image has ended, after drawing missing pictures."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from getnet_bids import images, masks
from getnet_bids.bids.discovery import Source
from getnet_bids.bids.metadata import Metadata, read_object
from getnet_bids.bids.ownership import is_intact, sealed
from getnet_bids.bids.provenance import KEY, REFERENCE
from getnet_bids.bids.sidecars import write_json
from getnet_bids.errors import GetNetError, one_line
from getnet_bids.files import locked
from getnet_bids.marks import CHANGED
from getnet_bids.series import mean_image

from .pictures import Pictures, draw_pictures
from .records import DESCS, Record, RunHistory, by_subject, read_record, sidecars_of, subject_of

LOG = logging.getLogger(__name__)


class Pages:
    """Writes a subject's page when its last image has ended; errors only cause a warning.

    Parameters
    ----------
    output_dir : Path
        The derivative dataset.
    sources : iterable of Source
        All images of the run.
    """

    def __init__(self, output_dir: Path, sources: Iterable[Source]) -> None:
        self.output_dir = output_dir
        self.history = RunHistory(output_dir)
        self.images = by_subject(sources)
        self.waiting = {subject: len(images) for subject, images in self.images.items()}

    def ended(self, source: Source) -> None:
        """Record that an image has ended, done or failed; its row is already in ``status.tsv``."""
        subject = subject_of(source)
        self.waiting[subject] -= 1
        if self.waiting[subject] == 0:
            write_page(self.output_dir, subject, self.images.pop(subject), self.history)


def write_page(output_dir: Path, subject: str, images: list[Source], history: RunHistory) -> Path | None:
    """Write a subject's page, after drawing missing pictures.

    An error only causes a warning, and None is returned, since the images do not depend on the page.
    """
    from .subject import write_subject_report

    try:
        regenerate_pictures(output_dir, images)
        return write_subject_report(output_dir, subject, history)
    except Exception as error:
        LOG.warning("%s: no page: %s", subject, one_line(error))
        return None


def regenerate_pictures(output_dir: Path, sources: Iterable[Source]) -> None:
    """Draw missing pictures of images, and add measures to sidecars that lack them.

    Images that cannot be read or drawn cause a warning and are skipped.

    Parameters
    ----------
    output_dir : Path
        The derivative dataset.
    sources : iterable of Source
    """
    for source in sources:
        folder = str(Path(source.relative).parent.as_posix())
        for desc in DESCS:
            files = [path.name for path in sidecars_of(output_dir, source, desc)]
            record = next(filter(None, (read_record(output_dir, folder, file) for file in files)), None)
            if record is None:
                continue
            pictures = Pictures.of(record.name, output_dir, desc)
            if record.measures and record.made.get("Figures") and all(path.is_file() for path in pictures.all):
                continue
            try:
                # Another run may be writing the image at the same time.
                with locked(output_dir / record.folder / str(record.corrected)):
                    regenerate(output_dir, source, record, pictures)
            except (OSError, ValueError) as error:
                LOG.warning("%s: no pictures: %s", source.relative, error)


def regenerate(output_dir: Path, source: Source, record: Record, pictures: Pictures) -> None:
    """Draw the pictures of an image, and add measures to its sidecar if it has none."""
    folder = output_dir / record.folder
    path = folder / str(record.corrected.derived(extension=".json"))
    complete = record.measures and record.made.get("Figures")
    if not complete and not is_intact(read_object(path)):
        raise GetNetError(f"{path} {CHANGED}")
    shaded, corrected = folder / str(record.name.derived(desc="simulated")), folder / str(record.corrected)
    if REFERENCE in record.made:
        listed = record.made.get("Volumes")
        volumes = listed if isinstance(listed, list) else None
        image = mean_image(source.path, volumes, source.relative)
        after = images.magnitudes(mean_image(corrected, None if record.averaged else volumes))
    else:
        image = images.read(source.path if record.desc == "preproc" else shaded)
        after = images.magnitudes(images.read(corrected))
    after = after.reshape(after.shape[:4])
    field = field_of(image, after, folder / str(record.field))
    metadata = Metadata(source.root).of(source)
    seen = draw_pictures(image, after, field, masks.foreground_of(image, source.relative), pictures, metadata)
    if complete:
        return
    content = read_object(path)
    content[KEY] = {**content[KEY], **seen}
    write_json(path, sealed(content))


def field_of(image: SpatialImage, after: NDArray[np.floating], path: Path) -> NDArray[np.floating]:
    """Read a field; if it was not kept, compute it as image over corrected image, and 1 where that is undefined."""
    before = images.magnitudes(image).reshape(after.shape)
    if path.is_file():
        return images.magnitudes(images.read(path)).reshape(after.shape[:3])
    if before.ndim == 4:
        before, after = before.mean(3), after.mean(3)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = before / after
    return np.where(np.isfinite(ratio) & (ratio > 0), ratio, 1).astype(np.float32)
