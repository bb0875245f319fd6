"""Tensors by name out of safetensors files, read where they lie on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import ModelError

_DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8", "I8": "i1", "I32": "<i4", "I64": "<i8"}
# The names under which the first BERT checkpoints, converted from TensorFlow, keep their layer norms.
_OLD_NAMES = {".weight": ".gamma", ".bias": ".beta"}

# Rows or columns of a matrix that costs next to nothing, such as that of a classifier.
_SMALL = 16
# What goes with an int8 matrix, by the ends of the tensors' names.
_OF_INT8 = ("_scale", "_smoothing", "_range")


class Weights:
    """The tensors of one model, mapped into memory and read on demand.

    A linear layer or embedding may be stored in int8: ``NAME.weight`` of type I8 with
    ``NAME.weight_scale``, one float32 factor per row, so that weight = int8 * scale. If its input is
    quantised with a known range, there are also ``NAME.weight_smoothing``, one factor per column, so that
    weight = int8 * scale / smoothing, and ``NAME.weight_range``, the lowest and highest value of
    input / smoothing.

    Args:
        folder: Holds model.safetensors, or its parts with model.safetensors.index.json.

    Attributes:
        files: The safetensors files.

    Raises:
        ModelError: A file is missing, damaged, or holds a type of number that is not supported.
    """

    def __init__(self, folder: Path) -> None:
        self.files = _files(folder)
        self._tensors: dict[str, tuple[Path, int, dict[str, Any]]] = {}
        for file in self.files:
            header_size, header = _read_header(file)
            for name, entry in header.items():
                if name != "__metadata__":
                    self._tensors[name] = (file, header_size, entry)

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def names(self) -> frozenset[str]:
        """The names of all tensors."""
        return frozenset(self._tensors)

    def learnt(self) -> list[str]:
        """The names of what was learnt, sorted: nothing that int8 adds, no buffers of old checkpoints."""
        return sorted(
            name
            for name in self._tensors
            if not name.endswith("position_ids")
            and not any(name.endswith(end) and name.removesuffix(end) in self._tensors for end in _OF_INT8)
        )

    def stored(self, name: str) -> NDArray[Any]:
        """A tensor as it is stored: int8 stays int8, every float becomes float32.

        Raises:
            ModelError: The model has no such tensor.
        """
        file, header_size, entry = self._tensors[self._resolve(name)]
        dtype = _DTYPES.get(entry["dtype"])
        if dtype is None:
            raise ModelError(f"{file}: {name} is stored as {entry['dtype']}, which is not supported")
        start, _ = entry["data_offsets"]
        shape = tuple(entry["shape"])
        raw = np.memmap(file, dtype=dtype, mode="r", offset=8 + header_size + start, shape=shape)
        if entry["dtype"] == "BF16":
            return (raw.astype(np.uint32) << 16).view(np.float32)
        return np.asarray(raw if entry["dtype"] in {"F32", "I8", "I32", "I64"} else raw.astype(np.float32))

    def samples(self, pieces: int, size: int) -> Iterator[tuple[str, bytes]]:
        """Each tensor's line of description, and bytes spread over its data.

        Args:
            pieces: How many pieces to read of a tensor that is larger than all of them.
            size: Of a piece, in bytes.
        """
        with ExitStack() as stack:
            opened = {file: stack.enter_context(file.open("rb", buffering=0)) for file in self.files}
            for name in sorted(self._tensors):
                file, header_size, entry = self._tensors[name]
                first, end = (8 + header_size + offset for offset in entry["data_offsets"])
                whole = end - first <= pieces * size
                starts = (
                    [first] if whole else np.linspace(first, end - size, pieces).astype(np.int64).tolist()
                )
                data = []
                for start in starts:
                    opened[file].seek(start)
                    data.append(opened[file].read(end - first if whole else size))
                yield f"{name} {entry['dtype']} {entry['shape']}", b"".join(data)

    def scale(self, name: str) -> NDArray[np.float32] | None:
        """The factors that belong to an int8 tensor, [rows, 1]; None where it is not int8."""
        key = f"{name}_scale"
        return self.stored(key).reshape(-1, 1) if key in self._tensors else None

    def smoothing(self, name: str) -> NDArray[np.float32] | None:
        """The factors that an int8 matrix's inputs are divided by, [columns]; None if there are none."""
        key = f"{name}_smoothing"
        return self.stored(key) if key in self._tensors else None

    def input_range(self, name: str) -> tuple[float, float] | None:
        """The lowest and highest input of an int8 matrix, after smoothing; None if it is not known."""
        key = f"{name}_range"
        if key not in self._tensors:
            return None
        low, high = self.stored(key).tolist()
        return float(low), float(high)

    def float32(self, name: str) -> NDArray[np.float32]:
        """A tensor in float32, whatever it is stored as."""
        stored, scale, smoothing = self.stored(name), self.scale(name), self.smoothing(name)
        floats = stored if scale is None else stored.astype(np.float32) * scale
        return floats if smoothing is None else np.asarray(floats / smoothing, np.float32)

    @property
    def is_int8(self) -> bool:
        """Whether any tensor is stored in int8."""
        return any(entry["dtype"] == "I8" for _, _, entry in self._tensors.values())

    @property
    def has_input_ranges(self) -> bool:
        """Whether the ranges of any int8 matrix's inputs are known."""
        return any(name.endswith(".weight_range") for name in self._tensors)

    @property
    def parameters(self) -> int:
        """How many numbers the tensors hold."""
        return sum(math.prod(entry["shape"]) for _, _, entry in self._tensors.values())

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape."""
        return tuple(self._tensors[name][2]["shape"])

    @property
    def matrices(self) -> frozenset[str]:
        """The distinct types and shapes of the matrices that take time to multiply with."""
        return frozenset(
            f"{entry['dtype']} {entry['shape']}"
            for _, _, entry in self._tensors.values()
            if len(entry["shape"]) == 2 and min(entry["shape"]) >= _SMALL
        )

    @property
    def is_float32(self) -> bool:
        """Whether every weight is stored in float32."""
        other = _DTYPES.keys() - {"F32"}
        return not any(entry["dtype"] in other for _, _, entry in self._tensors.values())

    def _resolve(self, name: str) -> str:
        if name in self._tensors:
            return name
        for new, old in _OLD_NAMES.items():
            if name.endswith(new) and (other := name.removesuffix(new) + old) in self._tensors:
                return other
        raise ModelError(f"the model's weights have no tensor {name!r}")


def _files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return [folder / "model.safetensors"]
    try:
        names = {str(name) for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(f"{index} is damaged: {error}") from error
    if strange := [name for name in names if Path(name).name != name]:
        raise ModelError(f"{index} points outside its folder: {strange[0]}")
    return [folder / name for name in sorted(names)]


def _read_header(file: Path) -> tuple[int, dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        # The library checks sizes, offsets and overlaps, so that nothing below reads outside the file.
        with safe_open(file, framework="numpy"), file.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            header: dict[str, Any] = json.loads(stream.read(size))
            return size, header
    except FileNotFoundError as error:
        raise ModelError(f"{file} is missing") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{file} is damaged or no safetensors file ({error}). A Git LFS pointer or a broken download "
            "looks like this: fetch the file again."
        ) from error
