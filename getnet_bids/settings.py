"""The settings of a run of getnet-bids: typed, validated, immutable."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .bids.names import ALL, SERIES, SUFFIXES, WEIGHTED, expand
from .comparison.methods import METHODS
from .core import BATCH_SIZE, PRECISIONS
from .errors import GetNetError

if TYPE_CHECKING:
    from .formats import Storage

LEVELS = ("participant", "group")
SERIES_REFERENCES = ("mean", "sbref")
SHARED_FIELDS = ("session",)
RECEIVE_FIELDS = ("none", "auto", "measured")
SEGMENTATIONS = ("auto", "derivatives", "atropos", "none")
OUTPUT_DTYPES = ("float32", "same")
LAYOUTS = ("bids", "legacy")
HAND_OVERS = ("fmriprep", "fmriprep-sessionwise")
LARGEST_SEED = 2**63 - 1
"""The largest seed that torch accepts."""


def device(text: str) -> str:
    """Check the name of a device; whether the machine has it is checked later, with torch."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        raise GetNetError(f"{text!r} is not auto, cpu, cuda, cuda:N or mps")
    return text


def whole_number(low: int, high: int | None, words: str) -> Callable[[str], int]:
    """Return a reader of a whole number from `low` to `high`; `words` say which for messages."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < low or (high is not None and int(text) > high):
            raise GetNetError(f"{text!r} is not a whole number {words}")
        return int(text)

    return read


positive_int = whole_number(1, None, "above 0")
gzip_level = whole_number(1, 9, "from 1 to 9")
seed = whole_number(0, LARGEST_SEED, "from 0 to 2^63 - 1")


def positive_number(high: float, words: str) -> Callable[[str], float]:
    """Return a reader of a number above 0 and below `high`; `words` say which for messages."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 < value < high:
            raise GetNetError(f"{text!r} is not a number {words}")
        return value

    return read


positive_float = positive_number(math.inf, "above 0")
percent = positive_number(100, "above 0 and below 100")


def path(text: str) -> Path:
    """Read a path; an empty text, such as an unset variable of a script, is none, though Path takes it for ``.``."""
    if not text:
        raise GetNetError("is empty; give a path")
    return Path(text)


