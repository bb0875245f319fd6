"""The modules that sentence-transformers puts together to a model, read from modules.json.

Modules are called in turn. Each reads one feature of an input and writes another, by name: the transformer
writes ``token_embeddings``, pooling makes a ``sentence_embedding`` of them, and a reranker ends with
``scores``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeAlias, cast, get_args

from crossrank.errors import ModelError
from crossrank.models.damage import refuses_damage
from crossrank.models.folder import ModelFolder
from crossrank.models.weights import Weights

Task: TypeAlias = Literal["feature-extraction", "sequence-classification", "text-generation", "static"]
"""What a transformer computes: a vector for each token, the outputs of a classifier, or the next token.

``static`` is without a transformer: the mean of the vectors of all words.
"""
PoolingMode: TypeAlias = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]

TOKENS, VECTOR, SCORES, WORDS = "token_embeddings", "sentence_embedding", "scores", "causal_logits"
# What a transformer gives for each task: the output of transformers' network, and the feature.
_OUTPUTS: Mapping[Task, tuple[str, str]] = {
    "feature-extraction": ("last_hidden_state", TOKENS),
    "sequence-classification": ("logits", SCORES),
    "text-generation": ("logits", WORDS),
}

# As older files have them, in the order in which sentence-transformers concatenates.
_OLD_MODES: Mapping[str, PoolingMode] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
# The activations of torch.nn that a dense layer may have; those of its classes that need no settings.
ACTIVATIONS = (
    "CELU", "ELU", "GELU", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "LeakyReLU", "Mish", "ReLU",
    "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Softsign", "Tanh", "Tanhshrink",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pooling:
    """Token vectors to one vector.

    Attributes:
        name: The module's folder, for messages.
        modes: How; the vectors of several modes are concatenated.
    """

    name: str
    modes: tuple[PoolingMode, ...]
    source: str = TOKENS
    target: str = VECTOR


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer with an activation.

    Attributes:
        name: The module's folder, which holds ``linear.weight`` [outputs, inputs] and so on.
        inputs: The width of its input.
        outputs: The width of its output.
        activation: One of ACTIVATIONS.
        residual: Whether the input is added to the output.
        source: The feature that it reads.
        target: The feature that it writes.
    """

    name: str
    inputs: int
    outputs: int
    activation: str
    residual: bool
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """Layer normalisation; its folder holds ``norm.weight`` and ``norm.bias``."""

    name: str
    width: int
    source: str = VECTOR
    target: str = VECTOR


@dataclass(frozen=True, slots=True)
class Normalize:
    """Vectors to unit length."""

    name: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class LogitScore:
    """The logit of one token less that of another, at a language model's last token.

    Attributes:
        yes: The token that says relevant.
        no: The one that says not; None if only ``yes`` counts.
    """

    name: str
    yes: int
    no: int | None
    source: str = WORDS
    target: str = SCORES


Module: TypeAlias = Pooling | Dense | LayerNorm | Normalize | LogitScore


@dataclass(frozen=True, slots=True)
class Chain:
    """A transformer and the modules after it.

    Attributes:
        task: What the transformer computes.
        feature: The feature that it writes.
        modules: The modules after it.
    """

    task: Task
    feature: str
    modules: tuple[Module, ...]

    @property
    def scores(self) -> bool:
        """Whether it ends with scores, so that it is a cross-encoder."""
        last = self.modules[-1].target if self.modules else self.feature
        return last == SCORES

    @property
    def labels(self) -> int | None:
        """The number of scores, as far as the modules say it."""
        for module in reversed(self.modules):
            if module.target == SCORES:
                return module.outputs if isinstance(module, Dense) else 1
        return None

    @property
    def answer(self) -> LogitScore | None:
        """The module that reads a language model's answer, if there is one."""
        return next((module for module in self.modules if isinstance(module, LogitScore)), None)

    @property
    def reads_first_token(self) -> bool:
        """Whether no vector but the first token's is read."""
        readers = [module for module in self.modules if module.source == self.feature]
        return [getattr(module, "modes", None) for module in readers] == [("cls",)]

    def weights(self, model: ModelFolder) -> dict[str, Weights]:
        """The tensors of each module that has some, by its name."""
        with_weights = (module for module in self.modules if isinstance(module, Dense | LayerNorm))
        return {module.name: Weights(model.path / module.name) for module in with_weights}


PLAIN_CLASSIFIER = Chain("sequence-classification", SCORES, ())


