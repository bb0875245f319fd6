"""Make the bundled models: float folders in, int8 folders out, each with its probe outputs.

    python recipes/bundled/build.py CROSS_ENCODER_FOLDER [BI_ENCODER_FOLDER]

The bi-encoder is sentence-transformers/all-MiniLM-L6-v2; its model.safetensors is checked by SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

from crossrank.conversion.quantise import write_int8, write_settings
from crossrank.families.model import Model, open_model
from crossrank.inference import loading
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.chains import scoring_chain
from crossrank.inference.embedder_settings import read_settings
from crossrank.inference.task import Classification, Embedding
from crossrank.inference.tokenizer import Tokenizer
from crossrank.models.locate import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER

BUNDLED = Path(__file__).parents[2] / "src" / "crossrank" / "models" / "bundled"
BI_ENCODER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def build(source: Path, name: str) -> None:
    """Quantise one model, then store what its probes give in float32 for the check at load."""
    model = open_model(source.resolve())
    folder = BUNDLED / name
    card = (folder / "README.md").read_text() if (folder / "README.md").is_file() else None
    shutil.rmtree(folder, ignore_errors=True)
    write_int8(model, folder)
    if card is not None:
        (folder / "README.md").write_text(card)
    _compact_tokenizer(folder / "tokenizer.json")
    written = Model(name, folder, model.config)
    tokenizer = Tokenizer(written)
    embedder = (folder / "modules.json").is_file()
    task = Embedding(read_settings(written).chain) if embedder else Classification(scoring_chain(written))
    probe = loading.probe_in_float32(written, task, tokenizer)
    settings: dict[str, object] = {"scripts": ["LATIN"]}
    if interpolation := model.json("crossrank.json").get("interpolation"):
        # Of the embedder as it is bundled, which main() has built by now.
        settings["interpolation"] = {**interpolation, "fingerprint": BiEncoder().fingerprint}
    settings["probe"] = [[round(float(v), 5) for v in row] for row in probe]
    write_settings(folder, settings)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{name}: {size / 1e6:.1f} MB")


def _compact_tokenizer(file: Path) -> None:
    settings = json.loads(file.read_text(encoding="utf-8"))
    settings["truncation"] = settings["padding"] = None
    file.write_text(json.dumps(settings, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def main() -> None:
    """Build the cross-encoder, and first the bi-encoder if its folder is given."""
    cross_encoder, *bi_encoders = map(Path, sys.argv[1:])
    for folder in bi_encoders:
        digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        if digest != BI_ENCODER_SHA256:
            sys.exit(f"{folder}/model.safetensors is not all-MiniLM-L6-v2: its SHA-256 is {digest}")
        build(folder, DEFAULT_BI_ENCODER)
    build(cross_encoder, DEFAULT_CROSS_ENCODER)


if __name__ == "__main__":
    main()
