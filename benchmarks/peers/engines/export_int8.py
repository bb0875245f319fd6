"""crossrank's int8 copy of a model, as `crossrank pull` writes it.

Arguments: the model's folder, the folder to write. The command itself would refuse random weights: their
scores hardly differ from passage to passage, so that int8 changes the order.
"""

import sys
from pathlib import Path

from crossrank.inference.loading import CROSS_ENCODER, probe_in_float32
from crossrank.inference.tokenizer import Tokenizer
from crossrank.models.folder import open_model
from crossrank.models.quantise import write_int8, write_settings

source, target = sys.argv[1:]
write_int8(open_model(source), Path(target))
copy = open_model(target)
write_settings(Path(target), {"probe": probe_in_float32(copy, CROSS_ENCODER, Tokenizer(copy)).tolist()})
