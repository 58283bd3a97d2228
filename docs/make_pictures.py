"""Make the pictures of README and docs from the head of getnet-demo: ``python docs/make_pictures.py``.

With selenium, and chromium and chromedriver on the PATH, it also takes a screenshot of a subject's page.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from getnet_bids.cli.demo import brain, known_gain, make_dataset
from getnet_bids.core import log_field
from getnet_bids.core.field import gain_field
from getnet_bids.core.foreground import find_foreground
from getnet_bids.core.geometry import Plane
from getnet_bids.core.network import CELLS
from getnet_bids.core.options import Options
from getnet_bids.core.voxels import checked, scaled
from getnet_bids.images import magnitudes, read, voxel_size
from getnet_bids.reports.mosaic import Mosaic, anatomical, arrange
from getnet_bids.reports.pictures import coloured
from getnet_bids.weights import load_network

IMAGES = Path(__file__).parent / "images"
SUBJECT = "sub-coil"
BACKGROUND, TEXT = (0, 0, 0), (255, 255, 255)
HEADING, BAR = 34, 46
"""Heights of the heading above the panels and of the colour bar below them, pixels."""
GAP = 14
LETTER = 30
"""Width left for the letters beside a slice, pixels."""
REACH = 1.6
"""Fields are drawn on a scale from 1 / 1.6 to 1.6."""


@dataclass(frozen=True)
class Stages:
    """Results of each step on a volume; fields by voxel, of geometric mean 1 over the foreground.

    Parameters
    ----------
    foreground : ndarray of bool
    cells : dict of ndarray
        The network's estimates by slice axis, with each cell as a square, and NaN where there is no signal.
    fused, refined : ndarray
    """

    foreground: NDArray[np.bool_]
    cells: dict[int, NDArray[np.float32]]
    fused: NDArray[np.float32]
    refined: NDArray[np.float32]


def stages_of(image: NDArray[np.float32], voxel: tuple[float, ...]) -> Stages:
    """Compute the results of a correction's steps on the image's grid."""
    options, network = Options(precision="float32"), load_network(device="cpu")
    volume = torch.from_numpy(scaled(checked(image)))
    foreground = find_foreground(volume, voxel)
    volume *= foreground
    alone = log_field.estimate_with_network([volume], voxel, network, None, options)
    stages = log_field.refine(alone, [volume], voxel, None)
    fused, refined = (
        gain_field(step.basis, step.theta, voxel, foreground).numpy() for step in (stages.network, stages.refined)
    )
    cells: dict[int, NDArray[np.float32]] = {}
    for plane, value, weight in zip(stages.planes, stages.log_gain, stages.weights, strict=True):
        drawn = squares(plane, value.numpy(), weight.numpy(), fused, voxel)
        before = cells.get(plane.axis, drawn)
        cells[plane.axis] = np.where(np.isnan(before), drawn, before)
    return Stages(foreground.numpy(), cells, fused, refined)


def squares(
    plane: Plane, log_gain: NDArray, weight: NDArray, fused: NDArray, voxel: tuple[float, ...]
) -> NDArray[np.float32]:
    """Draw a plane's cells into a volume; each slice, whose scale is unknown, is scaled to the fused field's mean."""
    others = [a for a in range(3) if a != plane.axis]
    nearest = []
    for a in others:
        step = plane.position[a][1] - plane.position[a][0]
        place = ((np.arange(fused.shape[a]) + 0.5) * voxel[a] - plane.position[a][0]) / step
        nearest.append(np.clip(np.round(place).astype(int), 0, CELLS - 1))
    out = np.full(fused.shape, np.nan, np.float32)
    for k, index in enumerate(plane.index):
        where = np.ix_(*nearest)
        own, share = log_gain[k][where], weight[k][where]
        target = np.log(fused.take(index, axis=plane.axis))
        own = np.where(share > 0, own + ((target - own) * share).sum() / share.sum(), np.nan)
        out[tuple(index if a == plane.axis else slice(None) for a in range(3))] = np.exp(own)
    return out


def chosen(mosaic: Mosaic, cuts: list[tuple[int, int]], scale: float, across: bool = False) -> Mosaic:
    """Keep some slices, given by slice axis and column, place them below or beside each other, and enlarge them."""
    slices = []
    for i, (axis, column) in enumerate(cuts):
        one = next(s for s in mosaic.slices if (s.axis, s.column) == (axis, column))
        slices.append(replace(one, row=0 if across else i, column=i if across else 0))
    sizes = {axis: (round(w * scale), round(h * scale)) for axis, (w, h) in mosaic.sizes.items()}
    texts = tuple(
        (kept, place, text)
        for s, place, text in mosaic.texts
        for kept in slices
        if (s.axis, s.index) == (kept.axis, kept.index)
    )
    heights = [sizes[axis][1] + 2 for axis, _ in cuts]
    return replace(
        mosaic,
        slices=tuple(slices),
        sizes=sizes,
        columns=len(cuts) if across else 1,
        width=max(sizes[axis][0] for axis, _ in cuts) + LETTER,
        heights=(max(heights),) if across else tuple(heights),
        texts=texts,
    )


def grey(mosaic: Mosaic, volume: NDArray, white: float) -> Image.Image:
    """Draw intensities in gray, from 0 to `white`."""
    picture = mosaic.draw(volume, lambda values: (np.clip(values / white, 0, 1) * 255).astype(np.uint8))
    mosaic.write_labels(picture)
    return picture.convert("RGB")


def field(mosaic: Mosaic, volume: NDArray, seen: NDArray[np.bool_]) -> Image.Image:
    """Draw a gain in the colours of the reports within a mask, and the rest in black."""

    def levels(values: NDArray) -> NDArray[np.uint8]:
        return (1 + np.clip(0.5 + np.log(values) / (2 * np.log(REACH)), 0, 1) * 254).astype(np.uint8)

    share = mosaic.draw(seen, lambda values: values.astype(np.uint8) * 255)
    black = Image.new("RGB", mosaic.size, BACKGROUND)
    return Image.composite(coloured(mosaic.draw(volume, levels)), black, share)


def colour_bar(width: int) -> Image.Image:
    """Draw a colour bar of the gain, with its scale."""
    canvas = Image.new("RGB", (width, BAR), BACKGROUND)
    ramp = np.tile(np.linspace(1, 255, width - 60).astype(np.uint8), (12, 1))
    canvas.paste(coloured(Image.fromarray(ramp)), (30, 6))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(14)
    for place, text in ((0.0, f"{1 / REACH:.2f}"), (0.5, "1"), (1.0, f"{REACH:.2f}")):
        draw.text((30 + place * (width - 60), 22), text, TEXT, font, "ma")
    return canvas


def side_by_side(panels: list[tuple[str, Image.Image]], bar_under: list[int]) -> Image.Image:
    """Put panels with headings in a row, and one colour bar below some of them."""
    width = sum(panel.width for _, panel in panels) + GAP * (len(panels) + 1)
    height = panels[0][1].height
    canvas = Image.new("RGB", (width, HEADING + height + BAR + GAP // 2), BACKGROUND)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(18)
    left, lefts = GAP, []
    for heading, panel in panels:
        lefts.append(left)
        canvas.paste(panel, (left, HEADING))
        draw.text((left + panel.width / 2, HEADING / 2), heading, TEXT, font, "mm")
        left += panel.width + GAP
    first, last = lefts[bar_under[0]], lefts[bar_under[-1]] + panels[bar_under[-1]][1].width
    canvas.paste(colour_bar(last - first), (first, HEADING + height + GAP // 2))
    return canvas


def reduced(canvas: Image.Image) -> Image.Image:
    """Reduce a picture to 128 grays and 128 colours of fields, for a smaller file."""
    indices = Image.fromarray(np.arange(1, 256, 2, np.uint8)[None])
    grays = np.repeat(np.arange(0, 256, 2), 3)
    palette = Image.new("P", (1, 1))
    palette.putpalette([*grays.tolist(), *np.asarray(coloured(indices)).ravel().tolist()])
    return canvas.quantize(palette=palette, dither=Image.Dither.NONE)


def save(canvas: Image.Image, name: str) -> None:
    """Write a picture."""
    IMAGES.mkdir(exist_ok=True)
    canvas.save(IMAGES / name, optimize=True)
    print(f"{IMAGES / name}: {canvas.width}x{canvas.height}, {(IMAGES / name).stat().st_size // 1000} kB")


def photograph(page: Path, name: str, width: int, height: int) -> None:
    """Take a screenshot of the top of a page in a browser."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={width},{height}"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get(page.as_uri())
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            browser.save_screenshot(file.name)
            save(Image.open(file.name).convert("RGB").quantize(256), name)
    finally:
        browser.quit()


