"""A model from anywhere to a folder of one's own, in int8 or float32, proven against its original."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from crossrank.conversion import WeightFormat
from crossrank.conversion.origin import origin_name, origin_note, write_card
from crossrank.conversion.parity import (
    LOWEST_SPEARMAN,
    LOWEST_TOP_10,
    Encoder,
    Parity,
    Speed,
    compare,
    measure_speed,
)
from crossrank.conversion.quantise import write_float32, write_int8, write_settings
from crossrank.errors import InputError, ModelError
from crossrank.families import names_with_graph
from crossrank.families.model import Model, open_model
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.chains import is_bi_encoder, scoring_chain
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.embedder_settings import read_settings
from crossrank.inference.loading import probe_in_float32
from crossrank.inference.scores import scoring_of
from crossrank.inference.task import Classification, Embedding, unsupported
from crossrank.inference.tokenizer import Tokenizer
from crossrank.models.locate import revision_of


@dataclass(frozen=True, slots=True)
class PullReport:
    """What was pulled, and how near it is to its original.

    Attributes:
        model: The model's name; of a local folder, its last part.
        revision: The commit on the Hub; None where the model is not from there.
        kind: ``cross-encoder`` or ``bi-encoder``.
        weight_format: Of the copy's weights.
        folder: Where the copy lies, if it was accepted.
        original_size: Bytes of the files that it takes to run the original.
        copy_size: Bytes of the copy.
        parity: The copy's numbers next to the original's.
        speed: Of both, on this machine.
        notices: What a person should know about the copy as it runs here.
    """

    model: str
    revision: str | None
    kind: str
    weight_format: WeightFormat
    folder: Path
    original_size: int
    copy_size: int
    parity: Parity
    speed: Speed
    notices: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """Whether the copy ranks near enough to its original; if not, it is gone."""
        return self.parity.keeps_order

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON has it, with the limits that decided."""
        report = dataclasses.asdict(self) | {"folder": str(self.folder), "notices": list(self.notices)}
        report["speed"]["ratio"] = self.speed.ratio
        limits = {"spearman": LOWEST_SPEARMAN, "top_10_agreement": LOWEST_TOP_10}
        return report | {"limits": limits, "accepted": self.accepted}


def pull_model(
    name: str | Path,
    output: str | Path | None = None,
    weight_format: WeightFormat = "int8",
    *,
    on_step: Callable[[str], object] = lambda step: None,
) -> PullReport:
    """Fetch a model, convert it, and keep the copy if it ranks like the original.

    The copy is written to a temporary folder next to the output, and renamed when it is accepted. A rejected
    copy is deleted; a kill may leave a folder with another name (``.NAME.*.partial``).

    Args:
        name: A bundled model, a folder, or a Hugging Face name; a cross-encoder or a bi-encoder.
        output: The folder to write, which must not exist; by default the last part of the name with
            ``-int8`` or ``-fp32``, in the working directory.
        weight_format: ``int8`` makes every matrix int8. ``fp32`` takes the files as they are; safetensors
            that are stored otherwise become float32.
        on_step: Called with what is done next.

    Returns:
        The report. Where it is not ``accepted``, nothing was written.

    Raises:
        InputError: The output exists or has no place, or there is no such format.
        ModelError: The model cannot be used, or has no safetensors that int8 can be made of.
        OSError: The disk is full, for one.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report = pull_model("all-MiniLM-L6-v2", Path(folder) / "copy")
        >>> report.kind, report.accepted
        ('bi-encoder', True)
    """
    if weight_format not in get_args(WeightFormat):
        raise InputError(f"weight_format must be int8 or fp32; it is {weight_format!r}")
    target = _target(name, output, weight_format)
    on_step(f"finding {name}")
    model = open_model(name)
    _check_can_be_copied(model, weight_format)
    original: Encoder = BiEncoder(name) if is_bi_encoder(model) else CrossEncoder(name)
    with _made_next_to(target) as (folder, accept):
        on_step(f"writing {weight_format}")
        settings = _write_copy(model, original, folder, weight_format)
        copy: Encoder = type(original)(folder)
        on_step("comparing with the original")
        parity = compare(original, copy)
        on_step("measuring speed")
        report = PullReport(
            model=origin_name(model),
            revision=revision_of(model.path),
            kind="bi-encoder" if isinstance(copy, BiEncoder) else "cross-encoder",
            weight_format=weight_format,
            folder=target,
            original_size=sum(file.stat().st_size for file in model.needed_files().values()),
            copy_size=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
            parity=parity,
            speed=measure_speed(original, copy),
            notices=copy.notices,
        )
        if report.accepted:
            write_settings(folder, {"origin": origin_note(report), **settings})
            write_card(model, report, folder)
            accept()
    return report


