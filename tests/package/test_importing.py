"""What importing costs, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_importing_loads_nothing_but_the_package_and_the_standard_library() -> None:
    before, after = (
        set(python(f"{code}import sys; print(*sys.modules)").split()) for code in ("", "import crossrank; ")
    )
    loaded = {name.partition(".")[0] for name in after - before}
    assert loaded - sys.stdlib_module_names == {"crossrank"}


def test_every_public_name_can_be_imported() -> None:
    python("import crossrank; [getattr(crossrank, name) for name in crossrank.__all__]")


def test_an_unknown_name_is_an_attribute_error() -> None:
    code = "import crossrank\ntry: crossrank.Nothing\nexcept AttributeError as error: print(error)"
    assert "Nothing" in python(code)


def test_a_search_imports_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    file = tmp_path / "tides.txt"
    file.write_text("The tide is high at noon.", encoding="utf-8")
    code = f"""
import sys
from pathlib import Path
sys.argv = ["crossrank", "search", "tides", {str(file)!r}, "--json"]
from crossrank.cli.main import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
    process = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(process.stderr.split())
    assert "openvino" in loaded
    assert not loaded & {
        "faiss",
        "rich",
        "huggingface_hub",
        "pathspec",
        "torch",
        "openvino.tools.ovc",
        "crossrank.server",
    }