def main() -> None:
    """Make all pictures."""
    with tempfile.TemporaryDirectory() as folder:
        bids, out = Path(folder) / "bids", Path(folder) / "derivatives"
        make_dataset(bids)
        image = read(bids / SUBJECT / "anat" / f"{SUBJECT}_T1w.nii.gz")
        before, voxel = magnitudes(image), voxel_size(image)
        steps = stages_of(before, voxel)
        truth = known_gain(SUBJECT, before.shape, brain()[0].get_fdata() > 0)
        truth /= np.exp(np.log(truth[steps.foreground]).mean())
        after = before / steps.refined
        white = np.percentile(before[steps.foreground], 98)

        def turned(volume: NDArray) -> NDArray:
            return anatomical(volume, image.affine)

        inside = turned(steps.foreground)
        whole = arrange(steps.foreground, voxel, image.affine)
        wide = chosen(whole, [(2, 2), (1, 2)], 1.5, across=True)
        panels = [
            ("before", grey(wide, turned(before), white)),
            ("field", field(wide, turned(steps.refined), inside)),
            ("after", grey(wide, turned(after), white)),
        ]
        save(side_by_side(panels, [1]), "before-field-after.png")

        small = chosen(whole, [(2, 2), (1, 2), (0, 3)], 1.0)
        cells = Image.new("RGB", small.size, BACKGROUND)
        for s in small.slices:
            filled = turned(nearest_slices(steps.cells[s.axis], s.axis))
            drawn = field(small, np.nan_to_num(filled, nan=1.0), ~np.isnan(filled))
            top = sum(small.heights[: s.row])
            cells.paste(drawn.crop((0, top, small.width, top + small.heights[s.row])), (0, top))
        panels = [
            ("image", grey(small, turned(before), white)),
            ("slices' cells", cells),
            ("fused", field(small, turned(steps.fused), inside)),
            ("refined", field(small, turned(steps.refined), inside)),
            ("true field", field(small, turned(truth), inside)),
        ]
        save(side_by_side(panels, [1, 2, 3, 4]), "stages.png")

        if shutil.which("chromium") and shutil.which("chromedriver"):
            command = [sys.executable, "-m", "getnet_bids.cli.app", str(bids), str(out), "participant"]
            subprocess.run(command, check=True)
            photograph(out / f"{SUBJECT}.html", "subject-page.png", 1100, 1150)


def nearest_slices(volume: NDArray, axis: int) -> NDArray:
    """Fill the slices that the network did not see with the nearest one that it saw."""
    used = np.flatnonzero(~np.isnan(volume).all(tuple(a for a in range(3) if a != axis)))
    every = np.arange(volume.shape[axis])
    return volume.take(used[np.abs(every[:, None] - used).argmin(1)], axis=axis)


if __name__ == "__main__":
    nib.imageglobals.logger.setLevel("ERROR")
    main()
