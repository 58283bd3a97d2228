"""The last node of a comparison, which writes the results of an image into the dataset."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiObject,
    SimpleInterface,
    Str,
    TraitedSpec,
    isdefined,
    traits,
)

from getnet_bids.bids.jobs import Job
from getnet_bids.bids.metadata import Metadata, read_object
from getnet_bids.bids.outputs import Outputs, sidecar
from getnet_bids.bids.ownership import check_replaceable, is_intact, refusal
from getnet_bids.bids.provenance import CHECKSUMS, SIZES, InputFile, provenance, record
from getnet_bids.bids.sidecars import marked_incomplete
from getnet_bids.core.correction import CorrectedVolume
from getnet_bids.errors import GetNetError
from getnet_bids.files import atomic, locked
from getnet_bids.images import decode, magnitudes, packing, read
from getnet_bids.masks import foreground_of, skull_stripped
from getnet_bids.run.results import Computed, Loaded, draw, make_folder, save, software, verdict_entries

from .jobs import CompareJob
from .outputs import FILE_CHECKSUMS, FILES, Comparison, files_before, refusal_of_files
from .sidecars import correction_sidecars, segmentation_sidecars, shaded_sidecars, write_sidecars


class ComparisonSinkInputSpec(BaseInterfaceInputSpec):
    """Inputs of `ComparisonSink`: the outputs of `init_comparison_wf`."""

    job = traits.Any(mandatory=True, nohash=True, desc="the CompareJob")
    getnet_file = File(exists=True, mandatory=True)
    getnet_bias = File(exists=True, mandatory=True)
    getnet_seconds = traits.Float(mandatory=True)
    getnet_device = Str(mandatory=True)
    verdict = Str(mandatory=True)
    reasons = traits.List(Str, mandatory=True)
    field_sd_median = traits.Float(mandatory=True)
    field_sd_p95 = traits.Float(mandatory=True)
    known_fields_found = traits.Float(mandatory=True)
    other_file = File(exists=True, mandatory=True)
    other_bias = File(exists=True, mandatory=True)
    other_seconds = traits.Float(mandatory=True)
    other_device = Str(mandatory=True)
    simulated_file = File(exists=True)
    simulated_bias = File(exists=True)
    dseg = File(exists=True)
    dseg_tsv = File(exists=True)
    brain_mask = File(exists=True)
    tissue_maps = InputMultiObject(File(exists=True))
    tissue_names = InputMultiObject(Str)
    method = Str()
    note = Str()
    metrics_tsv = File(exists=True, mandatory=True)
    metrics_json = File(exists=True, mandatory=True)
    table1 = File(exists=True)
    figure = File(exists=True, mandatory=True)


class ComparisonSinkOutputSpec(TraitedSpec):
    """Output of `ComparisonSink`."""

    out_files = traits.List(Str, desc="the files written, except sidecars")


class ComparisonSink(SimpleInterface):
    """Write the results of a comparison into the dataset; the sidecar that marks them as complete comes last."""

    input_spec = ComparisonSinkInputSpec
    output_spec = ComparisonSinkOutputSpec
    _always_run = True

    def _run_interface(self, runtime: Any) -> Any:
        made = {name: value for name, value in self.inputs.get().items() if isdefined(value)}
        self._results["out_files"] = [str(path) for path in finish(self.inputs.job, made)]
        return runtime


def finish(job: CompareJob, made: dict[str, Any]) -> list[Path]:
    """Write the results of a comparison while no other run does.

    Parameters
    ----------
    job : CompareJob
    made : dict
        The inputs of `ComparisonSink` that are set.

    Returns
    -------
    list of Path
        The files, except sidecars and pictures for the pages.
    """
    comparison = job.comparison
    file, data = InputFile.read(job.source.path)  # the raw image, for its hash and its header
    loaded = Loaded(Job(job.source, job.outputs), file, decode(data, job.source.relative))
    metadata = Metadata(job.source.root)
    make_folder(comparison.folder, len(comparison.folder.relative_to(comparison.root).parts))
    comparison.figure.parent.mkdir(exist_ok=True)
    written = result_paths(comparison, made)
    with locked(job.outputs.corrected):
        check_files(comparison, written, job.outputs)
        before = files_before(comparison)
        with marked_incomplete([comparison.other]):
            if not comparison.simulated:
                save(getnet_results(job, loaded, made), job.correction, metadata)
            for path, origin in written.items():
                place(origin, path)
            files = record(written, comparison.root)
            for relative in before[SIZES].keys() - files[SIZES].keys():
                discard(comparison.root / relative, relative, before)
            write_sidecars(describe(job, made, loaded, metadata.of(job.source), files))
    return list(written)


def check_files(comparison: Comparison, written: Iterable[Path], outputs: Outputs) -> None:
    """Raise `GetNetError` if the results may not be written because a user's file is there."""
    if reason := refusal_of_files(comparison, written):
        raise GetNetError(reason)
    if not comparison.simulated:
        check_replaceable(outputs)