@refuses_damage
def read_chain(model: ModelFolder) -> Chain | None:
    """Read modules.json and the modules that it lists; None if there is no modules.json.

    Raises:
        ModelError: A module is not known, or the modules do not fit together or to their weights.
    """
    listed = model.modules
    if model.is_static:
        return _static(model)
    if not listed:
        return None
    first = _kind(listed[0])
    if first != "Transformer":
        raise ModelError(
            f"{model.name}: modules.json begins with {listed[0].get('type')!r}, which is not supported; a "
            "Transformer and a StaticEmbedding are"
        )
    if folder := _folder(listed[0]):
        raise ModelError(
            f"{model.name} keeps its Transformer in the folder {folder}, which is not supported; load and "
            "save it with sentence-transformers 5 or later, which writes it to the model's own folder"
        )
    modules = [module for entry in listed[1:] if (module := _read(model, entry)) is not None]
    task, feature = _transformer(model, any(isinstance(module, LogitScore) for module in modules))
    chain = Chain(task, feature, tuple(modules))
    _check_fit(model, chain)
    return chain


def _static(model: ModelFolder) -> Chain:
    """The modules after a table of word vectors."""
    listed = model.modules[1:]
    modules = [module for entry in listed if (module := _read(model, entry)) is not None]
    if not model.modules and model.config.get("normalize"):  # as model2vec alone saves it
        modules.append(Normalize("Normalize", VECTOR, VECTOR))
    chain = Chain("static", VECTOR, tuple(modules))
    _check_fit(model, chain)
    return chain


@cache
def _readers() -> Mapping[str, Callable[[ModelFolder, str, dict[str, Any]], Module | None]]:
    return {
        "Pooling": _pooling,
        "Dense": _dense,
        "LayerNorm": _layer_norm,
        "Normalize": _normalize,
        "LogitScore": _logit_score,
        "Dropout": lambda model, name, settings: None,  # only in training
    }


def _read(model: ModelFolder, entry: dict[str, Any]) -> Module | None:
    kind, name = _kind(entry), _folder(entry)
    # A name alone proves nothing: a repository's own class may be called Pooling, too.
    known = _readers().get(kind) if not _is_own_code(entry) else None
    if known is None:
        raise ModelError(
            f"{model.name} has a module {entry.get('type')!r}, which is not supported; known are "
            f"sentence-transformers' Transformer, {', '.join(_readers())}. Code that comes with a model is "
            "never run"
        )
    return known(model, name, model.json(f"{name}/config.json"))


def _kind(entry: dict[str, Any]) -> str:
    return str(entry.get("type", "")).rsplit(".", 1)[-1]


def _is_own_code(entry: dict[str, Any]) -> bool:
    return not str(entry.get("type", "")).startswith("sentence_transformers.")


def _folder(entry: dict[str, Any]) -> str:
    return str(entry.get("path") or "").strip("/").removeprefix("./").removeprefix(".")


def _transformer(model: ModelFolder, has_answer: bool) -> tuple[Task, str]:
    """What the transformer computes, and the feature that it writes."""
    settings = model.json("sentence_bert_config.json")
    task = settings.get("transformer_task") or ("text-generation" if has_answer else "feature-extraction")
    if task not in _OUTPUTS:
        raise ModelError(f"{model.name} has the transformer task {task!r}, which is not supported")
    output, feature = _OUTPUTS[cast("Task", task)]
    for kind, how in (settings.get("modality_config") or {}).items():
        given = how.get("method_output_name", output)
        if kind in {"text", "message"} and (how.get("method") or "forward", given) not in {
            ("forward", output),
            ("forward", (output,)),
        }:
            raise ModelError(f"{model.name} reads {given!r} of its transformer, which is not supported")
    return cast("Task", task), str(settings.get("module_output_name") or feature)


def _pooling(model: ModelFolder, name: str, settings: dict[str, Any]) -> Pooling:
    given = settings.get("pooling_mode")
    if given is None:
        old = [mode for key, mode in _OLD_MODES.items() if settings.get(key)]
        given = old or (["mean"] if settings else [])
    modes: list[PoolingMode] = [cast("PoolingMode", given)] if isinstance(given, str) else list(given)
    if not modes or not set(modes) <= set(get_args(PoolingMode)):
        raise ModelError(
            f"{model.name} pools by {' and '.join(map(str, modes)) or 'nothing'}, which is not supported; "
            f"known are {', '.join(get_args(PoolingMode))}"
        )
    if settings.get("include_prompt") is False:
        raise ModelError(f"{model.name} leaves its prompt out of the pooling, which is not supported")
    return Pooling(name, tuple(modes))


