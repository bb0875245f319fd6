"""What importing costs, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_importing_takes_under_a_tenth_of_a_second() -> None:
    code = "import time; t = time.perf_counter(); import crossrank; print(time.perf_counter() - t)"
    assert min(float(python(code)) for _ in range(3)) < 0.1


def test_importing_loads_no_heavy_library() -> None:
    heavy = {
        "numpy",
        "openvino",
        "faiss",
        "tokenizers",
        "huggingface_hub",
        "rich",
    }
    assert not heavy & set(python("import crossrank, sys; print(*sys.modules)").split())


def test_every_public_name_can_be_imported() -> None:
    python("import crossrank; [getattr(crossrank, name) for name in crossrank.__all__]")


def test_an_unknown_name_is_an_attribute_error() -> None:
    code = "import crossrank\ntry: crossrank.Nothing\nexcept AttributeError as error: print(error)"
    assert "Nothing" in python(code)
