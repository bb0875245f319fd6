"""Carry lists and models to a machine with a GPU, and a model back, in files of a bounded size.

    python recipes/bundled/parts.py pack FOLDER [FOLDER ...] PARTS --megabytes 14
    python recipes/bundled/parts.py unpack PARTS FOLDER

Weights travel in float16; everything is compressed together, and nothing is unpacked until all parts are
there and have the right SHA-256.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import lzma
import sys
import tarfile
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def main() -> None:
    """Pack or unpack."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("folders", type=Path, nargs="+")
    packing.add_argument("parts", type=Path)
    packing.add_argument("--megabytes", type=int, default=14)
    unpacking = commands.add_parser("unpack")
    unpacking.add_argument("parts", type=Path)
    unpacking.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "pack":
        pack(arguments.folders, arguments.parts, arguments.megabytes)
    else:
        unpack(arguments.parts, arguments.folder)


def pack(folders: list[Path], parts: Path, megabytes: int) -> None:
    """Write PARTS/part-000 and so on, and PARTS/parts.json, which says what they should be."""
    parts.mkdir(parents=True)
    whole = io.BytesIO()
    with (
        lzma.open(whole, "wb", preset=6) as compressed,
        tarfile.open(fileobj=compressed, mode="w|") as archive,
    ):
        for folder in folders:
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                content = _smaller(file)
                entry = tarfile.TarInfo(f"{folder.name}/{file.relative_to(folder)}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    size = megabytes * 2**20
    content = whole.getvalue()
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    for number, piece in enumerate(pieces):
        (parts / f"part-{number:03d}").write_bytes(piece)
    digest = hashlib.sha256(content).hexdigest()
    (parts / "parts.json").write_text(json.dumps({"parts": len(pieces), "sha256": digest}))
    print(f"{len(content) / 1e6:.1f} MB in {len(pieces)} parts")


def unpack(parts: Path, folder: Path) -> None:
    """Write the folders that were packed into FOLDER."""
    wanted = json.loads((parts / "parts.json").read_text())
    files = [parts / f"part-{number:03d}" for number in range(wanted["parts"])]
    if missing := [file.name for file in files if not file.is_file()]:
        sys.exit(f"{parts} lacks {', '.join(missing)}")
    content = b"".join(file.read_bytes() for file in files)
    if hashlib.sha256(content).hexdigest() != wanted["sha256"]:
        sys.exit(f"{parts}: a part is damaged, or of another packing")
    with lzma.open(io.BytesIO(content)) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        archive.extractall(folder, filter="data")


def _smaller(file: Path) -> bytes:
    """The file's content; floats as float16, and what is compressed one by one as it was before."""
    if file.suffix == ".safetensors":
        tensors = {
            name: tensor.to(torch.float16) if tensor.is_floating_point() else tensor
            for name, tensor in load_file(file).items()
        }
        with tempfile.TemporaryDirectory() as temporary:
            save_file(tensors, Path(temporary) / "t", metadata={"format": "pt"})
            return (Path(temporary) / "t").read_bytes()
    return file.read_bytes()


if __name__ == "__main__":
    main()
