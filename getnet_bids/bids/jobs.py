"""Jobs: images that share one field, the files of their results, and the images that the field is estimated from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from .discovery import Source
from .groups import Group
from .metadata import Metadata
from .names import SERIES
from .outputs import Outputs
from .provenance import Recipe, file_of_others, is_done
from .status import planned_before


@dataclass(frozen=True)
class Target:
    """An image to divide by a field, and its outputs.

    Parameters
    ----------
    source : Source
    outputs : Outputs
    """

    source: Source
    outputs: Outputs


@dataclass(frozen=True)
class Job:
    """An image, or several with one field.

    Parameters
    ----------
    source : Source
        The first image that is divided; it names the job.
    outputs : Outputs
        Of it, with the field's.
    others : tuple of Target
        Further images that are divided by the same field.
    references : tuple of Source
        The images that the field is estimated from; default `source`.
    joint : bool
        Whether it is estimated from all of them together, which differ in contrast.
    receive : tuple of Source
        A pair of images by the head coil and by the body coil, whose ratio is the measured receive field; mostly none.
    receive_alone : bool
        Whether that is all that the images are divided by.
    """

    source: Source
    outputs: Outputs
    others: tuple[Target, ...] = ()
    references: tuple[Source, ...] = ()
    joint: bool = False
    receive: tuple[Source, ...] = ()
    receive_alone: bool = False

    @classmethod
    def of(
        cls,
        group: Group,
        root: Path,
        with_field: bool = True,
        with_uncertainty: bool = False,
        reference_only: bool = False,
    ) -> Job:
        """Name the outputs of a group of images.

        Parameters
        ----------
        group : Group
        root : Path
            The derivative dataset.
        with_field, with_uncertainty, reference_only : bool
            As for `Outputs.of`.

        Returns
        -------
        Job
        """
        first, *others = (
            Target(
                member,
                Outputs.of(
                    member,
                    root,
                    with_field,
                    with_uncertainty,
                    field_name=group.field_name,
                    reference_only=reference_only,
                ),
            )
            for member in group.members
        )
        return cls(first.source, first.outputs, tuple(others), group.references, group.joint)

    @property
    def targets(self) -> Iterator[Target]:
        """All images that are divided."""
        yield Target(self.source, self.outputs)
        yield from self.others

    @property
    def is_plain(self) -> bool:
        """Whether it is one image by itself and no series, read whole."""
        alone = not self.others and not self.receive and self.references in ((), (self.source,))
        return alone and self.source.name.suffix not in SERIES

    def inputs(self, target: Target, metadata: Metadata) -> dict[str, Path]:
        """Find the files, beside its own, that a target's field and copies come from: by their paths in the dataset."""
        found = {one.relative: one.path for one in (*self.references, *self.receive) if one != target.source}
        found |= {
            path.relative_to(metadata.root).as_posix(): path
            for one in (target.source, *self.references)
            for path in metadata.beside(one).values()
        }
        return found

    def is_done(self, recipe: Recipe, metadata: Metadata) -> bool:
        """Return whether all results are complete, and of the same inputs and recipe."""
        return all(
            is_done(target.source.path, target.outputs, recipe, self.inputs(target, metadata))
            for target in self.targets
        )


def files_of_others(jobs: Iterable[tuple[Job, list[Outputs]]], logs: Path) -> dict[str, str]:
    """Find jobs whose results would replace files that this program did not make.

    Parameters
    ----------
    jobs : iterable of Job and list of Outputs
        With what is written besides the job's own outputs.
    logs : Path
        Of the runs before this.

    Returns
    -------
    dict of str
        The reason, by the raw image.
    """
    before = cache(partial(planned_before, logs))
    found: dict[str, str] = {}
    for job, further in jobs:
        for outputs in (*(target.outputs for target in job.targets), *further):
            file = file_of_others(outputs, partial(is_in, job.source.relative, before))
            if file is not None:
                reason = f"{file} was not made by getnet_bids, and is not replaced; move it, or choose another output"
                found |= {target.source.relative: reason for target in job.targets}
    return found


def is_in(source: str, images: Callable[[], set[str]]) -> bool:
    """Return whether an image is among some that are only gathered now."""
    return source in images()
