"""A model as the archive that SageMaker unpacks: weights, and the code that serves them."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import requires, version
from pathlib import Path
from typing import BinaryIO

from crossrank.errors import InputError, ModelError
from crossrank.families.model import open_model
from crossrank.files import replacing
from crossrank.inference.chains import scoring_chain
from crossrank.inference.devices import runs_on_openvino
from crossrank.inference.task import unsupported
from crossrank.sagemaker.proving import prove

_HANDLERS = '''"""What the sagemaker-inference toolkit calls; see crossrank's docs/sagemaker.md."""

from crossrank.sagemaker.inference import model_fn, transform_fn

__all__ = ["model_fn", "transform_fn"]
'''
# A container that calls handlers has the toolkit; what it has stays where it fits.
_TOOLKIT = "sagemaker-inference>=1.10,<2"


@dataclass(frozen=True, slots=True)
class Package:
    """An archive that was written and proven.

    Attributes:
        path: The archive.
        size: Its bytes.
        sha256: Its digest, in hexadecimal.
        files: What it holds, in order.
        model: The model's name.
    """

    path: Path
    size: int
    sha256: str
    files: tuple[str, ...]
    model: str


def package_model(model: str | Path, output: str | Path) -> Package:
    """Write a model's archive, and prove it: unpack it, load the model with its handlers, serve a request.

    The same model, with the same versions of the packages installed, gives the same bytes. The archive
    appears under its name when it is whole and proven; an older one stays as it was until then.

    Args:
        model: A bundled model, a folder, or a Hugging Face name of a cross-encoder.
        output: The archive's name; it must end with ``.tar.gz``.

    Raises:
        InputError: The name cannot be written to.
        ModelError: The model cannot be used, or scores otherwise out of its archive.
        OSError: The disk is full, for one.
    """
    target = Path(output)
    _check_target(target)
    folder = open_model(model)
    contents: dict[str, Path | bytes] = dict(folder.needed_files())
    if not runs_on_openvino(folder, None, scoring_chain(folder)):  # a container would not have PyTorch
        raise ModelError(unsupported(folder))
    contents["code/inference.py"] = _HANDLERS.encode()
    contents["code/requirements.txt"] = requirements().encode()
    with replacing(target) as partial, partial.open("w+b") as file:
        _write_archive(file, contents)
        file.flush()
        partial.chmod(0o644)
        size = file.tell()
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        with tempfile.TemporaryDirectory(prefix="crossrank-package-") as unpacked:
            with tarfile.open(fileobj=file, mode="r:gz") as archive:
                archive.extractall(unpacked, filter="data")
            prove(Path(unpacked), folder.path)
    return Package(target, size, digest, tuple(sorted(contents)), folder.name)


def requirements() -> str:
    """code/requirements.txt: this crossrank and what it needs, in the versions that are installed here."""
    lines = [line for line in requires("crossrank") or () if "extra ==" not in line]
    names = sorted(re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines)
    pins = [f"{name}=={version(name)}" for name in ("crossrank", *names)]
    return "\n".join([*pins, _TOOLKIT, ""])


def _check_target(target: Path) -> None:
    if not target.name.endswith(".tar.gz") or target.name == ".tar.gz":
        raise InputError(f"SageMaker takes archives named ....tar.gz; the output is {target.name!r}")
    if target.exists() and not target.is_file():
        raise InputError(f"{target} is there and is no file")
    if not target.parent.is_dir():
        raise InputError(f"there is no folder {target.parent} to write {target.name} to")


def _write_archive(file: BinaryIO, contents: Mapping[str, Path | bytes]) -> None:
    """A tar.gz that holds nothing of when, where and by whom it was made."""
    with (
        # Weights hardly shrink, whatever the level; the lowest is several times as fast.
        gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, content in sorted(contents.items()):
            entry = tarfile.TarInfo(name)
            entry.mode = 0o644
            if isinstance(content, bytes):
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
            else:
                entry.size = content.stat().st_size
                with content.open("rb") as source:
                    archive.addfile(entry, source)
