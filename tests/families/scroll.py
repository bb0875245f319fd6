"""An architecture that crossrank does not know, in the one file that it takes: BERT under other names."""

from __future__ import annotations

from crossrank.families.family import Family
from crossrank.families.graphs.encoder import Encoder, LayerNames, positions
from crossrank.families.graphs.openvino_library import op
from crossrank.families.graphs.operations import Tensor

LAYER = LayerNames(
    query="blocks.{}.q",
    key="blocks.{}.k",
    value="blocks.{}.v",
    attention_output="blocks.{}.o",
    attention_norm="blocks.{}.norm1",
    up="blocks.{}.up",
    down="blocks.{}.down",
    output_norm="blocks.{}.norm2",
)


class ScrollGraph(Encoder):
    prefix = "scroll."
    layer_names = LAYER
    has_token_types = True

    def embed(self) -> Tensor:
        ids = self.inputs["input_ids"]
        sides = self.ops.embedding(self.inputs["token_type_ids"], "sides")
        x = op.add(self.ops.embedding(ids, "words"), sides)
        x = op.add(x, self.ops.embedding(positions(ids), "places"))
        return self.ops.layer_norm(x, "norm0", self.epsilon)

    def classify(self, first: Tensor) -> Tensor:
        return self.ops.linear(op.tanh(self.ops.linear(first, "score.dense")), "score.out")


FAMILY = Family(
    names=("scroll",),
    graph=ScrollGraph,
    head="score.",
    kept_in_float=frozenset({"score", "places", "sides"}),
)