def named_path(text: str) -> str:
    """Check a text of the form NAME=PATH; a path without a name is named after its folder.

    Examples
    --------
    >>> named_path("fmriprep=/data/derivatives/fmriprep"), named_path("/data/derivatives/fmriprep/")
    ('fmriprep=/data/derivatives/fmriprep', 'fmriprep=/data/derivatives/fmriprep')
    """
    name, equals, path = text.partition("=")
    if not equals:
        name, path = Path(text).name, str(Path(text))
    if not re.fullmatch(r"[0-9a-zA-Z_.+-]+", name) or not path:
        raise GetNetError(f"{text!r} is not NAME=PATH")
    return f"{name}={path}"


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a reader that accepts only the given words."""

    def read(text: str) -> str:
        if text not in choices:
            raise GetNetError(f"{text!r} is not one of {', '.join(choices)}")
        return text

    return read


def method(text: str) -> str:
    """Check the name of a method to compare with."""
    return one_of(*METHODS)(text)


def option(name: str) -> str:
    """Return the command line's name of a setting.

    Examples
    --------
    >>> option("simulate_gain")
    '--simulate-gain'
    """
    return "--" + name.replace("_", "-")


def setting(read: Callable[[str], Any], default: Any = None, kind: Any = str, aliases: Sequence[str] = ()) -> Any:
    """Make a field with a reader for its text, a default, its type in TOML, and its other names in TOML."""
    return field(default=default, metadata={"read": read, "kind": kind, "aliases": tuple(aliases)})


def flag(default: bool = False) -> Any:
    """Make a field that is on or off."""
    return field(default=default, metadata={"kind": bool, "aliases": ()})


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """The settings that getnet and getnet-bids have in common.

    Raises
    ------
    GetNetError
        A value is not allowed; the subject is the option.
    """

    weights: Path | None = setting(path)
    device: str = setting(device, "auto")
    batch_size: int = setting(positive_int, BATCH_SIZE, int)
    precision: str = setting(one_of(*PRECISIONS), "auto")
    refine: bool = flag(True)
    smoothness: float | None = setting(positive_float, None, float)
    output_dtype: str = setting(one_of(*OUTPUT_DTYPES), "float32")
    compress: int | None = setting(gzip_level, None, int)

    def __post_init__(self) -> None:
        for one in fields(self):
            value, read = getattr(self, one.name), one.metadata.get("read")
            if read is None or value is None:
                continue
            for item in value if isinstance(value, tuple) else (value,):
                try:
                    read(str(item))
                except GetNetError as error:
                    raise GetNetError(error.reason, option(one.name)) from None

    @property
    def options(self) -> dict[str, Any]:
        """The settings that change a correction, as they are stored in sidecars."""
        return {"smoothness": self.smoothness, "refine": self.refine, "precision": self.precision}

    @property
    def storage(self) -> Storage:
        """Data type and compression of the results."""
        from .formats import DEFAULT_GZIP_LEVEL, Storage  # numpy is not for --help

        return Storage(self.output_dtype, self.compress or DEFAULT_GZIP_LEVEL)


@dataclass(frozen=True, kw_only=True)
class Settings(ModelSettings):
    """The settings of a run on a dataset, under the names of the command line's options.

    Raises
    ------
    GetNetError
        A value is not allowed, or two values cannot be combined.
    """

    bids_dir: Path
    output_dir: Path
    analysis_level: str = field(metadata={})
    participant_label: tuple[str, ...] | None = setting(str, None, tuple)
    session_label: tuple[str, ...] | None = setting(str, None, tuple)
    modalities: tuple[str, ...] = setting(one_of(*SUFFIXES, ALL), WEIGHTED, tuple)
    bids_filter_file: Path | None = setting(path)
    bids_database_dir: Path | None = setting(path)
    derivatives: tuple[str, ...] | None = setting(named_path, None, tuple)
    skip_bids_validation: bool = flag()
    compare: str | None = setting(method)
    segmentation: str = setting(one_of(*SEGMENTATIONS), "auto")
    template: str = setting(str, "bundled")
    simulate_gain: float | None = setting(percent, None, float)
    random_seed: int = setting(seed, 0, int)
    nprocs: int | None = setting(positive_int, None, int, ["nthreads", "n-cpus"])
    omp_nthreads: int | None = setting(positive_int, None, int)
    mem_mb: int | None = setting(positive_int, None, int)
    use_plugin: Path | None = setting(path)
    series_reference: str = setting(one_of(*SERIES_REFERENCES), "mean")
    reference_only: bool = flag()
    shared_field: str | None = setting(one_of(*SHARED_FIELDS))
    receive_field: str = setting(one_of(*RECEIVE_FIELDS), "none")
    no_field: bool = flag()
    uncertainty: bool = flag()
    output_layout: str = setting(one_of(*LAYOUTS), "bids")
    hand_over: str | None = setting(one_of(*HAND_OVERS), None, str, ["for"])
    hand_over_dir: Path | None = setting(path)
    reports_only: bool = flag()
    dry_run: bool = flag()
    force: bool = flag()
    work_dir: Path | None = setting(path)
    stop_on_first_crash: bool = flag()
    write_graph: bool = flag()
    verbose: bool = flag()
    notrack: bool = flag()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_combination(self)

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The suffixes of the images to correct."""
        return expand(self.modalities)

    @property
    def derivative_roots(self) -> dict[str, Path]:
        """Derivative datasets by name."""
        return {name: Path(path) for name, _, path in (pair.partition("=") for pair in self.derivatives or ())}

    @property
    def hand_over_root(self) -> Path:
        """The folder that `hand_over` writes to."""
        return self.hand_over_dir or self.output_dir.with_name(f"{self.output_dir.absolute().name}-fmriprep")

    @property
    def simulated(self) -> dict[str, Any] | None:
        """The simulated field, as it is stored in the output's description; None if there is none."""
        if self.simulate_gain is None:
            return None
        return {"Percent": self.simulate_gain, "Seed": self.random_seed}


