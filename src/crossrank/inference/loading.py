"""Load a model into an engine, and check that its outputs are valid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import CrossrankError, InputError, MissingExtraError, ModelError
from crossrank.families import names_with_graph
from crossrank.families.model import Model
from crossrank.inference.agreement import PROBES, Agreement, probe
from crossrank.inference.arithmetic import BFLOAT16, FLOAT32, Arithmetic, Precision, check_precision
from crossrank.inference.choosing import Choice, choices
from crossrank.inference.devices import on_gpu
from crossrank.inference.engines import Engine
from crossrank.inference.prompting import PromptTokenizer
from crossrank.inference.sample_texts import Candidates
from crossrank.inference.task import Task
from crossrank.inference.tokenizer import Tokenizer, Tokens
from crossrank.models.damage import refuses_damage
from crossrank.models.locate import no_usable_weights

if TYPE_CHECKING:
    from crossrank.families.graphs.openvino_library import ov
    from crossrank.families.graphs.operations import Products


class Classification:
    """Score pairs of question and passage."""

    def build(self, model: Model, *, products: Products = "float") -> ov.Model:
        """The graph of a reranker, [batch, labels]."""
        if model.has_graph:
            return model.graph(products=products).logits()
        if model.export is not None:
            return exported(model, "logits")
        raise ModelError(unsupported(model))

    def inputs(self, tokenizer: Tokenizer, candidates: Sequence[Candidates]) -> list[Tokens]:
        """One pair for each passage."""
        return tokenizer.pairs([(query, text) for query, texts in candidates for text in texts])

    def ranked_by(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits of all labels."""
        return outputs.ravel()


def unsupported(model: Model) -> str:
    """The error message for a model that has neither a graph nor an exported file."""
    if not model.has_safetensors:
        return no_usable_weights(model.name, model.pickles)
    if "auto_map" in model.config:
        return (
            f"{model.name} brings Python code of its own, which crossrank never runs; it would work with an "
            "ONNX file (onnx/model.onnx) in its folder"
        )
    return (
        f"{model.name} is a {model.architecture} model; without an ONNX file in its folder (onnx/model.onnx) "
        f"crossrank runs {', '.join(names_with_graph())}"
    )


@refuses_damage
def require_head(model: Model) -> None:
    """Check that a model has a classification head.

    Raises:
        ModelError: Its safetensors have none. The outputs of an exported file are checked at load.
    """
    if not model.has_graph or any(name.startswith(model.family.head) for name in model.weights.names()):
        return
    kind = ", ".join(model.config.get("architectures") or ["no architecture named"])
    hint = "It is an embedder (bi-encoder): use it as embedder instead. " if _is_embedder(model) else ""
    raise ModelError(
        f"{model.name} has no classification head ({kind}), so it cannot score pairs; other libraries would "
        f"score with random weights. {hint}A reranker is saved as ...ForSequenceClassification."
    )


def _is_embedder(model: Model) -> bool:
    return (model.path / "modules.json").is_file() or (model.path / "1_Pooling").is_dir()


def exported(model: Model, *outputs: str) -> ov.Model:
    """Read an ONNX or OpenVINO file as a graph with one output, the first of these names that it has.

    Raises:
        ModelError: The file cannot be read, or does not have the inputs or outputs of a text model.
    """
    from crossrank.families.graphs.openvino_library import ov

    try:
        graph = ov.Core().read_model(model.export)
    except RuntimeError as error:
        raise ModelError(f"{model.name}: {model.export} cannot be read: {_last_line(error)}") from error
    known = {"input_ids", "attention_mask", "token_type_ids"}
    names = {name for node in graph.inputs for name in node.get_names()}
    if strange := [node for node in graph.inputs if not node.get_names() & known]:
        raise ModelError(
            f"{model.name} wants an input {strange[0].get_any_name()!r}, which is not known here"
        )
    if "input_ids" not in names:
        raise ModelError(f"{model.name}: {model.export} takes no input_ids, so it is no text model")
    if "attention_mask" not in names:
        raise ModelError(f"{model.name}: {model.export} takes no attention_mask, so it reads padding as text")
    return _with_output(model, graph, outputs)


