"""A derivative dataset as the App leaves it, made without the network: the field is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from getnet_bids.bids.dataset import prepare_output
from getnet_bids.bids.discovery import Source, find_images
from getnet_bids.bids.outputs import Outputs
from getnet_bids.bids.provenance import InputFile, Recipe, provenance
from getnet_bids.bids.sidecars import write_sidecars
from getnet_bids.images import like, magnitudes, read, write
from getnet_bids.reports.pictures import Pictures, draw_pictures

RECIPE = Recipe(Path("getnet.safetensors"), "sha256:0", {"refine": True})


def gain(shape: tuple[int, ...]) -> np.ndarray:
    """Return a field that rises along the first axis."""
    ramp = np.exp(np.linspace(-0.3, 0.3, shape[0]))
    return np.broadcast_to(ramp.reshape(-1, *[1] * (len(shape) - 1)), shape).astype(np.float32)


def derive(source: Source, out: Path, metadata: dict | None = None) -> None:
    """Write an image's results, sidecars and pictures."""
    outputs = Outputs.of(source, out)
    outputs.corrected.parent.mkdir(parents=True, exist_ok=True)
    image = read(source.path)
    voxels = magnitudes(image)
    field = gain(voxels.shape)
    write(like(image, voxels / field), outputs.corrected)
    write(like(image, field), outputs.field)
    foreground = voxels > 0.2 * voxels.max()
    seen = draw_pictures(image, voxels / field, field, foreground, Pictures.of(source.name, out), metadata or {})
    run = {"ForegroundVoxels": int(foreground.sum()), "Device": "cpu", "Seconds": 1.25, "Software": {"torch": "2"}}
    file, _ = InputFile.read(source.path)
    made = provenance(RECIPE, file, outputs.images, {**run, **seen})
    write_sidecars(source, outputs, (False, "So it is."), made)


def compare(out: Path, subject: str, rows: list[str]) -> None:
    """Write the table of a T1w image's comparison, and the sidecar of N4's result, made as the present correction."""
    folder = out / subject / "anat"
    (folder / f"{subject}_mod-T1w_desc-inu_metrics.tsv").write_text("\n".join(rows) + "\n")
    content = json.loads((folder / f"{subject}_desc-preproc_T1w.json").read_text())
    content["GetNet"]["Options"] |= {"compare": "n4", "segmentation": "auto", "template": "bundled", "given": {}}
    (folder / f"{subject}_desc-N4_T1w.json").write_text(json.dumps(content))


@pytest.fixture
def derived(make_dataset: Callable[..., Path], tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Return a function that makes a dataset with some images, and the results of all but the last `without`."""

    def make(
        *relatives: str, without: int = 0, metadata: dict | None = None, suffixes: list[str] | None = None
    ) -> tuple[Path, Path]:
        raw, out = make_dataset(*relatives), tmp_path / "out"
        prepare_output(raw, out)
        sources = find_images(raw, suffixes=suffixes).sources
        for source in sources[: len(sources) - without]:
            derive(source, out, metadata)
        return raw, out

    return make


@pytest.fixture
def blob() -> nib.Nifti1Image:
    """Return an image of 2 x 3 x 4 mm voxels that is bright on the patient's right, front and top."""
    data = np.full((40, 36, 32), 100, np.float32)
    data[25:35, 22:32, 20:30] = 1000
    return nib.Nifti1Image(data, nib.affines.from_matvec(np.diag([2.0, 3, 4]), [-40, -50, -60]))
