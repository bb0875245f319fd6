"""A model's name to the folder that holds its files: bundled, local, or from the Hugging Face Hub."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from crossrank.errors import MissingModelError, ModelError
from crossrank.settings import is_offline

DEFAULT_CROSS_ENCODER = "crossrank-minilm-l6"
DEFAULT_BI_ENCODER = "all-MiniLM-L6-v2"

ReadsSafetensors: TypeAlias = Callable[[Mapping[str, Any]], bool]
"""Whether the weights of a model with this config.json are read from safetensors, else from an export."""
# Where an exported graph may lie in a model's folder; the first is preferred.
EXPORTS = ("onnx/model.onnx", "model.onnx", "openvino/openvino_model.xml", "openvino_model.xml")

_BUNDLED = Path(__file__).parent / "bundled"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
# Everything but weights that a model folder may need; small files, taken together.
_SMALL_FILES = re.compile(r"(?:[^/]+/)?[^/]+\.json|[^/]+\.jinja|README\.md")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")


@dataclass(frozen=True, slots=True)
class Hub:
    """How models are fetched from the Hugging Face Hub.

    Attributes:
        cache_folder: Where they are kept; by default SENTENCE_TRANSFORMERS_HOME, else the client's own cache.
        revision: A branch, tag or commit.
        token: A token, False for none; by default HF_TOKEN or the one that was saved.
        local_files_only: Do not download.
        organisation: Whose a name without an owner is.
    """

    cache_folder: str | Path | None = None
    revision: str | None = None
    token: bool | str | None = None
    local_files_only: bool = False
    organisation: str | None = None

    @property
    def is_offline(self) -> bool:
        """Whether nothing may be downloaded."""
        return self.local_files_only or is_offline()

    @property
    def where(self) -> dict[str, Any]:
        """Revision and cache, as the Hub's client takes them."""
        return {
            "revision": self.revision,
            "cache_dir": self.cache_folder or os.environ.get("SENTENCE_TRANSFORMERS_HOME"),
        }


DEFAULT_HUB = Hub()


def bundled_models() -> tuple[str, ...]:
    """Names of the models that come with the package."""
    return tuple(sorted(folder.name for folder in _BUNDLED.iterdir() if (folder / "config.json").is_file()))


def locate_model(
    name: str | Path,
    *,
    reads_safetensors: ReadsSafetensors = lambda config: True,
    hub: Hub = DEFAULT_HUB,
) -> Path:
    """Find a model's folder, downloading it once where it is a Hub name.

    A bundled name wins over a local folder of that name; write ``./name`` for the folder.

    Args:
        name: A bundled model, a local folder, or a repository on the Hugging Face Hub (``owner/name``).
        reads_safetensors: Which weights to download, where there is a choice: safetensors, the default, or an
            export.
        hub: How to fetch it.

    Returns:
        A folder with the model's files.

    Raises:
        ModelError: There is no such model, or it cannot be reached, or it holds no usable weights.

    Example:
        >>> locate_model("all-MiniLM-L6-v2").name
        'all-MiniLM-L6-v2'
    """
    text = str(name)
    if isinstance(name, str) and text in bundled_models():
        return _BUNDLED / text
    try:
        folder = Path(name).expanduser()
        if text and folder.is_dir():
            return folder
        is_file = folder.is_file()
    except (OSError, RuntimeError) as error:  # too long for a path, or the home of nobody
        raise ModelError(f"there is no model {text[:80]!r}: {_first_line(error)}. {_choices()}") from error
    if is_file:
        raise ModelError(f"{text} is a file; a model is a folder with config.json, a tokenizer and weights")
    looks_local = text.startswith((".", "/", "~")) or "\\" in text or not _REPOSITORY.fullmatch(text)
    if looks_local or "--" in text or ".." in text:
        raise MissingModelError(f"there is no model folder {text!r}. {_choices()}")
    if hub.organisation and "/" not in text:
        text = f"{hub.organisation}/{text}"
    return _from_hub(text, reads_safetensors, hub)


def revision_of(folder: Path) -> str | None:
    """The commit that a folder of the Hub's cache holds; None for another folder.

    Example:
        >>> revision_of(Path("hub/models--owner--name/snapshots/0123abc"))
        '0123abc'
    """
    return folder.name if folder.parent.name == "snapshots" else None


def _choices() -> str:
    return (
        f"Use a bundled model ({', '.join(bundled_models())}), a local folder, "
        "or a Hugging Face name such as BAAI/bge-reranker-base."
    )


