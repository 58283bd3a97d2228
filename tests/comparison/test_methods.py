"""A method to compare with is a line in a table: a toy method goes all the way, to names, tables and pages."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from nipype import Node, Workflow
from nipype.interfaces.base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec, traits
from nipype.interfaces.utility import IdentityInterface

from getnet_bids import images
from getnet_bids.cli.app import main
from getnet_bids.comparison.methods import METHODS, Method
from getnet_bids.reports.group import write_group_report
from tests.datasets import read_table

ONE = "sub-01/anat/sub-01_T1w.nii.gz"
TOY = Method("Toy", "a toy that halves", f"{__name__}:init_toy_wf", "It is 2 everywhere.", ("numpy",))


class HalfInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True)


class HalfOutputSpec(TraitedSpec):
    out_file = File(exists=True)
    bias_image = File(exists=True)
    seconds = traits.Float()
    device = traits.Str()


class Half(SimpleInterface):
    """Divide an image by a field that is 2 everywhere."""

    input_spec, output_spec = HalfInputSpec, HalfOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        image = images.read(self.inputs.in_file)
        field = np.full(image.shape[:3], 2, np.float32)
        for name, data in (("out_file", images.magnitudes(image) / 2), ("bias_image", field)):
            self._results[name] = f"{runtime.cwd}/{name}.nii.gz"
            images.write(images.like(image, data), self._results[name])
        self._results |= {"seconds": 0.5, "device": "abacus"}
        return runtime


def init_toy_wf(*, omp_nthreads: int = 1, mem_scale: float = 1.0, name: str = "toy_wf") -> Workflow:
    workflow = Workflow(name=name)
    inputnode = Node(IdentityInterface(fields=["in_file", "in_mask"]), name="inputnode")
    outputs = ["out_file", "bias_image", "seconds", "device"]
    outputnode = Node(IdentityInterface(fields=outputs), name="outputnode")
    half = Node(Half(), name="half")
    workflow.connect([(inputnode, half, [("in_file", "in_file")]), (half, outputnode, [(o, o) for o in outputs])])
    return workflow


def test_a_toy_method(make_dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(METHODS, "toy", TOY)
    raw, out, plugin = make_dataset(ONE), tmp_path / "out", tmp_path / "linear.yml"
    plugin.write_text("plugin: Linear\n")
    options = ["--compare", "toy", "--segmentation", "none", "--use-plugin", str(plugin), "--device", "cpu"]
    assert main([str(raw), str(out), "participant", *options]) == 0
    folder = out / "sub-01" / "anat"
    corrected = images.magnitudes(images.read(folder / "sub-01_desc-Toy_T1w.nii.gz"))
    np.testing.assert_allclose(corrected * 2, images.magnitudes(images.read(raw / ONE)))
    described = json.loads((folder / "sub-01_mod-T1w_desc-Toy_biasfield.json").read_text())
    assert described["Description"].endswith("estimated by Toy: dimensionless, positive. It is 2 everywhere.")
    assert "numpy" in described["GetNet"]["Software"]
    assert described["GetNet"]["Device"] == "abacus"
    assert (
        "desc-Toy\tCorrected for intensity non-uniformity by a toy that halves"
        in (out / "descriptions.tsv").read_text()
    )
    rows = read_table(folder / "sub-01_mod-T1w_desc-inu_metrics.tsv")
    assert [row["method"] for row in rows] == ["input", "GetNet", "Toy"]
    assert "disagreement_with_Toy" in rows[0]
    page = (out / "sub-01.html").read_text()
    assert "sub-01_desc-Toy_T1w.nii.gz" in page
    write_group_report(out)
    assert "\tToy\t" in (out / "desc-inu_metrics.tsv").read_text()
    assert main([str(raw), str(out), "participant", *options]) == 0
    assert "skipped" in max(out.glob("logs/*/status.tsv"), key=lambda path: path.stat().st_mtime_ns).read_text()
