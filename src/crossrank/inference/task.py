"""What a model is loaded for: scores of pairs, or vectors of texts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import ModelError
from crossrank.families import names_with_graph
from crossrank.families.model import Model
from crossrank.inference.sample_texts import Candidates
from crossrank.inference.tokenizer import Tokenizer, Tokens
from crossrank.inference.vectors import prepared
from crossrank.models.locate import no_usable_weights
from crossrank.models.modules import Chain

if TYPE_CHECKING:
    import torch

    from crossrank.families.graphs.openvino_library import ov
    from crossrank.families.graphs.operations import Products, Tensor
    from crossrank.families.networks.network import Network


class Task(ABC):
    """Which graph or network to build, which inputs to try it with, and what it ranks by.

    Args:
        chain: The model's modules.
    """

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    def build(self, model: Model, *, products: Products = "float") -> ov.Model:
        """The graph, [batch, d].

        Raises:
            ModelError: There is neither a graph for the model nor an exported one.
        """
        from crossrank.families.graphs.modules import apply_modules
        from crossrank.families.graphs.openvino_library import ov

        chain = self.chain
        if model.has_graph and chain.task == "sequence-classification":
            given = model.graph(products=products).logits()
        elif model.has_graph:
            graph = model.graph(products=products)
            vectors = graph.hidden_states(only_first=chain.reads_first_token)
            given = ov.Model([vectors], list(graph.inputs.values()))
        elif model.export is not None:
            classifies = chain.task == "sequence-classification"
            given = exported(
                model, *(("logits",) if classifies else ("last_hidden_state", "token_embeddings"))
            )
        else:
            raise ModelError(unsupported(model))
        if not chain.modules:
            return given
        parameters = given.get_parameters()
        mask = next(node for node in parameters if "attention_mask" in node.output(0).get_names())
        output: Tensor = given.output(0).get_node().input_value(0)
        return ov.Model([apply_modules(chain, chain.weights(model), output, mask)], parameters)

    def load_network(self, model: Model, device: torch.device, dtype: torch.dtype) -> Network:
        """The network in PyTorch, on its device.

        Raises:
            ModelError: transformers does not know the family, or the weights do not fit it.
        """
        from crossrank.families.networks.modules import load_chain

        return load_chain(model, self.chain, device, dtype)

    @abstractmethod
    def inputs(self, tokenizer: Tokenizer, candidates: Sequence[Candidates]) -> list[Tokens]:
        """The inputs for questions with their passages."""

    @abstractmethod
    def ranked_by(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The numbers that the passages are ranked by, [n], of the outputs for such inputs."""


class Classification(Task):
    """Score pairs of question and passage."""

    def inputs(self, tokenizer: Tokenizer, candidates: Sequence[Candidates]) -> list[Tokens]:
        """One pair for each passage."""
        return tokenizer.pairs([(query, text) for query, texts in candidates for text in texts])

    def ranked_by(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits of all labels."""
        return outputs.ravel()


class Embedding(Task):
    """Embed texts."""

    def inputs(self, tokenizer: Tokenizer, candidates: Sequence[Candidates]) -> list[Tokens]:
        """A question and a passage in turn, for each passage."""
        return tokenizer.texts(
            [each for query, texts in candidates for text in texts for each in (query, text)]
        )

    def ranked_by(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The cosine similarity of each passage to its question."""
        vectors = prepared(outputs, "cosine")
        similarities: NDArray[np.float32] = (vectors[::2] * vectors[1::2]).sum(axis=1)
        return similarities


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