def getnet_results(job: CompareJob, loaded: Loaded, made: dict[str, Any]) -> Computed:
    """Assemble GetNet's results in the form of a run without comparison."""
    corrected, bias = (magnitudes(read(made[name])) for name in ("getnet_file", "getnet_bias"))
    foreground = foreground_of(loaded.image, loaded.job.source.relative)
    volume = CorrectedVolume(
        corrected,
        bias,
        foreground,
        torch.device(made["getnet_device"].partition(" ")[0]),
        made["verdict"],
        tuple(made["reasons"]),
        made["field_sd_median"],
        made["field_sd_p95"],
        made["known_fields_found"],
    )
    return Computed(loaded, volume, made["getnet_seconds"], made["getnet_device"])


def result_paths(comparison: Comparison, made: dict[str, Any]) -> dict[Path, Path]:
    """Return the paths for the workflow's files, except GetNet's for a real image, which `save` writes.

    Parameters
    ----------
    comparison : Comparison
    made : dict
        As for `finish`.

    Returns
    -------
    dict of Path
        The workflow's file for each path.
    """
    pairs = [(comparison.other, "other_file", "other_bias")]
    if comparison.simulated:
        pairs += [(comparison.shaded, "simulated_file", "simulated_bias")]
        pairs += [(comparison.getnet, "getnet_file", "getnet_bias")]
    named: dict[Path, str] = {}
    for outputs, *names in pairs:
        named |= dict(zip(outputs.images, names, strict=False))
    named |= {comparison.metrics: "metrics_tsv", comparison.metrics.with_suffix(".json"): "metrics_json"}
    named |= {comparison.table1: "table1", comparison.figure: "figure"}
    named |= {comparison.dseg: "dseg", comparison.dseg_table: "dseg_tsv", comparison.mask: "brain_mask"}
    found = {path: Path(made[name]) for path, name in named.items() if name in made}
    for name, path in zip(made.get("tissue_names", []), made.get("tissue_maps", []), strict=True):
        found[comparison.probseg(name)] = Path(path)
    return found


def describe(
    job: CompareJob, made: dict[str, Any], loaded: Loaded, metadata: dict[str, Any], files: dict[str, Any]
) -> dict[Path, dict[str, Any]]:
    """Return the sidecars by path; the last one marks the comparison as complete.

    Parameters
    ----------
    job : CompareJob
    made : dict
        As for `finish`.
    loaded : Loaded
        The raw image.
    metadata : dict
        Metadata of the raw image.
    files : dict of dict
        Sizes and checksums of all files of the comparison, as returned by `provenance.record`.

    Returns
    -------
    dict of dict
    """
    comparison, options = job.comparison, job.recipe.options
    stripped, how = skull_stripped(magnitudes(loaded.image), metadata)
    skull = {"SkullStripped": stripped, "SkullStrippedDetermination": how}
    described: dict[Path, dict[str, Any]] = {}
    if method := made.get("method"):
        used = [job.uris[name] for name in files_used(job, method)]
        names = made["tissue_names"]
        described |= segmentation_sidecars(comparison, method, names, used, made.get("note"), skull)
    if comparison.simulated:
        described |= shaded_sidecars(comparison, options["simulate_gain"], options["gain_seed"], skull)
        shaded = replace(loaded, job=Job(job.source, comparison.getnet), image=read(made["simulated_file"]))
        result = getnet_results(job, shaded, made)
        run = {"Device": result.device, "Seconds": round(result.seconds, 3), "Software": versions(job)}
        volume, place = result.volume, comparison.getnet.corrected
        shown = (shaded.image, volume.corrected, volume.field, volume.foreground)
        drawn = draw(job.source, place, *shown, metadata, "simulatedGetNet")
        run |= verdict_entries(volume, drawn)
        about = provenance(job.recipe, loaded.file, comparison.getnet.images, run)
        described |= correction_sidecars(comparison, True, skull, about)
    run = {
        "Device": made["other_device"],
        "Seconds": round(made["other_seconds"], 3),
        "Software": versions(job),
    }
    run |= {"Segmentation": method or "none", **({"Note": made["note"]} if "note" in made else {})}
    run |= {FILES: files[SIZES], FILE_CHECKSUMS: files[CHECKSUMS]}
    about = provenance(job.recipe, loaded.file, comparison.other.images, run)
    return described | correction_sidecars(comparison, False, skull, about)


def files_used(job: CompareJob, method: str) -> list[str]:
    """List the files of an existing segmentation that were used."""
    if method == "atropos":
        return [name for name in job.existing if name == "brain_mask"]
    if method == "classes":
        return []
    probsegs = [name for name in job.existing if name not in ("dseg", "brain_mask")]
    return probsegs or ["dseg"]


def versions(job: CompareJob) -> dict[str, str]:
    """Return the versions that affect the results."""
    return {**software(), **{name: version(name) for name in (*job.method.packages, "nipype", "nilearn")}}


def place(origin: Path, path: Path) -> None:
    """Copy a file atomically, compressing an image that is not compressed."""
    compress = path.name.endswith(".nii.gz") and origin.suffix != ".gz"
    with packing(path) if compress else atomic(path) as file, open(origin, "rb") as data:
        while block := data.read(1 << 20):
            file.write(block)


def discard(path: Path, name: str, before: dict[str, Any]) -> None:
    """Remove a file of an earlier comparison and its sidecar, unless it has been edited or replaced since."""
    if not path.is_file() or refusal(path, name, before):
        return
    path.unlink()
    if path.name.endswith(".nii.gz") and is_intact(read_object(sidecar(path))):
        sidecar(path).unlink(missing_ok=True)
