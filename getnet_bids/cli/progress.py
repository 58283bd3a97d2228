"""How far a run is: a bar on a terminal, a line an image elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType

from .exits import tell


class Progress:
    """Shows the images of a run on standard error as they end; use it as a context manager.

    Parameters
    ----------
    total : int
        Images to do.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.count = 0
        self.bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=total, unit="image", file=sys.stderr, dynamic_ncols=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()

    def ended(self, source: str, seconds: float, failure: str | None = None) -> None:
        """Show that an image ended; failures are named on a terminal too.

        Parameters
        ----------
        source : str
            The image.
        seconds : float
            What it took.
        failure : str, optional
            Why it failed.
        """
        self.count += 1
        if self.bar is not None:
            if failure:
                self.bar.write(f"{source}: failed: {failure}", file=sys.stderr)
            self.bar.update()
            return
        what = f"failed: {failure}" if failure else f"done in {seconds:.1f} s"
        tell(f"[{self.count}/{self.total}] {source}: {what}")
