"""Load a model into an engine, and check that its outputs are valid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import CrossrankError, InputError, MissingExtraError, ModelError
from crossrank.families import names_with_graph
from crossrank.families.model import Model
from crossrank.inference.agreement import PROBES, Agreement, probe
from crossrank.inference.arithmetic import BFLOAT16, FLOAT32, Arithmetic, Precision, check_precision
from crossrank.inference.chains import scoring_chain
from crossrank.inference.choosing import Choice, choices
from crossrank.inference.compiled_models import compiled_model
from crossrank.inference.devices import on_gpu
from crossrank.inference.engines import Engine
from crossrank.inference.engines.threads import available_threads
from crossrank.inference.task import Task, unsupported
from crossrank.inference.tokenizer import Tokenizer
from crossrank.models.damage import refuses_damage


@refuses_damage
def require_head(model: Model) -> None:
    """Check that a model has a head that gives scores: a classifier, or modules.

    Raises:
        ModelError: Its safetensors have none, or both. The outputs of an exported file are checked at load.
    """
    chain = scoring_chain(model)
    if chain.task == "text-generation" or not model.has_safetensors:
        return
    head = next((name for name in sorted(model.weights.names()) if name.startswith(model.family.head)), None)
    if chain.task == "feature-extraction":
        if head is not None:
            raise ModelError(
                f"{model.name} has two heads, the classifier in its weights ({head}) and the modules in "
                f"modules.json ({chain.modules[-1].name}), and may be either: take modules.json away, or "
                "save the weights without a classifier"
            )
        return
    if head is not None or not model.has_graph:
        return
    kind = ", ".join(model.config.get("architectures") or ["no architecture named"])
    hint = "It is an embedder (bi-encoder): use it as embedder instead. " if _is_embedder(model) else ""
    raise ModelError(
        f"{model.name} has no classification head ({kind}), so it cannot score pairs; other libraries would "
        f"score with random weights. {hint}A reranker is saved as ...ForSequenceClassification, or by "
        "sentence-transformers with modules that give scores."
    )


def _is_embedder(model: Model) -> bool:
    return (model.path / "modules.json").is_file() or (model.path / "1_Pooling").is_dir()


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
    from crossrank.inference.engines.openvino import OpenVinoEngine, has_bfloat16, settings

    threads = threads or available_threads()
    check_precision(precision)
    if task.chain.task == "static":
        return _static(model, task, tokenizer, precision)

    def engine(arithmetic: Arithmetic) -> OpenVinoEngine:
        known = {"products": arithmetic.products, **settings(arithmetic.activations, threads)}
        return OpenVinoEngine(
            partial(task.build, model, products=arithmetic.products),
            tokenizer,
            threads=threads,
            activations=arithmetic.activations,
            kept=compiled_model(model, task.chain, known),
        )

    def taken(chosen: OpenVinoEngine, choice: Choice, *notices: str) -> Loaded:
        chosen.keep()
        return Loaded(chosen, choice, notices)

    agreement = Agreement(model, task, tokenizer, lambda: engine(FLOAT32))
    # Weights that are stored in int8 were rounded on purpose; others have to keep their order.
    has_to_agree = precision == "auto" and not (model.has_graph and model.weights.is_int8)
    notices: tuple[str, ...] = ()
    for choice in choices(model, precision, tokenizer, has_bfloat16=has_bfloat16):
        if choice.arithmetic == FLOAT32:
            break
        wrong = (
            f"{model.name} is computed wrongly here in {choice.arithmetic}, so it runs in a slower "
            "arithmetic; a newer release of OpenVINO may be better."
        )
        if has_to_agree and agreement.is_known_to_differ(choice.arithmetic):
            continue
        if not has_to_agree and agreement.is_known_to_be_broken(choice.arithmetic):
            notices = (wrong,)
            continue
        try:
            faster = engine(choice.arithmetic)
            outputs = agreement.outputs(faster)
        except RuntimeError:  # instructions that this processor does not have
            continue
        _check_width(model, outputs, width)
        if not has_to_agree:
            if not agreement.is_broken(outputs, choice.arithmetic):
                return taken(faster, choice, *notices)
            notices = (wrong,)
        elif (difference := agreement.difference(faster, choice.arithmetic)).keeps_order:
            return taken(faster, choice, f"{model.name} {difference.notice(choice.arithmetic)}")
    else:
        choice = Choice(FLOAT32, "nothing faster is exact enough here", {})
        if precision != "auto":
            raise InputError(f"precision cannot be {precision}: this processor does not compute it correctly")
    exact = engine(FLOAT32)
    _check_width(model, agreement.probe(exact), width)
    return taken(exact, choice, *notices)


def _static(model: Model, task: Task, tokenizer: Tokenizer, precision: Precision) -> Loaded:
    from crossrank.inference.engines.static import StaticEngine

    if precision not in {"auto", "float32"}:
        raise InputError(
            f"precision cannot be {precision}: {model.name} is static, and adds up float32 vectors"
        )
    engine = StaticEngine(model, task.chain)
    if engine.words < tokenizer.words:
        raise ModelError(
            f"{model.name}: the tokenizer has {tokenizer.words} tokens and the model only {engine.words}; "
            "they do not belong together"
        )
    probe(model, engine, task.inputs(tokenizer, PROBES))
    return Loaded(engine, Choice(FLOAT32, "a static model", {}), ())


@refuses_damage
def load_torch_engine(
    model: Model,
    task: Task,
    tokenizer: Tokenizer,
    *,
    device: str | None,
    precision: Precision = "auto",
    threads: int | None,
    width: int | None = None,
) -> Loaded:
    """Load a model into PyTorch and check that it works on the device.

    Args:
        model: The model's folder.
        task: What the model is loaded for.
        tokenizer: The model's tokenizer.
        device: The device to run on; None for the CPU.
        precision: What the user asked for; ``auto`` is float32 on a CPU, and what the GPU has of bfloat16 and
            float16 there.
        threads: See the engine.
        width: The number of outputs according to config.json, if it is there.

    Raises:
        ModelError: The model cannot be built, or its outputs are not finite or have the wrong number; or its
            family needs PyTorch, which is not installed.
        MissingExtraError: The device needs PyTorch, which is not installed.
        InputError: The device does not exist, or there is no such precision.
    """
    check_precision(precision)
    if precision == "int8":
        raise InputError(f"precision cannot be int8: PyTorch runs {model.name}, in floating point")
    engine, choice = _torch_engine(model, task, device, precision, threads)
    try:
        outputs = probe(model, engine, task.inputs(tokenizer, PROBES))
    except CrossrankError:
        raise
    except Exception as error:  # some transformers networks need inputs that are not known here
        line = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise ModelError(f"{model.name} cannot be run by transformers: {line}") from error
    _check_width(model, outputs, width)
    return Loaded(engine, choice, ())


def _torch_engine(
    model: Model, task: Task, device: str | None, precision: Precision, threads: int | None
) -> tuple[Engine, Choice]:
    if on_gpu(device) and not model.has_safetensors and model.export is not None:
        raise ModelError(
            f"{model.name} has its weights only as {model.export.name}, which runs on the processor alone: "
            f"leave {device} out"
        )
    if model.has_graph and model.transformers_config is None:
        raise ModelError(
            f"{model.name} runs on the processor alone: transformers has its network only as Python code of "
            f"the repository's own. Leave {device} out"
        )
    if not model.has_safetensors or model.transformers_config is None:
        raise ModelError(unsupported(model))
    try:
        import torch

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
    if precision in {"float32", "bfloat16"}:
        choice = Choice(FLOAT32 if precision == "float32" else BFLOAT16, "as asked for", {})
    else:
        choice = Choice(Arithmetic("float", body_type(opened)), "by PyTorch", {})
    dtype = getattr(torch, choice.arithmetic.activations)
    return TorchEngine(
        model.name, partial(task.load_network, model, opened, dtype), opened, threads=threads
    ), choice


def _check_width(model: Model, outputs: NDArray[np.float32], width: int | None) -> None:
    if width is not None and outputs.shape[1:] != (width,):
        given = " x ".join(map(str, outputs.shape[1:])) or "1 without an axis"
        raise ModelError(f"{model.name} gives {given} outputs a text; its config.json speaks of {width}")


def probe_in_float32(model: Model, task: Task, tokenizer: Tokenizer) -> NDArray[np.float32]:
    """The outputs [probes, d] that int8 is compared with at each load, kept in a model's crossrank.json."""
    from crossrank.inference.engines.openvino import OpenVinoEngine

    engine = OpenVinoEngine(partial(task.build, model), tokenizer)
    return probe(model, engine, task.inputs(tokenizer, PROBES))
