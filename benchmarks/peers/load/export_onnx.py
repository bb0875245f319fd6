"""A model as infinity's ONNX back end loads it: exported by optimum, or that quantised for AVX-512 VNNI.

Arguments: the model's folder, the folder to write, and int8 where that is wanted.
"""

import sys
import tempfile
from pathlib import Path

from optimum.exporters.onnx import main_export
from optimum.onnxruntime import ORTQuantizer
from optimum.onnxruntime.configuration import AutoQuantizationConfig

source, target, *kind = sys.argv[1:]
with tempfile.TemporaryDirectory() as temporary:
    exported = Path(temporary) if kind else Path(target)
    main_export(source, exported, task="text-classification")
    if kind:
        settings = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
        ORTQuantizer.from_pretrained(exported, file_name="model.onnx").quantize(
            save_dir=target, quantization_config=settings
        )
        for file in exported.glob("*.json"):
            Path(target, file.name).write_bytes(file.read_bytes())