def _with_output(model: Model, graph: ov.Model, wanted: tuple[str, ...]) -> ov.Model:
    from crossrank.families.graphs.openvino_library import ov

    found = next((node for name in wanted for node in graph.outputs if name in node.get_names()), None)
    if found is None:
        have = ", ".join(name for node in graph.outputs for name in sorted(node.get_names()))
        raise ModelError(
            f"{model.name}: {model.export} gives {have or 'nothing named'}; expected {wanted[0]!r}"
        )
    return ov.Model([found.get_node().input_value(0)], graph.get_parameters())


CROSS_ENCODER = Classification()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is ready to run on the CPU.

    Attributes:
        engine: The engine.
        precision: The arithmetic, and why it was chosen.
        notices: What the user should know, one sentence each.
    """

    engine: Engine
    precision: Choice
    notices: tuple[str, ...]


@refuses_damage
def load_engine(
    model: Model,
    task: Task,
    tokenizer: Tokenizer,
    *,
    precision: Precision = "auto",
    threads: int | None,
    width: int | None = None,
) -> Loaded:
    """Compile a model in the fastest arithmetic that gives the results of float32 on this processor.

    Args:
        model: The model's folder.
        task: What the model is loaded for.
        tokenizer: The model's tokenizer.
        precision: What the user asked for.
        threads: See the engine.
        width: The number of outputs according to config.json, if it is there.

    Raises:
        InputError: There is no such precision, or the model or the processor does not have it.
        ModelError: The model cannot be built, or its outputs are not finite or have the wrong number.
    """
    from crossrank.inference.engines.openvino import OpenVinoEngine, has_bfloat16

    check_precision(precision)

    def engine(arithmetic: Arithmetic) -> Engine:
        return OpenVinoEngine(
            partial(task.build, model, products=arithmetic.products),
            tokenizer,
            threads=threads,
            activations=arithmetic.activations,
        )

    agreement = Agreement(model, task, tokenizer, lambda: engine(FLOAT32))
    # Weights that are stored in int8 were rounded on purpose; others have to keep their order.
    has_to_agree = precision == "auto" and not (model.has_graph and model.weights.is_int8)
    notices: tuple[str, ...] = ()
    for choice in choices(model, precision, tokenizer, has_bfloat16=has_bfloat16):
        if choice.arithmetic == FLOAT32:
            break
        if has_to_agree and agreement.is_known_to_differ(choice.arithmetic):
            continue
        try:
            faster = engine(choice.arithmetic)
            outputs = agreement.probe(faster)
        except RuntimeError:  # instructions that this processor does not have
            continue
        _check_width(model, outputs, width)
        if not has_to_agree:
            if not agreement.is_broken(outputs):
                return Loaded(faster, choice, notices)
            notices = (
                f"{model.name} is computed wrongly here in {choice.arithmetic}, so it runs in a slower "
                "arithmetic; a newer release of OpenVINO may be better.",
            )
        elif (difference := agreement.difference(faster, choice.arithmetic)).keeps_order:
            return Loaded(faster, choice, (f"{model.name} {difference.notice(choice.arithmetic)}",))
    else:
        choice = Choice(FLOAT32, "nothing faster is exact enough here", {})
        if precision != "auto":
            raise InputError(f"precision cannot be {precision}: this processor does not compute it correctly")
    exact = engine(FLOAT32)
    _check_width(model, agreement.probe(exact), width)
    return Loaded(exact, choice, notices)


@refuses_damage
def load_torch_engine(
    model: Model,
    tokenizer: Tokenizer,
    *,
    device: str | None,
    precision: Precision = "auto",
    threads: int | None,
    width: int,
) -> Loaded:
    """Load a reranker into PyTorch and check that it works on the device.

    Args:
        model: The model's folder.
        tokenizer: The model's tokenizer.
        device: The device to run on; None for the CPU.
        precision: What the user asked for; ``auto`` is float32 on a CPU, and what the GPU has of bfloat16 and
            float16 there.
        threads: See the engine.
        width: The number of outputs according to config.json.

    Raises:
        ModelError: The model cannot be built, or its outputs are not finite or have the wrong number; or its
            family needs PyTorch, which is not installed.
        MissingExtraError: The device needs PyTorch, which is not installed.
        InputError: The device does not exist, or there is no such precision.
    """
    check_precision(precision)
    if precision == "int8":
        raise InputError(f"precision cannot be int8: PyTorch runs {model.name}, in floating point")
    engine, choice = _torch_engine(model, tokenizer, device, precision, threads)
    try:
        outputs = probe(model, engine, CROSS_ENCODER.inputs(tokenizer, PROBES))
    except CrossrankError:
        raise
    except Exception as error:  # some transformers networks need inputs that are not known here
        line = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise ModelError(f"{model.name} cannot be run by transformers: {line}") from error
    _check_width(model, outputs, width)
    return Loaded(engine, choice, ())


def _torch_engine(
    model: Model, tokenizer: Tokenizer, device: str | None, precision: Precision, threads: int | None
) -> tuple[Engine, Choice]:
    if on_gpu(device) and not model.has_safetensors and model.export is not None:
        raise ModelError(
            f"{model.name} has its weights only as {model.export.name}, which runs on the processor alone: "
            f"leave {device} out"
        )
    if not model.has_safetensors or "auto_map" in model.config:
        raise ModelError(unsupported(model))
    try:
        import torch

        from crossrank.families.networks.classifiers import load_classifier
        from crossrank.families.networks.language_models import load_language_model
        from crossrank.inference.engines.pytorch import TorchEngine, body_type, open_device
    except ImportError as error:
        if on_gpu(device):
            raise MissingExtraError(f"The device {device}", "torch") from error
        raise ModelError(
            f"{model.name} is a {model.architecture} model, which runs in PyTorch: pip install "
            f"'crossrank[torch]'. Without it crossrank runs {', '.join(names_with_graph())}, and "
            "what has an ONNX file in its folder (onnx/model.onnx)"
        ) from error
    opened = open_device(device or "cpu")
    load = (
        partial(load_language_model, model, tokenizer.answers.yes, tokenizer.answers.no)
        if isinstance(tokenizer, PromptTokenizer) and tokenizer.answers is not None
        else partial(load_classifier, model)
    )
    if precision in {"float32", "bfloat16"}:
        choice = Choice(FLOAT32 if precision == "float32" else BFLOAT16, "as asked for", {})
    else:
        choice = Choice(Arithmetic("float", body_type(opened)), "by PyTorch", {})
    dtype = getattr(torch, choice.arithmetic.activations)
    return TorchEngine(model.name, partial(load, opened, dtype), opened, threads=threads), choice


def _check_width(model: Model, outputs: NDArray[np.float32], width: int | None) -> None:
    if width is not None and outputs.shape[1:] != (width,):
        given = " x ".join(map(str, outputs.shape[1:])) or "1 without an axis"
        raise ModelError(f"{model.name} gives {given} outputs a text; its config.json speaks of {width}")


def probe_in_float32(model: Model, task: Task, tokenizer: Tokenizer) -> NDArray[np.float32]:
    """The outputs [probes, d] that int8 is compared with at each load, kept in a model's crossrank.json."""
    from crossrank.inference.engines.openvino import OpenVinoEngine

    engine = OpenVinoEngine(partial(task.build, model), tokenizer)
    return probe(model, engine, task.inputs(tokenizer, PROBES))


def _last_line(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1][:200]
