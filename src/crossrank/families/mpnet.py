"""MPNet (Song et al. 2020): RoBERTa's positions, no token types, and a relative attention bias."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crossrank.families.family import Family
from crossrank.families.graphs.encoder import LayerNames, positions, shifted_positions
from crossrank.families.graphs.openvino_library import op
from crossrank.families.graphs.operations import Tensor, constant
from crossrank.families.roberta import RobertaGraph

if TYPE_CHECKING:
    import torch

    from crossrank.families.networks.bodies import Body
    from crossrank.families.networks.network import Network

_MAX_DISTANCE = 128


class MPNetGraph(RobertaGraph):
    """RoBERTa's positions and head, and a bias by distance in every layer."""

    prefix = "mpnet."
    layer_names = LayerNames(
        query="encoder.layer.{}.attention.attn.q",
        key="encoder.layer.{}.attention.attn.k",
        value="encoder.layer.{}.attention.attn.v",
        attention_output="encoder.layer.{}.attention.attn.o",
        attention_norm="encoder.layer.{}.attention.LayerNorm",
        up="encoder.layer.{}.intermediate.dense",
        down="encoder.layer.{}.output.dense",
        output_norm="encoder.layer.{}.output.LayerNorm",
    )

    def embed(self) -> Tensor:
        """Words and shifted positions, then layer norm."""
        ids = self.inputs["input_ids"]
        x = self.ops.embedding(ids, "embeddings.word_embeddings")
        numbers = shifted_positions(ids, self.pad_id)
        x = op.add(x, self.ops.embedding(numbers, "embeddings.position_embeddings"))
        return self.ops.layer_norm(x, "embeddings.LayerNorm", self.epsilon)

    def attention_bias(self) -> Tensor:
        """A learned number per head and bucket of distance, [1, heads, length, length]."""
        table = self.ops.tensor("encoder.relative_attention_bias.weight")
        longest = self.setting("max_position_embeddings")
        # The bias depends on the distance alone: one row per distance, looked up for each pair of positions.
        distances = np.arange(-(longest - 1), longest)
        by_distance = op.constant(table[relative_buckets(distances, len(table))])
        here = positions(self.inputs["input_ids"])
        relative = op.subtract(here, op.transpose(here, constant([1, 0])))
        rows = op.gather(
            by_distance, op.add(relative, constant(longest - 1, np.int32)), constant(0)
        )  # [length, length, heads]
        return op.unsqueeze(op.transpose(rows, constant([2, 0, 1])), constant(0))


def relative_buckets(distances: NDArray[np.int64], buckets: int) -> NDArray[np.int64]:
    """T5's buckets for distances (key position minus query position; Raffel et al. 2020, section 2.1).

    Half of the buckets are for keys after the query. In each half, near distances have a bucket each and
    far ones share, in logarithmic steps up to 128.
    """
    half = buckets // 2
    after = np.where(distances > 0, half, 0)
    distance = np.abs(distances)
    exact = half // 2
    # float32, as in the reference: float64 would put distances at a step's edge into the other bucket.
    ratio = np.log(np.maximum(distance, 1).astype(np.float32) / np.float32(exact))
    steps = (ratio / np.float32(math.log(_MAX_DISTANCE / exact)) * np.float32(half - exact)).astype(np.int64)
    far = np.minimum(exact + steps, half - 1)
    return after + np.where(distance < exact, distance, far)


def packed_mpnet(network: Any, device: torch.device) -> Network:
    """transformers' classifier, without padding."""
    from crossrank.families.networks.network import FirstTokenClassifier

    return FirstTokenClassifier(packed_body(network.base_model, device), network.classifier)


def packed_body(network: Any, device: torch.device) -> Body:
    """transformers' network without a head, without padding."""
    from crossrank.families.networks.mpnet import MPNetBody

    return MPNetBody(network, device)


FAMILY = Family(
    names=("mpnet",),
    graph=MPNetGraph,
    packed=packed_mpnet,
    packed_body=packed_body,
    pad_token_id=1,
    counts_positions_from_padding=True,
    kept_in_float=frozenset({"classifier", "pooler", "position_embeddings", "relative_attention_bias"}),
)
