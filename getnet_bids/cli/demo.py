"""getnet-demo: make a small BIDS dataset with a known bias field, correct it, and compare the result with the truth."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from getnet_bids import __version__
from getnet_bids.bids.metadata import read_object
from getnet_bids.bids.ownership import refusal
from getnet_bids.bids.provenance import SIZES, record
from getnet_bids.bids.sidecars import write_json
from getnet_bids.errors import reason_of
from getnet_bids.run import console

from .parser import Parser

if TYPE_CHECKING:
    import nibabel as nib
    import numpy as np
    from numpy.typing import NDArray

FIELDS = {"sub-smooth": "a random field", "sub-coil": "receive loops"}
MARK = ".getnet-demo"
"""File that marks a folder as made by this command, so that the user's own folders are left alone."""


def brain() -> tuple[nib.Nifti1Image, dict[str, NDArray[np.bool_]]]:
    """Return nilearn's bundled MNI152 T1w brain and its tissues (probability above 0.8), at 1 mm."""
    from nilearn import datasets

    template = datasets.load_mni152_template(resolution=1)
    tissues = {
        "GM": datasets.load_mni152_gm_template(resolution=1).get_fdata() > 0.8,
        "WM": datasets.load_mni152_wm_template(resolution=1).get_fdata() > 0.8,
        "whole": template.get_fdata() > 0,
    }
    return template, tissues


def known_gain(subject: str, shape: tuple[int, ...], where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Draw the random field of a subject; its logarithm has a standard deviation of 0.2 over the brain."""
    import torch

    from getnet_bids.core.gain import coil_log_gain, smooth_log_gain, with_spread

    generator = torch.Generator().manual_seed(2019)
    if subject == "sub-smooth":
        field = smooth_log_gain(shape, torch.tensor([0.4]), generator)
    else:
        field = coil_log_gain(shape, 1, generator)
    return with_spread(field, torch.from_numpy(where)[None], torch.tensor([0.2]))[0].exp().numpy()


def make_dataset(bids: Path) -> dict[str, NDArray[np.bool_]]:
    """Write the dataset and return the tissues; files that are not part of the demo are left alone."""
    import nibabel as nib
    import numpy as np

    template, tissues = brain()
    original = template.get_fdata(dtype=np.float32)
    rng = np.random.default_rng(2019)
    bids.mkdir(exist_ok=True)
    about = {"Name": "MNI152 brain with known bias fields", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    (bids / "dataset_description.json").write_text(json.dumps(about, indent=2))
    (bids / "README.md").write_text("nilearn's MNI152 T1w brain, shaded by known bias fields, with 2 % Rician noise.\n")
    for subject in FIELDS:
        shaded = original * known_gain(subject, original.shape, tissues["whole"])
        sigma = 0.02 * original[tissues["WM"]].mean() * tissues["whole"]
        noise = rng.normal(size=(2, *original.shape))
        noisy = np.hypot(shaded + sigma * noise[0], sigma * noise[1]).astype(np.float32)
        folder = bids / subject / "anat"
        folder.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(noisy, template.affine), folder / f"{subject}_T1w.nii.gz")
        (folder / f"{subject}_T1w.json").write_text(json.dumps({"SkullStripped": True}))
    return tissues


def demo_parser() -> argparse.ArgumentParser:
    """Build the parser of getnet-demo."""
    parser = Parser(
        prog="getnet-demo",
        description="Make a small BIDS dataset with a known bias field, correct it, and report how close the result is "
        "to the truth.",
    )
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("demo-output"),
        help="a new folder, or that of an earlier demo (%(default)s)",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    folder = demo_parser().parse_args(argv).folder
    try:
        if folder.exists() and not (folder.is_dir() and ((folder / MARK).is_file() or not any(folder.iterdir()))):
            text = f"{folder} was not made by getnet-demo and is left alone; name another folder"
            console.say(text, "getnet-demo")
            return console.CANNOT_CREATE
        folder.mkdir(parents=True, exist_ok=True)
        if reason := changed(folder):
            console.say(reason, "getnet-demo")
            return console.CANNOT_CREATE
        return run(folder)
    except OSError as error:
        console.say(reason_of(error), "getnet-demo")
        return console.CANNOT_CREATE


def files_of(bids: Path) -> list[Path]:
    """List the files that the demo writes into its dataset."""
    images = [bids / subject / "anat" / f"{subject}_T1w" for subject in FIELDS]
    both = [Path(f"{image}{ending}") for image in images for ending in (".nii.gz", ".json")]
    return [bids / "dataset_description.json", bids / "README.md", *both]


def changed(folder: Path) -> str | None:
    """Return which file of an earlier demo's dataset was changed since, according to its mark; None if none was."""
    made = read_object(folder / MARK)
    there = (name for name in made.get(SIZES, ()) if (folder / name).exists())
    return next((reason for name in there if (reason := refusal(folder / name, name, made))), None)


def run(folder: Path) -> int:
    """Make the dataset in a folder, correct it, print the errors, and return the exit code."""
    bids, out = folder / "bids", folder / "derivatives"

    import nibabel as nib
    import numpy as np

    from getnet_bids.core.metrics import relative_mae

    print(f"A BIDS dataset from nilearn's MNI152 brain, with known bias fields: {bids}")
    about = {"About": "Made by getnet-demo, which may write its files here again."}
    write_json(folder / MARK, about)
    tissues = make_dataset(bids)
    write_json(folder / MARK, about | record(files_of(bids), folder))
    command = [sys.executable, "-m", "getnet_bids.cli.app", str(bids), str(out), "participant", "--force"]
    print(f"$ getnet-bids {bids} {out} participant", flush=True)
    code = subprocess.run(command, check=False).returncode
    if code:
        return code

    original = brain()[0].get_fdata(dtype=np.float32)
    print("\nRelative mean absolute error against the brain without bias field (after the best global scale)")
    print(f"{'field':<18}{'tissue':<10}{'before':>8}{'after':>8}")
    for subject, kind in FIELDS.items():
        paths = (
            root / subject / "anat" / f"{subject}_{rest}T1w.nii.gz"
            for root, rest in ((bids, ""), (out, "desc-preproc_"))
        )
        pair = [nib.Nifti1Image.from_filename(path).get_fdata(dtype=np.float32) for path in paths]
        for tissue, where in tissues.items():
            errors = [relative_mae(image, original, where) for image in pair]
            print(f"{kind:<18}{tissue:<10}{errors[0]:8.3f}{errors[1]:8.3f}")
    print(f"\nCorrected images, fields and sidecars: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