def _target(name: str | Path, output: str | Path | None, weight_format: str) -> Path:
    last = Path(name).name
    if last in {"", "..", "~"}:
        last = Path(name).expanduser().resolve().name
    target = Path(output) if output is not None else Path(f"{last}-{weight_format}")
    try:
        is_taken = target.exists() or target.is_symlink()
    except OSError as error:  # too long for a path, say
        raise InputError(f"{target.name:.80} cannot be written: {error.strerror}") from error
    if is_taken:
        raise InputError(f"{target} exists, and nothing is written over: name another folder with -o")
    if not target.parent.is_dir():
        raise InputError(f"there is no folder {target.parent} to write {target.name} to")
    return target


def _check_can_be_copied(model: Model, weight_format: WeightFormat) -> None:
    if model.has_graph:
        return
    if model.is_static:
        if weight_format == "int8":
            raise ModelError(
                f"{model.name} is a static model, which int8 would not make faster; take it as it is with "
                "--weight-format fp32"
            )
        return
    if model.export is None:
        raise ModelError(unsupported(model))
    if weight_format == "int8":
        raise ModelError(
            f"{model.name} is a {model.architecture} model that runs from {model.export.name}; int8 needs "
            f"safetensors of a supported family ({', '.join(names_with_graph())}). "
            "Take it as it is with --weight-format fp32"
        )


@contextmanager
def _made_next_to(target: Path) -> Iterator[tuple[Path, Callable[[], object]]]:
    """A folder to be made, and what gives it the target's name; without that, nothing is left."""
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    try:
        folder = partial / target.name
        yield folder, lambda: folder.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_copy(model: Model, original: Encoder, folder: Path, weight_format: WeightFormat) -> dict[str, Any]:
    """Write the copy with its crossrank.json, and return what that holds."""
    if weight_format == "int8":
        write_int8(model, folder)
    elif model.has_graph and not model.weights.is_float32:
        write_float32(model, folder)
    else:
        _copy_files(model, folder)
    settings = _settings(model, original, folder)
    write_settings(folder, settings)  # with the probe, so that the copy is loaded as it always will be
    return settings


def _copy_files(model: Model, folder: Path) -> None:
    for name, source in model.needed_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / name)


def _settings(model: Model, original: Encoder, folder: Path) -> dict[str, Any]:
    """Make the copy say of itself what the original is known for; return its crossrank.json."""
    settings = model.json("crossrank.json")
    settings = {key: value for key, value in settings.items() if key not in {"probe", "origin"}}
    # Some models are known by their name, which the copy need not have.
    copy = Model(folder.name, folder, model.config)
    if isinstance(original, BiEncoder):
        if read_settings(copy).similarity != original.similarity:
            _change(folder / "config_sentence_transformers.json", similarity_fn_name=original.similarity)
    elif (relevant := original.scoring.relevant) is not None and scoring_of(copy).relevant is None:
        names = {relevant: "relevant", 1 - relevant: "not relevant"}
        _change(
            folder / "config.json",
            id2label={str(number): names[number] for number in (0, 1)},
            label2id={name: number for number, name in names.items()},
        )
    if copy.has_graph and copy.weights.is_int8:
        if isinstance(original, BiEncoder):
            probe = probe_in_float32(copy, Embedding(read_settings(copy).chain), Tokenizer(copy))
        else:  # within a template, where the original is asked by one
            probe = probe_in_float32(copy, Classification(scoring_chain(copy)), original.tokenizer)
        settings["probe"] = [[round(float(value), 5) for value in row] for row in probe]
    return settings


def _change(file: Path, **changes: object) -> None:
    content = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    file.write_text(json.dumps(content | changes, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
