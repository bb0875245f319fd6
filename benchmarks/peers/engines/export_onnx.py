"""sentence-transformers' own ONNX files of a model: as exported, int8, and optimised (O3).

Arguments: the model's folder, the folder to write, the kind of processor that int8 is for (avx512_vnni, say),
and O3 where that is wanted, too.
"""

import sys

from sentence_transformers import (
    CrossEncoder,
    export_dynamic_quantized_onnx_model,
    export_optimized_onnx_model,
)

source, target, kind, *more = sys.argv[1:]
model = CrossEncoder(source, backend="onnx", device="cpu")
model.save_pretrained(target)
export_dynamic_quantized_onnx_model(model, kind, target, file_suffix="int8")  # type: ignore[arg-type]
if "O3" in more:
    export_optimized_onnx_model(model, "O3", target)