def _from_hub(name: str, reads_safetensors: ReadsSafetensors, hub: Hub) -> Path:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # huggingface_hub costs a fifth of a second to import, which bundled and local models should not pay.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        if hub.is_offline:
            return _from_cache(name, reads_safetensors, hub)
        wanted = _files_to_download(name, reads_safetensors, hub)
        return Path(snapshot_download(name, allow_patterns=wanted, token=hub.token, **hub.where))
    except GatedRepoError as error:
        raise ModelError(
            f"{name} is gated on the Hugging Face Hub: accept its terms there "
            + ("and set HF_TOKEN" if _status(error) == 401 else "with the account that the token belongs to")
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"{name} does not exist on the Hugging Face Hub, or is private (then set HF_TOKEN). {_choices()}"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(f"{name} has no revision {hub.revision!r} on the Hugging Face Hub") from error
    except ModelError:
        raise
    except Exception as error:  # the Hub client passes on its HTTP library's own errors, whichever that is
        cached = _cached(name, reads_safetensors, hub)
        if cached is not None:
            return cached
        if hub.is_offline:
            raise ModelError(
                f"{name} is not in the local cache, and the network is off (CROSSRANK_OFFLINE, "
                f"HF_HUB_OFFLINE or local_files_only). {_choices()}"
            ) from error
        if _status(error) == 401:
            raise ModelError(
                f"could not download {name}: the Hugging Face Hub does not accept the token (HF_TOKEN, "
                "token= or a saved one)"
            ) from error
        raise ModelError(
            f"could not download {name}: {_first_line(error)}. Check the connection, or give a local folder."
        ) from error


def _cached(name: str, reads_safetensors: ReadsSafetensors, hub: Hub) -> Path | None:
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = _from_cache(name, reads_safetensors, hub)
    except (LocalEntryNotFoundError, OSError):
        return None
    return folder if any((folder / name).is_file() for name in ("config.json", "modules.json")) else None


def _from_cache(name: str, reads_safetensors: ReadsSafetensors, hub: Hub) -> Path:
    """A model's folder in the cache, whole as far as it is needed.

    Raises:
        LocalEntryNotFoundError: It is not there, or lacks files that are needed.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, local_files_only=True, **hub.where))
        files = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
    except LocalEntryNotFoundError as error:
        # Since 1.28, the client knows all files of the repository, and treats a snapshot without files that
        # were never requested as incomplete.
        if not hasattr(error, "snapshot_path"):
            raise
        from huggingface_hub import get_cached_repo_tree

        folder = Path(error.snapshot_path)
        files = [file.path for file in get_cached_repo_tree(name, **hub.where)]
    safetensors = reads_safetensors(_read_config(str(folder / "config.json")))
    wanted = needed_files(files, safetensors=safetensors)
    if wanted is None and any(file.endswith(PICKLES) for file in files):
        return folder  # whoever opens it says what is wrong with pickles
    if wanted is None or not all((folder / file).is_file() for file in wanted):
        raise LocalEntryNotFoundError(f"{name} is in the cache in parts")
    return folder


def _files_to_download(name: str, reads_safetensors: ReadsSafetensors, hub: Hub) -> list[str]:
    """The small files and one kind of weights: safetensors where a graph reads them, else an export."""
    from huggingface_hub import HfApi, hf_hub_download

    # One request, not retried: without a network the answer should come at once.
    siblings = HfApi(token=hub.token).model_info(name, revision=hub.revision, timeout=20).siblings or []
    files = [sibling.rfilename for sibling in siblings]
    config = (
        _read_config(hf_hub_download(name, "config.json", token=hub.token, **hub.where))
        if "config.json" in files
        else {}
    )
    wanted = needed_files(files, safetensors=reads_safetensors(config))
    if wanted is None:
        raise ModelError(no_usable_weights(name, [file for file in files if file.endswith(PICKLES)]))
    return wanted


def needed_files(files: list[str], *, safetensors: bool) -> list[str] | None:
    """Which of a model's files it takes to run it: the small ones and one kind of weights.

    Args:
        files: Paths inside the model's folder or repository, with forward slashes.
        safetensors: Whether safetensors are read, also where there is an export.

    Returns:
        The files; None where no weights can be used.

    Example:
        >>> needed_files(["config.json", "model.safetensors", "pytorch_model.bin"], safetensors=True)
        ['config.json', 'model.safetensors']
    """
    small = [file for file in files if _SMALL_FILES.fullmatch(file)]
    # A sentence-transformers embedder may have dense layers with weights of their own, one folder down.
    tensors = [file for file in files if file.endswith(".safetensors") and file.count("/") < 2]
    exports = [file for file in EXPORTS if file in files]
    if "0_StaticEmbedding/model.safetensors" in tensors:
        return small + tensors
    if any("/" not in file for file in tensors) and (safetensors or not exports):
        return small + tensors
    return small + _parts_of(PurePosixPath(exports[0]), files) if exports else None


def _parts_of(export: PurePosixPath, files: list[str]) -> list[str]:
    """An exported graph and its weights, which may be in separate files next to it."""
    neighbours = [file for file in files if PurePosixPath(file).parent == export.parent]
    if export.suffix == ".xml":
        return [file for file in neighbours if file in {str(export), str(export.with_suffix(".bin"))}]
    parts = [file for file in neighbours if file.startswith(str(export))]
    if str(export.parent) != ".":
        # Exports of large models keep tensors in files named after them, without an ending.
        parts += [file for file in neighbours if not PurePosixPath(file).suffix]
    return parts


def _read_config(file: str) -> dict[str, Any]:
    try:
        config = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def no_usable_weights(name: str, pickles: list[str]) -> str:
    """The message for a model without safetensors, ONNX or OpenVINO files."""
    if not pickles:
        return f"{name} has no weights: expected model.safetensors, or an ONNX or OpenVINO file"
    return (
        f"{name} has its weights only as {pickles[0]}, a format that can run code when it is opened, which "
        "crossrank never does. Convert it once where you trust it: "
        "transformers' AutoModelForSequenceClassification.from_pretrained(...).save_pretrained(FOLDER)"
    )


def _status(error: BaseException) -> int | None:
    """The status of the answer that an error is about, if there was one."""
    return getattr(getattr(error, "response", None), "status_code", None)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
