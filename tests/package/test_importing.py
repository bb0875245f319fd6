"""What importing costs, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys


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
