"""Check that the container image is complete and readable; run in it as its user when it is built."""

import hashlib
import os
import re
import sys
from pathlib import Path

import ants  # noqa: F401 - N4 and Atropos
import numpy as np
import torch

from getnet_bids.core.correction import correct_volume
from getnet_bids.core.options import Options
from getnet_bids.interfaces.templates import load_template
from getnet_bids.weights import default_weights, load_network
from getnet_bids.workflows import init_comparison_wf

if os.getuid() == 0:
    sys.exit("the image's user is root")
hidden = [path for path in Path(sys.prefix).rglob("*") if not os.access(path, os.R_OK)]
if hidden:
    sys.exit(f"{len(hidden)} files cannot be read, among them {hidden[0]}")

weights = default_weights()
promised = re.search(r"SHA-256 `([0-9a-f]{64})`", weights.with_suffix(".md").read_text())
if promised is None or hashlib.sha256(weights.read_bytes()).hexdigest() != promised[1]:
    sys.exit(f"{weights} is not the file of its model card")

template = load_template()
volume = template.image.get_fdata(dtype=np.float32)[::2, ::2, ::2]
spacing = 2 * np.sqrt((template.image.affine[:3, :3] ** 2).sum(0))
result = correct_volume(volume, tuple(spacing), load_network(device="cpu"), options=Options())
if not np.isfinite(result.field).all() or not (result.field > 0).all():
    sys.exit("the template's field is not positive and finite")
init_comparison_wf()
print(f"weights, template, N4 and workflows are there; torch {torch.__version__}; read as user {os.getuid()}")
