"""Other attributes and methods of sentence-transformers' CrossEncoder: supported, or an error that names the
replacement. docs/coming-from.md has the table.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn, Self

from crossrank.errors import InputError
from crossrank.families.model import Model
from crossrank.inference.activations import activation_of, as_module
from crossrank.inference.devices import Device, check_device
from crossrank.inference.saving import save_model
from crossrank.inference.scorer import PairScorer
from crossrank.inference.scores import scoring_of
from crossrank.inference.tokenizer import Tokenizer
from crossrank.keywords import nearest

_TRAIN = "`crossrank train` trains, and so does sentence-transformers, whose folders crossrank loads"
_PLAIN = "crossrank's is no torch.nn.Module; sentence_transformers.CrossEncoder(model.path) is one"
_TOKENS = "model.tokenizer.pairs(pairs) gives token ids; predict takes the pairs themselves"
_POOL = "threads already use all processors; for several GPUs, load a model on each"
_PUBLISH = "write a folder with save_pretrained, then: hf upload OWNER/NAME FOLDER"
_PRECISION = (
    "the arithmetic is chosen when the model is loaded, by precision= (float32, bfloat16 or int8); "
    "a GPU computes in bfloat16"
)
# Names of sentence-transformers' class that this class lacks, by what to use instead.
_INSTEAD = {
    _TRAIN: """fit old_fit smart_batching_collate smart_batching_collate_text_only
        gradient_checkpointing_enable model_card_data_class requires_grad_ zero_grad""",
    _PLAIN: """model transformers_model forward parameters named_parameters modules named_modules children
        named_children state_dict load_state_dict buffers named_buffers register_forward_hook compile
        share_memory apply training module_kwargs is_hpu_graph_enabled keep_in_fp32_modules
        set_keep_in_fp32_modules trust_remote_code clear_placement_cache get_model_kwargs merge
        active_adapter active_adapters add_adapter check_peft_compatible_model delete_adapter disable_adapters
        enable_adapters get_adapter_state_dict has_peft_compatible_model load_adapter set_adapter""",
    _TOKENS: "preprocess tokenize processor is_singular_input modalities supports",
    _POOL: "start_multi_process_pool stop_multi_process_pool",
    _PUBLISH: "push_to_hub save_to_hub default_huggingface_organization",
    _PRECISION: "half bfloat16 float double type dtype",
    "model.activation_fn is the one in use": "get_default_activation_fn",
    "model.config.model_type is the architecture": "model_type",
}
REFUSED = {name: advice for advice, names in _INSTEAD.items() for name in names.split()}


class ReadOnlyConfig:
    """The values of config.json as read-only attributes, without transformers' defaults.

    Example:
        >>> ReadOnlyConfig({"id2label": {"0": "LABEL_0"}}).id2label
        {0: 'LABEL_0'}
    """

    def __init__(self, content: dict[str, Any]) -> None:
        names = content.get("id2label")
        # As transformers has them.
        ints = {"id2label": {int(i): name for i, name in names.items()}} if isinstance(names, dict) else {}
        self.__dict__.update(content | ints)

    def to_dict(self) -> dict[str, Any]:
        """The content of config.json."""
        return dict(self.__dict__)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"config.json has no {name!r}; transformers.AutoConfig.from_pretrained(model.path) has defaults"
        )

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(
            f"config.{name} cannot be set: the model is loaded. Change config.json, and load again"
        )


class EvaluationMetrics:
    """Collects the results of sentence-transformers' evaluators.

    Attributes:
        results: The metrics, one dictionary per evaluation.
    """

    def __init__(self) -> None:
        self.results: list[dict[str, Any]] = []

    def set_evaluation_metrics(
        self, evaluator: object, metrics: dict[str, Any], epoch: int = 0, step: int = 0
    ) -> None:
        """Keep the results of an evaluation."""
        self.results.append(dict(metrics))


class DropIn(PairScorer):
    """A local cross-encoder with the commonly used attributes and methods of sentence-transformers' class.

    Attributes:
        tokenizer: The model's tokenizer, a crossrank object.
        model_card_data: Where evaluators store their results.
    """

    tokenizer: Tokenizer
    model_card_data: Any
    _folder: Model
    _device: Device

    @abstractmethod
    def _load(self, device: str) -> None:
        """Load the engine for a device."""

    @property
    def path(self) -> Path:
        """The folder with the model's files."""
        return self._folder.path

    @property
    def config(self) -> ReadOnlyConfig:
        """config.json; read-only."""
        return ReadOnlyConfig(self._folder.config)

    @property
    def num_labels(self) -> int:
        """The number of outputs of the model."""
        return self.scoring.labels

    @property
    def max_seq_length(self) -> int:
        """The maximum number of tokens per pair; None sets the model's limit."""
        return self.tokenizer.max_tokens

    @max_seq_length.setter
    def max_seq_length(self, value: int | None) -> None:
        # A new tokenizer, so that copies of the model keep their length.
        value = self.tokenizer.limit if value is None else value
        self.tokenizer = self.tokenizer.adjusted(prompt=self.tokenizer.prompt, max_tokens=value)

    max_length = max_seq_length

    def get_max_seq_length(self) -> int:
        """``max_seq_length``."""
        return self.max_seq_length

    @property
    def activation_fn(self) -> Any:
        """The function from outputs to scores, as a PyTorch module. None sets the model's own.

        Raises:
            MissingExtraError: PyTorch is not installed.
        """
        return as_module(self.scoring.predicting)

    @activation_fn.setter
    def activation_fn(self, value: object) -> None:
        own, chosen = scoring_of(self._folder), activation_of(value)
        self.scoring = own if chosen is None else own.predicting_by(chosen)

    default_activation_function = activation_fn

    @property
    def device(self) -> Device:
        """Where the model runs."""
        return self._device

    def move(self, device: str) -> None:
        """Move the model to another device.

        Raises:
            InputError: The device does not exist.
            ModelError: The model cannot run on the device.
            MissingExtraError: The device needs PyTorch, which is not installed.
        """
        check_device(device)
        if Device.named(device) != self._device:
            self._load(device)

    def to(self, device: Any = None, dtype: None = None) -> Self:
        """Move the model to a device.

        Raises:
            InputError: The device does not exist, or a dtype was given.
        """
        if dtype is not None or "float" in str(device):
            raise InputError(f"a model cannot be moved to {dtype or device}: {_PRECISION}")
        if device is not None:
            self.move(str(device))
        return self

    def cpu(self) -> Self:
        """Move the model to the CPU."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Self:
        """Move the model to a GPU."""
        return self.to(f"cuda:{device}" if isinstance(device, int) else device or "cuda")

    def eval(self) -> Self:
        """Does nothing: the model is always in evaluation mode."""
        return self

    def train(self, mode: bool = True) -> Self:
        """Does nothing if ``mode`` is False.

        Raises:
            InputError: ``mode`` is True.
        """
        if mode:
            raise InputError(f"a loaded model cannot be trained: {_TRAIN}")
        return self

    @property
    def backend(self) -> str:
        """The library that runs the model: ``openvino`` or ``torch``."""
        return self.get_backend()

    @abstractmethod
    def get_backend(self) -> str:
        """The library that runs the model: ``openvino`` or ``torch``."""

    def evaluate(self, evaluator: Any, output_path: str | None = None) -> Any:
        """Run a sentence-transformers evaluator.

        Args:
            evaluator: The evaluator; called with this model and the folder.
            output_path: The folder for its results; created if it does not exist.
        """
        if output_path is not None:
            Path(output_path).mkdir(parents=True, exist_ok=True)
        return evaluator(self, output_path)

    def save_pretrained(
        self,
        path: str | Path,
        model_name: str | None = None,
        create_model_card: bool = True,
        train_datasets: list[str] | None = None,
        safe_serialization: bool = True,
    ) -> None:
        """Save the model to a folder, with the current prompts, maximum length and activation.

        Args:
            path: The folder; created if it does not exist.
            model_name: Has no effect: the model card is copied.
            create_model_card: Copy the model's README.md if there is one.
            train_datasets: Has no effect.
            safe_serialization: Must be True: weights are saved as safetensors.

        Raises:
            InputError: ``safe_serialization`` is False, or the activation has no name.
        """
        if not safe_serialization:
            raise InputError(
                "safe_serialization cannot be False: pickled weights can run code when they are opened"
            )
        save_model(
            self._folder,
            Path(path),
            activation=self.scoring.predicting,
            prompts=dict(self.prompts),
            default_prompt_name=self.default_prompt_name,
            max_length=self.max_seq_length,
            card=create_model_card,
        )

    save = save_pretrained

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"crossrank's CrossEncoder has no {name!r}{_instead_of(name, dir(type(self)))}")

    def __setattr__(self, name: str, value: object) -> None:
        # Setting an attribute that is never read would silently have no effect.
        parts = [vars(kind) for kind in type(self).__mro__]
        known = {known for part in parts for known in (*part, *part.get("__annotations__", ()))}
        if name not in known and not name.startswith("_"):
            raise AttributeError(f"crossrank's CrossEncoder has no {name!r} to set{_instead_of(name, known)}")
        super().__setattr__(name, value)


def _instead_of(name: str, known: Iterable[str]) -> str:
    if name in REFUSED:
        return f": {REFUSED[name]}"
    return nearest(name, sorted(public for public in known if not public.startswith("_")))
