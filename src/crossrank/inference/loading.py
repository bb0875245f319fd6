"""Load a model into an engine, and check that its outputs are valid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import CrossrankError, MissingExtraError, ModelError
from crossrank.families import names_with_graph
from crossrank.families.model import Model
from crossrank.inference.devices import on_gpu
from crossrank.inference.engines import Engine
from crossrank.inference.prompting import PromptTokenizer
from crossrank.inference.tokenizer import Tokenizer, Tokens
from crossrank.models.damage import refuses_damage
from crossrank.models.locate import no_usable_weights

if TYPE_CHECKING:
    from crossrank.families.graphs.openvino_library import ov

# Scored at every load. A model with damaged weights returns NaN here.
PROBE_PAIRS = (
    (
        "how do bees find flowers",
        "Bees follow scent and colour to flowers, and tell each other the way by dancing.",
    ),
    ("how do bees find flowers", "The night train leaves at ten and arrives in the capital at breakfast."),
    (
        "what is the plan for the economy",
        "The plan is to lower costs for families and to build more at home.",
    ),
    ("what is the plan for the economy", "Yes."),
)
# The largest accepted difference between int8 and float32 outputs on these pairs, in standard deviations of
# the float32 outputs; a larger one means broken arithmetic. It is 0.05 for the 4 outputs of the bundled
# reranker, and 0.4 for the 3,072 outputs of the bundled embedder.
_INT8_TOLERANCE = 0.5


@dataclass(frozen=True)
class Task:
    """What a model is loaded for: which graph to build, and which inputs to check it with."""

    build: Callable[..., Any]
    probe: Callable[[Tokenizer], list[Tokens]]


def _classifier(model: Model, *, keep_int8: bool) -> ov.Model:
    """The graph [batch, labels] of a reranker."""
    if model.has_graph:
        return model.graph(keep_int8=keep_int8).logits()
    if model.export is not None:
        return exported(model, "logits")
    raise ModelError(unsupported(model))


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
        line = str(error).strip().splitlines()[-1][:200]
        raise ModelError(f"{model.name}: {model.export} cannot be read: {line}") from error
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


CROSS_ENCODER = Task(_classifier, lambda tokenizer: tokenizer.pairs(PROBE_PAIRS))


@refuses_damage
def load_engine(
    model: Model, task: Task, tokenizer: Tokenizer, *, threads: int | None, width: int | None = None
) -> tuple[Engine, tuple[str, ...]]:
    """Compile a model and check that it works on this processor.

    float32 and float16 weights are multiplied in float32. For int8 weights, a faster precision is used:
    bfloat16 if the processor supports it, otherwise int8. If the outputs then differ too much (int8
    saturates on some processors), float32 is used instead.

    Args:
        model: The model's folder.
        task: What the model is loaded for.
        tokenizer: The model's tokenizer.
        threads: See the engine.
        width: The number of outputs according to config.json, if it is there.

    Returns:
        The engine, and notices for the user.

    Raises:
        ModelError: The model cannot be built, or its outputs are not finite or have the wrong number.
    """
    from crossrank.inference.engines.openvino import OpenVinoEngine, Precision, has_bfloat16

    inputs = task.probe(tokenizer)

    def engine(precision: Precision = "f32", *, keep_int8: bool = False) -> Engine:
        return OpenVinoEngine(
            partial(task.build, model, keep_int8=keep_int8), tokenizer, threads=threads, precision=precision
        )

    if not (model.has_graph and model.weights.is_int8):
        exact = engine()
        _check_width(model, _probe(model, exact, inputs), width)
        return exact, ()
    expected = model.json("crossrank.json").get("probe")
    reference = np.array(expected, np.float32) if expected else None
    if reference is None:
        reference = _probe(model, engine(), inputs)
    # bfloat16 is twice as fast as int8 with AMX, 0.7 to 1 times as fast without, and three times as exact,
    # because int8 has to quantise the activations first.
    fast = [("bf16", False)] if has_bfloat16() else []
    for precision, keep_int8 in (*fast, ("f32", True)):
        faster = engine(precision, keep_int8=keep_int8)  # type: ignore[arg-type]
        outputs = _probe(model, faster, inputs)
        _check_width(model, outputs, width)
        if _agrees(outputs, reference):
            return faster, ()
    return engine(), (
        f"fast arithmetic is not exact on this processor; {model.name} runs in float32, slower.",
    )


@refuses_damage
def load_torch_engine(
    model: Model,
    tokenizer: Tokenizer,
    *,
    device: str | None,
    threads: int | None,
    width: int,
) -> Engine:
    """Load a reranker into PyTorch and check that it works on the device.

    Args:
        model: The model's folder.
        tokenizer: The model's tokenizer.
        device: The device to run on; None for the CPU.
        threads: See the engine.
        width: The number of outputs according to config.json.

    Raises:
        ModelError: The model cannot be built, or its outputs are not finite or have the wrong number; or its
            family needs PyTorch, which is not installed.
        MissingExtraError: The device needs PyTorch, which is not installed.
        InputError: The device does not exist.
    """
    engine = _torch_engine(model, tokenizer, device, threads)
    try:
        outputs = _probe(model, engine, CROSS_ENCODER.probe(tokenizer))
    except CrossrankError:
        raise
    except Exception as error:  # some transformers networks need inputs that are not known here
        line = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise ModelError(f"{model.name} cannot be run by transformers: {line}") from error
    _check_width(model, outputs, width)
    return engine


def _torch_engine(model: Model, tokenizer: Tokenizer, device: str | None, threads: int | None) -> Engine:
    if on_gpu(device) and not model.has_safetensors and model.export is not None:
        raise ModelError(
            f"{model.name} has its weights only as {model.export.name}, which runs on the processor alone: "
            f"leave {device} out"
        )
    if not model.has_safetensors or "auto_map" in model.config:
        raise ModelError(unsupported(model))
    try:
        from crossrank.families.networks.classifiers import load_classifier
        from crossrank.families.networks.language_models import load_language_model
        from crossrank.inference.engines.pytorch import TorchEngine, body_dtype, open_device
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
    return TorchEngine(model.name, partial(load, opened, body_dtype(opened)), opened, threads=threads)


def _check_width(model: Model, outputs: NDArray[np.float32], width: int | None) -> None:
    if width is not None and outputs.shape[1:] != (width,):
        given = " x ".join(map(str, outputs.shape[1:])) or "1 without an axis"
        raise ModelError(f"{model.name} gives {given} outputs a text; its config.json speaks of {width}")


def probe_in_float32(model: Model, task: Task, tokenizer: Tokenizer) -> NDArray[np.float32]:
    """The outputs [probes, d] that ``load_engine`` compares int8 with, kept in a model's crossrank.json."""
    from crossrank.inference.engines.openvino import OpenVinoEngine

    engine = OpenVinoEngine(partial(task.build, model, keep_int8=False), tokenizer)
    return _probe(model, engine, task.probe(tokenizer))


def _agrees(outputs: NDArray[np.float32], reference: NDArray[np.float32]) -> bool:
    if outputs.shape != reference.shape:
        return False
    spread = float(reference.std()) or 1.0
    return float(np.abs(outputs - reference).max()) <= _INT8_TOLERANCE * spread


def _probe(model: Model, engine: Engine, inputs: list[Tokens]) -> NDArray[np.float32]:
    outputs = engine.run(inputs)
    if not np.isfinite(outputs).all():
        raise ModelError(
            f"{model.name} gives values that are not numbers on an ordinary text; its weights are damaged"
        )
    return outputs
