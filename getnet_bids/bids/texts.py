"""The texts at the top of a derivative dataset."""

IGNORED = "*.html\nfigures\n*_biasfield.*\n*_metrics.*\n"
DESCRIPTIONS = (
    "desc_id\tdescription\n"
    "desc-preproc\tCorrected for intensity non-uniformity by GetNet; also the gain field that was divided out.\n"
)
ABOUT_DESCRIPTIONS = '{\n  "Description": "What the values of the desc entity stand for."\n}\n'

README = """\
# Intensity-corrected MR images

Made by getnet_bids, which estimates the smooth shading (gain field, bias field, intensity non-uniformity) of MR
images with a network, GetNet, and divides it out.

For each anatomical image of the source dataset, under the same subject, session and name:

| file | what |
|---|---|
| `*_desc-preproc_<suffix>.nii.gz` | the corrected image, float32, on the grid and with the header of the source |
| `*_mod-<suffix>_desc-preproc_biasfield.nii.gz` | the gain field that it was divided by, on the same grid |

The field is positive and has a geometric mean of 1 over the foreground, so that the corrected image keeps the
source's overall brightness. Corrected image times field is the source image. BIDS has no suffix for such a field
yet; `biasfield` is listed in `.bidsignore`.

Each image's JSON file names its source and holds, under `GetNet`, the hashes of the source, the weights and the
options, sizes, software versions, device and seconds. From these a later run tells what it need not do again.
`Measures` are over the foreground (of a large image, every second, third ... voxel along each axis): the field's
percentiles and coefficient of variation (`FieldMinimum`, `FieldP1`, `FieldP5`, `FieldP95`, `FieldP99`, `FieldMaximum`,
`FieldCV`), the image's coefficient of variation and median before and after (`CVBefore`, `CVAfter`, `MedianBefore`,
`MedianAfter`), the foreground's volume in ml (`ForegroundVolume`), and the counts of the intensities before and after
in equal bins from `From` to `To` (`Histogram`). `Figures` tells the scales of the pictures: intensities of black and
white (`Window`), fields of the first and last colour (`FieldColours`). `Remarks` are what a reader should know.
`SkullStrippedDetermination` says how `SkullStripped` is known: from the source's metadata, or else measured, where
an image counts as stripped if at most 2 % of its outermost voxels and two thirds of all voxels are not 0.

`sub-<label>.html` shows each image of a subject before and after, its field, and what went wrong; its pictures are in
`sub-<label>/figures`. The group level adds `desc-inu_metrics.tsv`, a row for each image, method and tissue, and
`group_metrics.html`, which shows what stands out.

With `--compare n4` there are, of the same images, N4's correction (`desc-N4`) and field, a segmentation (`dseg` with
the table of its labels, `label-*_probseg`, `desc-brain_mask`; with `desc-<suffix>` where images of one session differ
in their contrast alone), `mod-<suffix>_desc-inu_metrics.tsv`, which tells how uniform each tissue is before and after
each correction, and a figure of all in `sub-<label>/figures`. A `Note` in a sidecar tells of a segmentation into
classes by intensity, where the image is not of a human brain.

`logs/<run>/status.tsv` has a line for each image of a run, `logs/<run>/getnet_bids.toml` the options that it ran
with, and `logs/CITATION.md` what to cite.
"""

CITATION = """\
# How to cite

These images were corrected with getnet_bids {version}, which builds on the method of this paper; please cite it:

> Simkó A, Löfstedt T, Garpebring A, Nyholm T, Jonsson J. *A Generalized Network for MRI Intensity Normalization.*
> International Conference on Medical Imaging with Deep Learning (MIDL), Extended Abstract Track, 2019.

For a methods section:

> Anatomical images were corrected for intensity non-uniformity with getnet_bids {version}, in which a residual
> network trained on photographs estimates the gain field of image slices (GetNet; Simkó et al., 2019). The slice
> estimates are fused into one smooth three-dimensional field of geometric mean 1 over the foreground, by which the
> image is divided.
"""
