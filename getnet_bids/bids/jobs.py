"""Jobs: images that share one field, their output files, and the images from which the field is estimated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .discovery import Source
from .groups import Group
from .metadata import Metadata
from .names import SERIES
from .outputs import Outputs
from .ownership import refusal_of_results
from .provenance import Recipe, is_done


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
    """An image, or several images that share one field.

    Parameters
    ----------
    source : Source
        The first image to divide, after which the job is named.
    outputs : Outputs
        Its outputs, including the field.
    others : tuple of Target
        Further images to divide by the same field.
    references : tuple of Source
        The images from which the field is estimated; default: `source`.
    joint : bool
        Whether the field is estimated from all of them jointly, although they differ in contrast.
    receive : tuple of Source
        A pair of images from the head coil and from the body coil, whose ratio is the measured receive field; usually
        empty.
    receive_alone : bool
        Whether the images are divided only by that ratio.
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
        """Make the job of a group of images.

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
    def targets(self) -> tuple[Target, ...]:
        """All images to divide."""
        return Target(self.source, self.outputs), *self.others

    @property
    def is_plain(self) -> bool:
        """Whether the job is a single image that is not a series and is read as a whole."""
        alone = not self.others and not self.receive and self.references in ((), (self.source,))
        return alone and self.source.name.suffix not in SERIES

    def inputs(self, target: Target, metadata: Metadata) -> dict[str, Path]:
        """Find the further files on which a target's field and copies depend, by their paths in the dataset."""
        found = {one.relative: one.path for one in (*self.references, *self.receive) if one != target.source}
        found |= {
            path.relative_to(metadata.root).as_posix(): path
            for one in (target.source, *self.references)
            for path in metadata.beside(one).values()
        }
        return found

    def is_done(self, recipe: Recipe, metadata: Metadata) -> bool:
        """Return whether all results are complete and were made from the same inputs and recipe."""
        return all(
            is_done(target.source.path, target.outputs, recipe, self.inputs(target, metadata))
            for target in self.targets
        )

    def refusal(self) -> str | None:
        """Return why results may not be written because a user's file is there."""
        reasons = (refusal_of_results(target.outputs) for target in self.targets)
        return next(filter(None, reasons), None)
