"""The wheel: built, installed in a clean environment, used from elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_works_in_a_clean_environment(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "crossrank/py.typed" in names
    assert sum(name.endswith("model.safetensors") for name in names) == 2
    assert any(name.endswith("licenses/NOTICE") for name in names)
    page = {
        path.name for path in (ROOT / "src" / "crossrank" / "server" / "page").iterdir() if path.is_file()
    }
    assert {"index.html", "page.css", "page.js"} <= page
    assert {f"crossrank/server/page/{name}" for name in page} <= set(names)

    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    python = tmp_path / "env" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-compile", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    installed = subprocess.run([str(python), "-m", "pip", "list"], check=True, capture_output=True, text=True)
    packages = {line.split()[0].lower() for line in installed.stdout.splitlines()}
    assert not packages & {"torch", "langchain-core", "transformers", "fastapi", "boto3", "scipy", "pandas"}
    demo = subprocess.run(
        [str(tmp_path / "env" / "bin" / "crossrank"), "demo", "--json"],
        check=True, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert json.loads(demo.stdout)["hits"][0]["document"]["id"] == "potatoes#7"