NEEDS = (
    ("segmentation", "compare", "--compare n4"),
    ("template", "compare", "--compare n4"),
    ("simulate_gain", "compare", "--compare n4"),
    ("random_seed", "simulate_gain", "--simulate-gain PERCENT"),
    ("derivatives", "compare", "--compare n4"),
    ("use_plugin", "compare", "--compare n4"),
    ("write_graph", "compare", "--compare n4"),
    ("hand_over_dir", "hand_over", "--for fmriprep"),
)
"""Settings that have no effect without another one: their name, the name of the other, how the other is given."""
CONTRADICTORY = (
    *(("reports_only", "dry_run"), ("reports_only", "force"), ("uncertainty", "compare")),
    *(("compress", "compare"), ("hand_over", "reports_only"), ("hand_over", "dry_run"), ("hand_over", "simulate_gain")),
    *(("reference_only", "compare"), ("shared_field", "compare"), ("receive_field", "compare")),
)
NOT_AT_GROUP = ("compare", "dry_run", "force", "reports_only", "uncertainty", "hand_over")
"""Settings that contradict the group level."""
OF_GROUP = ("modalities", "bids_filter_file", "bids_database_dir", "skip_bids_validation", "verbose", "notrack")
"""Settings that have an effect at the group level, or none at all."""


def ignored_at_group(settings: Settings) -> list[str]:
    """Return the options that were given and have no effect at the group level.

    Examples
    --------
    >>> ignored_at_group(Settings(bids_dir=Path("raw"), output_dir=Path("out"), analysis_level="group", refine=False))
    ['--no-refine']
    """
    given = [one for one in fields(Settings) if one.name not in OF_GROUP and "aliases" in one.metadata]
    given = [one for one in given if getattr(settings, one.name) != one.default]
    return [option(f"no_{one.name}" if one.default is True else one.name) for one in given]


def check_combination(settings: Settings) -> None:
    """Raise an error for settings that have no effect together, so that nobody believes they had one."""
    defaults = {one.name: one.default for one in fields(Settings)}
    if settings.analysis_level == "group" and (useless := [name for name in NOT_AT_GROUP if getattr(settings, name)]):
        raise GetNetError(f"{option(useless[0])} is for the participant level; leave it out")
    for name, other, how in NEEDS:
        if getattr(settings, name) != defaults[name] and not getattr(settings, other):
            raise GetNetError(f"{option(name)} does something only with {how}")
    for one, other in CONTRADICTORY:
        if all(getattr(settings, name) != defaults[name] for name in (one, other)):
            raise GetNetError(f"{option(one)} and {option(other)} contradict each other; give one")
    if settings.uncertainty and settings.receive_field == "measured":
        raise GetNetError("--uncertainty needs an estimate, and --receive-field measured makes none; leave one out")
    if settings.compare and (series := [suffix for suffix in settings.suffixes if suffix in SERIES]):
        raise GetNetError(f"--compare is for anatomical images; leave out {' '.join(series)}")
    if not any(suffix in SERIES for suffix in settings.suffixes) and settings.analysis_level != "group":
        for name in ("reference_only", "series_reference"):
            if getattr(settings, name) != defaults[name]:
                raise GetNetError(f"{option(name)} does something only with series, such as --modalities bold")
    if settings.output_dtype != "float32" and settings.compare:
        raise GetNetError("--output-dtype and --compare contradict each other: a comparison uses float32")
    if settings.segmentation == "derivatives" and not settings.derivatives:
        raise GetNetError("--segmentation derivatives needs --derivatives NAME=PATH")
