"""Save a vector store to one file: an npz archive with the vectors, and the documents as JSON."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document
from numpy.typing import NDArray

from crossrank.errors import InputError, MissingFileError
from crossrank.files import replacing
from crossrank.inference import Similarity

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Saved:
    """The content of a saved vector store.

    Attributes:
        similarity: How the vectors are compared.
        documents: The documents, with their ids.
        vectors: One vector per document, float32 [n, d].
    """

    similarity: Similarity
    documents: list[Document]
    vectors: NDArray[np.float32]


def write_saved(folder: Path, name: str, saved: Saved) -> None:
    """Write ``name.npz`` atomically.

    Raises:
        InputError: Metadata cannot be saved as JSON, or the file cannot be written.
    """
    content = json.dumps(
        {
            "format": _FORMAT,
            "similarity": saved.similarity,
            "documents": [_json(document) for document in saved.documents],
        }
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / f"{name}.npz") as unfinished, unfinished.open("wb") as file:
            np.savez(
                file, vectors=saved.vectors, content=np.frombuffer(content.encode("utf-8"), dtype=np.uint8)
            )
    except OSError as error:
        raise InputError(f"{folder / name}.npz cannot be written: {error.strerror or error}") from error


def read_saved(folder: Path, name: str) -> Saved:
    """Read a file of :func:`write_saved`; nothing in the file can run code.

    Raises:
        InputError: The file does not exist, or has another format.
    """
    file = folder / f"{name}.npz"
    if not file.is_file():
        pickled = (folder / f"{name}.pkl").is_file()
        raise MissingFileError(
            f"{file} does not exist"
            + (
                f"; {name}.pkl next to it was written by LangChain's FAISS class as pickle, which can run "
                "code when it is opened, and is never opened here. Index again with FAISS.from_documents"
                if pickled
                else "; write it with save_local"
            )
        )
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            vectors, content = arrays["vectors"], json.loads(arrays["content"].tobytes())
        if content["format"] != _FORMAT:
            raise InputError(f"{file} has format {content['format']!r}, which a newer crossrank may read")
        documents = [
            Document(entry["text"], id=entry["id"], metadata=entry["metadata"])
            for entry in content["documents"]
        ]
        fits = vectors.dtype == np.float32 and vectors.ndim == 2 and len(vectors) == len(documents)
        if not fits or any(document.id is None for document in documents):
            raise ValueError("vectors and documents do not match")
        return Saved(content["similarity"], documents, vectors)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{file} cannot be read as a saved store: {error}") from error


def _json(document: Document) -> dict[str, Any]:
    try:
        json.dumps(document.metadata)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"the metadata of document {document.id!r} cannot be saved as JSON: {error}"
        ) from error
    return {"id": document.id, "text": document.page_content, "metadata": document.metadata}


def check_same_embedder(saved: NDArray[np.float32], again: NDArray[np.float32]) -> None:
    """Compare a saved vector [d] with an embedder's vector of the same text.

    Raises:
        InputError: They differ too much to be from the same model.
    """
    # int8 and float32 weights of one model differ by less than a tenth; two models by more than one.
    if saved.shape != again.shape or np.linalg.norm(saved - again) > 0.3 * np.linalg.norm(again):
        raise InputError(
            "the store was made with another embedder than the one given; name that one, or index again"
        )
