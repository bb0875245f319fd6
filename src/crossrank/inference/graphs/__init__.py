"""The BERT family as OpenVINO graphs, built from config.json and safetensors, without PyTorch.

One file per family says what its tensors are called and what differs; ``encoder.py`` is what they share.
"""

from __future__ import annotations

from crossrank.inference.graphs.bert import Bert
from crossrank.inference.graphs.distilbert import DistilBert
from crossrank.inference.graphs.electra import Electra
from crossrank.inference.graphs.encoder import Encoder
from crossrank.inference.graphs.mpnet import MPNet
from crossrank.inference.graphs.roberta import Roberta

FAMILIES: dict[str, type[Encoder]] = {
    "bert": Bert,
    "camembert": Roberta,
    "distilbert": DistilBert,
    "electra": Electra,
    "mpnet": MPNet,
    "roberta": Roberta,
    "xlm-roberta": Roberta,
}
