"""N4 (Tustison et al., IEEE TMI 2010), in ANTs."""

from __future__ import annotations

from .method import Method

METHOD = Method(
    name="N4",
    long_name="N4 (ANTs)",
    workflow="getnet_bids.workflows:init_n4_wf",
    scale="Its scale is N4's own.",
    packages=("antspyx",),
)
