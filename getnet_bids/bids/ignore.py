"""Files that a dataset's ``.bidsignore`` takes out of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from getnet_bids.files import read_bytes

FILE = ".bidsignore"


def read_ignored(root: Path) -> Callable[[str], bool]:
    """Read a dataset's ``.bidsignore``, which is written like a ``.gitignore``.

    Parameters
    ----------
    root : Path
        The dataset.

    Returns
    -------
    callable
        Tells of a path from the root, with forward slashes, whether it is ignored.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, ".bidsignore").write_text("*_T2w.nii.gz")
    ...     ignored = read_ignored(Path(folder))
    >>> ignored("sub-01/anat/sub-01_T2w.nii.gz"), ignored("sub-01/anat/sub-01_T1w.nii.gz")
    (True, False)
    """
    try:
        lines = read_bytes(root / FILE).decode("utf-8-sig", errors="replace").splitlines()
    except OSError:
        return lambda relative: False
    from pathspec import GitIgnoreSpec

    def is_pattern(line: str) -> bool:
        try:
            GitIgnoreSpec.from_lines([line])
        except ValueError:
            return False  # such as a lone "!", which means nothing to git either
        return True

    spec = GitIgnoreSpec.from_lines(line for line in lines if is_pattern(line))
    return spec.match_file
