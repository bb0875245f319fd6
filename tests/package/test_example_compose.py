"""examples/compose.yaml without Docker: its commands run in order, with the folders of its volumes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.front import call
from support.serving import serving

ROOT = Path(__file__).parents[2]
FILE = ROOT / "examples" / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
INDEX, SERVER = COMPOSE["services"]["index"], COMPOSE["services"]["server"]
KEY = "correct-horse-battery"


def mounts(service: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Folder in the container to what is mounted there, and whether it can be written to."""
    found = {}
    for volume in service["volumes"]:
        # A variable with its message may contain colons.
        source, target, mode = re.fullmatch(r"(\$\{.*?\}|[^:]+):([^:]+)(:ro)?", volume).groups()  # type: ignore[union-attr]
        found[target] = source, mode is None
    return found


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """The folders of the containers, on this machine."""
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "bread.txt").write_text("Bakers get up at three to bake the bread.")
    (tmp_path / "data").mkdir()
    return {target: tmp_path / target.strip("/") for target in mounts(INDEX)}


def command(service: dict[str, Any], folders: dict[str, Path]) -> list[str]:
    """A service's command, with the folders of this machine."""
    words = list(service["command"])
    for target, folder in folders.items():
        words = [re.sub(rf"^{target}(?=/|$)", str(folder).replace("\\", "/"), word) for word in words]
    return [sys.executable, "-m", "crossrank", *words]


def test_both_services_run_the_image_of_the_repository() -> None:
    build = INDEX["build"]
    context = (FILE.parent / build["context"]).resolve()
    assert context == ROOT
    assert (context / build["dockerfile"]).is_file()
    assert INDEX["image"] == SERVER["image"]
    assert SERVER["depends_on"] == {"index": {"condition": "service_completed_successfully"}}


def test_only_the_index_is_written_to_and_only_by_the_service_that_makes_it() -> None:
    source, writable = mounts(INDEX)["/documents"]
    assert source.startswith("${DOCUMENTS:?")
    assert not writable
    assert mounts(INDEX)["/data"] == ("index", True)
    assert mounts(SERVER) == {"/data": ("index", False)}
    assert list(COMPOSE["volumes"]) == ["index"]
    assert INDEX["read_only"]
    assert SERVER["read_only"]
    assert "user" not in SERVER  # the image's, which is not root


def test_without_a_key_or_documents_nothing_starts() -> None:
    assert re.fullmatch(r"\$\{CROSSRANK_API_KEY:\?.+\}", SERVER["environment"]["CROSSRANK_API_KEY"])
    assert list(SERVER["environment"]) == ["CROSSRANK_API_KEY"]
    (port,) = SERVER["ports"]
    assert port == "127.0.0.1:8080:8080"


def test_the_commands_make_an_index_and_search_it(folders: dict[str, Path]) -> None:
    subprocess.run(command(INDEX, folders), check=True, capture_output=True)
    # The server is another user: it has to be able to read all of it.
    made = list((folders["/data"] / "my-index").iterdir())
    assert made
    assert os.name == "nt" or all(file.stat().st_mode & 0o444 == 0o444 for file in made)
    serve = [*command(SERVER, {"/data": folders["/data"]}), "--port", "0"]
    with serving(command=serve, environment={"CROSSRANK_API_KEY": KEY}) as served:
        body = json.dumps({"query": "When do bakers get up?"}).encode()
        headers = {"Content-Type": "application/json"}
        assert call(f"{served.url}/search", body, headers)[0] == 401
        status, answer, _ = call(f"{served.url}/search", body, {**headers, "Authorization": f"Bearer {KEY}"})
        assert status == 200
        assert json.loads(answer)["hits"][0]["text"].startswith("Bakers get up at three")
        # The check of its health, which has no key: with the server, and without.
        kind, program, *rest = SERVER["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "python")
        port = served.url.rpartition(":")[2]
        for reached, expected in ((port, 0), ("1", 1)):
            check = [part.replace(":8080/", f":{reached}/") for part in rest]
            done = subprocess.run([sys.executable, *check], capture_output=True, check=False)
            assert done.returncode == expected, done.stderr
