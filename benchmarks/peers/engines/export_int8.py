"""crossrank's int8 copy of a model, as `crossrank pull` writes it.

Arguments: the model's folder, the folder to write. The command itself would refuse random weights: their
scores hardly differ from passage to passage, so that int8 changes the order.
"""

import sys
from pathlib import Path

from crossrank.conversion.quantise import write_int8, write_settings
from crossrank.families.model import open_model
from crossrank.inference.chains import scoring_chain
from crossrank.inference.loading import probe_in_float32
from crossrank.inference.task import Classification
from crossrank.inference.tokenizer import Tokenizer

source, target = sys.argv[1:]
write_int8(open_model(source), Path(target))
copy = open_model(target)
task = Classification(scoring_chain(copy))
write_settings(Path(target), {"probe": probe_in_float32(copy, task, Tokenizer(copy)).tolist()})
