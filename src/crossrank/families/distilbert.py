"""DistilBERT (Sanh et al. 2019): BERT without token types, with names of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crossrank.families.family import Family
from crossrank.families.graphs.encoder import Encoder, LayerNames, positions
from crossrank.families.graphs.openvino_library import op
from crossrank.families.graphs.operations import Tensor
from crossrank.families.model import Model

if TYPE_CHECKING:
    import torch

    from crossrank.families.networks.bodies import Body
    from crossrank.families.networks.network import Network

_SETTINGS = {"hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads"}


class DistilBertGraph(Encoder):
    """Words and positions; a dense layer with ReLU, then the classifier."""

    prefix = "distilbert."
    layer_names = LayerNames(
        query="transformer.layer.{}.attention.q_lin",
        key="transformer.layer.{}.attention.k_lin",
        value="transformer.layer.{}.attention.v_lin",
        attention_output="transformer.layer.{}.attention.out_lin",
        attention_norm="transformer.layer.{}.sa_layer_norm",
        up="transformer.layer.{}.ffn.lin1",
        down="transformer.layer.{}.ffn.lin2",
        output_norm="transformer.layer.{}.output_layer_norm",
    )

    def __init__(self, model: Model, **options: Any) -> None:
        super().__init__(model, **options)
        self.hidden_activation = str(self.config.get("activation", "gelu"))

    def setting(self, name: str) -> int:
        """A whole number from config.json, under DistilBERT's own name for it."""
        return super().setting(_SETTINGS[name])

    def embed(self) -> Tensor:
        """Words and positions, then layer norm."""
        ids = self.inputs["input_ids"]
        x = self.ops.embedding(ids, "embeddings.word_embeddings")
        x = op.add(x, self.ops.embedding(positions(ids), "embeddings.position_embeddings"))
        return self.ops.layer_norm(x, "embeddings.LayerNorm", self.epsilon)

    def classify(self, first: Tensor) -> Tensor:
        """A dense layer with ReLU, then the classifier."""
        return self.ops.linear(op.relu(self.ops.linear(first, "pre_classifier")), "classifier")


def packed_distilbert(network: Any, device: torch.device) -> Network:
    """transformers' classifier, without padding."""
    from crossrank.families.networks.network import FirstTokenClassifier

    return FirstTokenClassifier(
        packed_body(network.base_model, device),
        lambda first: network.pre_classifier(first[:, 0]).relu(),
        network.classifier,
    )


def packed_body(network: Any, device: torch.device) -> Body:
    """transformers' network without a head, packed."""
    from crossrank.families.networks.bodies import PackedBody

    return PackedBody(network, device)


FAMILY = Family(
    names=("distilbert",),
    graph=DistilBertGraph,
    packed=packed_distilbert,
    packed_body=packed_body,
    kept_in_float=frozenset({"classifier", "pre_classifier", "position_embeddings"}),
)
