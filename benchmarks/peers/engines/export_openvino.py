"""sentence-transformers' own OpenVINO files of a model: as exported, and int8 after calibration.

Arguments: the model's folder, the folder to write, a folder with calibration pairs (``pair`` in train.jsonl).
"""

import sys

from sentence_transformers import CrossEncoder, export_static_quantized_openvino_model

source, target, pairs = sys.argv[1:]
model = CrossEncoder(source, backend="openvino", device="cpu")
model.save_pretrained(target)
export_static_quantized_openvino_model(
    model,
    None,
    target,
    dataset_name=pairs,
    dataset_config_name="default",
    dataset_split="train",
    column_name="pair",
    file_suffix="int8",
)