def _dense(model: ModelFolder, name: str, settings: dict[str, Any]) -> Dense:
    # sentence-transformers' default activation is tanh.
    path = settings.get("activation_function", "torch.nn.Tanh")
    activation = "Identity" if path is None else str(path).rsplit(".", 1)[-1]
    if activation not in ACTIVATIONS:
        raise ModelError(f"{model.name}: {name} has the activation {path!r}, which is not supported")
    source = str(settings.get("module_input_name") or VECTOR)
    target = str(settings.get("module_output_name") or source)
    dense = Dense(
        name,
        int(settings["in_features"]),
        int(settings["out_features"]),
        activation,
        bool(settings.get("use_residual", False)),
        source,
        target,
    )
    shapes: dict[str, tuple[int, ...]] = {"linear.weight": (dense.outputs, dense.inputs)}
    if settings.get("bias", True):
        shapes["linear.bias"] = (dense.outputs,)
    if dense.residual and dense.inputs != dense.outputs:
        shapes["residual.weight"] = (dense.outputs, dense.inputs)
    _check_shapes(model, name, shapes)
    return dense


def _layer_norm(model: ModelFolder, name: str, settings: dict[str, Any]) -> LayerNorm:
    width = int(settings["dimension"])
    _check_shapes(model, name, {"norm.weight": (width,), "norm.bias": (width,)})
    return LayerNorm(name, width)


def _normalize(model: ModelFolder, name: str, settings: dict[str, Any]) -> Normalize:
    source = str(settings.get("module_input_name") or VECTOR)
    return Normalize(name, source, str(settings.get("module_output_name") or source))


def _logit_score(model: ModelFolder, name: str, settings: dict[str, Any]) -> LogitScore:
    yes, no = settings.get("true_token_id"), settings.get("false_token_id")
    if not isinstance(yes, int) or not isinstance(no, int | None):
        raise ModelError(f"{model.name}: its LogitScore names no token that says relevant: {settings!r:.100}")
    return LogitScore(name, yes, no, str(settings.get("module_input_name") or WORDS))


def _check_shapes(model: ModelFolder, name: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check that a module's weights are there, with the shapes that its settings speak of."""
    folder = model.path / name
    if not (folder / "model.safetensors").is_file():
        pickled = next((file.name for file in sorted(folder.glob("*.bin"))), None)
        raise ModelError(
            f"{model.name}: {name} has no model.safetensors"
            + (f", only {pickled}, which can run code when it is opened" if pickled else "")
            + ". Load and save the model with sentence-transformers, which writes safetensors"
        )
    found = Weights(folder)
    for tensor, shape in shapes.items():
        if tensor not in found.names() or found.shape(tensor) != shape:
            have = "x".join(map(str, found.shape(tensor))) if tensor in found.names() else "not there"
            raise ModelError(
                f"{model.name}: {name}/config.json does not fit its weights: {tensor} should be "
                f"{'x'.join(map(str, shape))} and is {have}"
            )
    if strange := sorted(found.names() - shapes.keys()):
        raise ModelError(
            f"{model.name}: {name}/config.json does not fit its weights: it has no place for {strange[0]}"
        )


def _check_fit(model: ModelFolder, chain: Chain) -> None:
    """Check that each module reads a feature that is there, of the width that it takes."""
    hidden = next((model.config[key] for key in ("hidden_size", "dim") if key in model.config), None)
    widths: dict[str, int | None] = {chain.feature: hidden if chain.task == "feature-extraction" else None}
    makers = {chain.feature: "the transformer"}
    for module in chain.modules:
        if module.source not in widths:
            raise ModelError(
                f"{model.name}: the modules do not fit together: {module.name} reads {module.source!r}, and "
                f"before it there are {', '.join(widths)}"
            )
        if (module.source == chain.feature == WORDS) != isinstance(module, LogitScore):
            raise ModelError(
                f"{model.name}: the modules do not fit together: a language model's words are for "
                f"LogitScore, and {module.name} reads {module.source!r}"
            )
        width = widths[module.source]
        wanted = module.inputs if isinstance(module, Dense) else getattr(module, "width", width)
        if width is not None and wanted != width:
            raise ModelError(
                f"{model.name}: the modules do not fit together: {module.name} takes {wanted} numbers, and "
                f"{makers[module.source]} gives {width}"
            )
        if isinstance(module, Pooling):
            width = width and width * len(module.modes)
        elif isinstance(module, Dense):
            width = module.outputs
        widths[module.target], makers[module.target] = width, module.name
