"""RoBERTa (Liu et al. 2019) and XLM-RoBERTa (Conneau et al. 2020): shifted positions, one token type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crossrank.families.bert import BERT_LAYER
from crossrank.families.family import Family
from crossrank.families.graphs.encoder import Encoder, shifted_positions
from crossrank.families.graphs.openvino_library import op
from crossrank.families.graphs.operations import Tensor

if TYPE_CHECKING:
    import torch

    from crossrank.families.networks.bodies import Body
    from crossrank.families.networks.network import Network


class RobertaGraph(Encoder):
    """BERT's layers; positions that begin after the padding token's id, and a head of its own."""

    prefix = "roberta."
    layer_names = BERT_LAYER

    def embed(self) -> Tensor:
        """Words, positions counted from after the padding token's id, the one token type; layer norm."""
        ids = self.inputs["input_ids"]
        x = self.ops.embedding(ids, "embeddings.word_embeddings")
        numbers = shifted_positions(ids, self.pad_id)
        x = op.add(x, self.ops.embedding(numbers, "embeddings.position_embeddings"))
        x = op.add(x, op.constant(self.ops.tensor("embeddings.token_type_embeddings.weight")[:1]))
        return self.ops.layer_norm(x, "embeddings.LayerNorm", self.epsilon)

    def classify(self, first: Tensor) -> Tensor:
        """A dense layer with tanh, then the output projection; there is no pooler."""
        return self.ops.linear(op.tanh(self.ops.linear(first, "classifier.dense")), "classifier.out_proj")


def packed_roberta(network: Any, device: torch.device) -> Network:
    """transformers' classifier, without padding."""
    from crossrank.families.networks.bert import bert_classifier

    return bert_classifier(network, device, shifted_by=network.config.pad_token_id)


def packed_roberta_body(network: Any, device: torch.device) -> Body:
    """transformers' network without a head, without padding."""
    from crossrank.families.networks.bert import BertBody

    return BertBody(network, device, shifted_by=network.config.pad_token_id)


FAMILY = Family(
    names=("roberta", "xlm-roberta", "camembert"),
    graph=RobertaGraph,
    packed=packed_roberta,
    packed_body=packed_roberta_body,
    pad_token_id=1,
    counts_positions_from_padding=True,
)
