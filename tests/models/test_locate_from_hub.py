from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.hub import COMMIT, Hub, commit_of, environment, serve_hub
from support.modern_models import write_modern_reranker
from support.processes import run_python
from support.tiny_models import change_json, write_embedder, write_modular, write_reranker, write_static

LOAD = """
    import sys
    from crossrank.errors import ModelError
    from crossrank.families.model import open_model

    try:
        folder = open_model(sys.argv[1], safetensors=len(sys.argv) > 2).path
        print(*sorted(f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()))
    except ModelError as error:
        print("refused:", error)
"""
SCORE = """
    import sys
    from crossrank.inference.cross_encoder import CrossEncoder

    print(CrossEncoder(sys.argv[1]).predict(("who bakes bread", "bakers bake bread")))
"""

OPTIONS = """
    import json, sys
    from crossrank.errors import ModelError
    from crossrank.inference.cross_encoder import CrossEncoder

    try:
        model = CrossEncoder(sys.argv[1], **json.loads(sys.argv[2]))
        print(model.path, model.predict(("who bakes bread", "bakers bake bread")))
    except ModelError as error:
        print("refused:", error)
"""


def run(hub: Hub, home: Path, code: str, name: str, *more: str, **changes: str) -> str:
    """Code with this Hub and an empty cache of its own, and no other network settings."""
    return run_python(code, name, *more, environment=environment(hub, home) | changes).strip()


def test_model_is_downloaded_by_name_and_then_found_without_the_hub(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    local = run_python(SCORE, str(folder)).strip()
    with serve_hub(tiny=folder) as hub:
        assert run(hub, tmp_path / "home", SCORE, "tests/tiny") == local
        downloaded = sorted(hub.downloads)
        assert run(hub, tmp_path / "home", SCORE, "tests/tiny") == local
        assert sorted(hub.downloads) == downloaded
        hub.requests.clear()
        assert run(hub, tmp_path / "home", SCORE, "tests/tiny", CROSSRANK_OFFLINE="1") == local
        assert hub.requests == []
    assert downloaded == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert run(hub, tmp_path / "home", SCORE, "tests/tiny") == local


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """A repository with the same weights in every format there is."""
    folder = write_embedder(tmp_path / "model", dense="torch.nn.modules.activation.Tanh")
    for extra in (
        *("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "rust_model.ot", "train.parquet"),
        *("2_Dense/pytorch_model.bin", "onnx/model.onnx", "onnx/model.onnx_data", "onnx/model_O3.onnx"),
        *("openvino/openvino_model.xml", "openvino/openvino_model.bin"),
        *("openvino/openvino_model_qint8_quantized.xml", "openvino/openvino_model_qint8_quantized.bin"),
        *("runs/events/deep.json", "deep/er/model.safetensors", "README.md", ".gitattributes"),
    ):
        (folder / extra).parent.mkdir(parents=True, exist_ok=True)
        (folder / extra).write_text(f"{extra} of its own")
    return folder


SMALL = {
    "1_Pooling/config.json",
    "2_Dense/config.json",
    "README.md",
    "config.json",
    "modules.json",
    "sentence_bert_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
}


@pytest.mark.parametrize(
    ("family", "without", "weights"),
    [
        ("bert", "", {"model.safetensors", "2_Dense/model.safetensors"}),
        ("strange", "", {"onnx/model.onnx", "onnx/model.onnx_data"}),
        ("strange", "onnx", {"openvino/openvino_model.xml", "openvino/openvino_model.bin"}),
    ],
)
def test_only_the_small_files_and_one_kind_of_weights_are_downloaded(
    family: str, without: str, weights: set[str], crowded: Path, tmp_path: Path
) -> None:
    change_json(crowded / "config.json", model_type=family)
    if without:
        for file in (crowded / without).iterdir():
            file.unlink()
    with serve_hub(crowded=crowded) as hub:
        found = run(hub, tmp_path / "home", LOAD, "tests/crowded")
    assert set(found.split()) == set(hub.downloads) == SMALL | weights


EMBED = """
    import sys
    from crossrank.inference.bi_encoder import BiEncoder

    print(BiEncoder(sys.argv[1]).encode_queries(["bread at night"]).sum())
"""


def test_modules_of_a_reranker_are_downloaded_and_found_without_the_hub(tmp_path: Path) -> None:
    folder = write_modular(tmp_path / "model")
    local = run_python(SCORE, str(folder)).strip()
    with serve_hub(ettin=folder) as hub:
        assert run(hub, tmp_path / "home", SCORE, "tests/ettin") == local
        assert {"2_Dense/model.safetensors", "3_LayerNorm/model.safetensors"} < set(hub.downloads)
        assert run(hub, tmp_path / "home", SCORE, "tests/ettin", CROSSRANK_OFFLINE="1") == local


@pytest.mark.parametrize("place", ["", "0_StaticEmbedding"])
def test_static_embedder_is_downloaded_and_found_without_the_hub(place: str, tmp_path: Path) -> None:
    folder = write_static(tmp_path / "model", place=place)
    local = run_python(EMBED, str(folder)).strip()
    with serve_hub(static=folder) as hub:
        assert run(hub, tmp_path / "home", EMBED, "tests/static") == local
        assert run(hub, tmp_path / "home", EMBED, "tests/static", CROSSRANK_OFFLINE="1") == local


def test_safetensors_are_downloaded_for_a_gpu_also_where_an_export_is_there(
    crowded: Path, tmp_path: Path
) -> None:
    change_json(crowded / "config.json", model_type="strange")
    home, expected = tmp_path / "home", SMALL | {"model.safetensors", "2_Dense/model.safetensors"}
    with serve_hub(crowded=crowded) as hub:
        run(hub, home, LOAD, "tests/crowded")
        hub.downloads.clear()
        found = run(hub, home, LOAD, "tests/crowded", "for a GPU")
        assert expected <= set(found.split())
        assert set(hub.downloads) == {"model.safetensors", "2_Dense/model.safetensors"}
        assert run(hub, home, LOAD, "tests/crowded", "for a GPU", CROSSRANK_OFFLINE="1") == found


def test_model_with_files_that_are_not_needed_is_found_without_the_hub(crowded: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serve_hub(crowded=crowded) as hub:
        found = run(hub, home, LOAD, "tests/crowded")
        hub.requests.clear()
        assert run(hub, home, LOAD, "tests/crowded", CROSSRANK_OFFLINE="1") == found
        assert hub.requests == []
    assert run(hub, home, LOAD, "tests/crowded") == found, "the Hub cannot be reached"
    (weights,) = (home / "hub").glob("*/snapshots/*/model.safetensors")
    weights.unlink()
    assert "not in the local cache" in run(hub, home, LOAD, "tests/crowded", CROSSRANK_OFFLINE="1")


def test_repository_with_pickles_alone_is_refused_without_downloading_them(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with serve_hub(pickled=folder) as hub:
        message = run(hub, tmp_path / "home", LOAD, "tests/pickled")
    assert "only as pytorch_model.bin, a format that can run code" in message
    assert "pytorch_model.bin" not in hub.downloads


def test_name_that_nobody_has_is_refused_with_what_there_is(tmp_path: Path) -> None:
    with serve_hub() as hub:
        message = run(hub, tmp_path / "home", LOAD, "tests/missing")
    assert "tests/missing does not exist on the Hugging Face Hub" in message
    assert "all-MiniLM-L6-v2" in message


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ({}, "accept its terms there and set HF_TOKEN"),
        ({"HF_TOKEN": "hf_other"}, "accept its terms there with the account that the token belongs to"),
    ],
)
def test_gated_model_is_refused_with_what_to_do(token: dict[str, str], message: str, tmp_path: Path) -> None:
    with serve_hub(gated=write_reranker(tmp_path / "model")) as hub:
        hub.gated.add("tests/gated")
        output = run(hub, tmp_path / "home", LOAD, "tests/gated", **token)
    assert output == f"refused: tests/gated is gated on the Hugging Face Hub: {message}"


def test_token_that_the_hub_does_not_accept_is_an_error_that_says_so(tmp_path: Path) -> None:
    with serve_hub(tiny=write_reranker(tmp_path / "model")) as hub:
        hub.refused_tokens.add("hf_old")
        output = run(hub, tmp_path / "home", LOAD, "tests/tiny", HF_TOKEN="hf_old")
    assert "could not download tests/tiny: the Hugging Face Hub does not accept the token" in output
    assert len(output.splitlines()) == 1


def test_repository_that_was_moved_is_found_by_its_old_name(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    local = run_python(SCORE, str(folder)).strip()
    with serve_hub(new=folder) as hub:
        hub.moved["tests/old"] = "tests/new"
        assert run(hub, tmp_path / "home", SCORE, "tests/old") == local
        assert run(hub, tmp_path / "home", SCORE, "tests/old", CROSSRANK_OFFLINE="1") == local


def test_revision_is_the_one_that_is_asked_for(tmp_path: Path) -> None:
    home, folders = tmp_path / "home", {"main": write_reranker(tmp_path / "main")}
    folders["v2"] = write_modern_reranker(tmp_path / "v2", "modernbert")
    expected = {name: run_python(SCORE, str(folder)).strip() for name, folder in folders.items()}
    with serve_hub(tiny=folders["main"]) as hub:
        hub.revisions["tests/tiny"] = {"v2": folders["v2"]}
        for revision in ("v2", commit_of("v2"), "main"):
            found = run(hub, home, OPTIONS, "tests/tiny", json.dumps({"revision": revision}))
            assert found.endswith(expected["main" if revision == "main" else "v2"])
        unknown = run(hub, home, OPTIONS, "tests/tiny", '{"revision": "v9"}')
    assert unknown == "refused: tests/tiny has no revision 'v9' on the Hugging Face Hub"


@pytest.mark.parametrize("family", ["deberta-v2", "modernbert", "new"])
def test_new_layout_is_downloaded_without_code_and_found_without_the_hub(family: str, tmp_path: Path) -> None:
    folder = write_modern_reranker(tmp_path / "model", family)
    for file in ("modeling.py", "configuration.py", "pytorch_model.bin", "onnx/model.onnx"):
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text("raise SystemExit('this code was run')")
    local = run_python(SCORE, str(folder)).strip()
    with serve_hub(new=folder) as hub:
        assert run(hub, tmp_path / "home", SCORE, "tests/new") == local
        assert run(hub, tmp_path / "home", SCORE, "tests/new", CROSSRANK_OFFLINE="1") == local
    assert sorted(hub.downloads) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_repository_without_a_tokenizer_json_is_refused_with_what_to_do(tmp_path: Path) -> None:
    folder = write_modular(tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    with serve_hub(old=folder) as hub:
        output = run(hub, tmp_path / "home", OPTIONS, "tests/old", "{}")
    assert output.startswith("refused: tests/old has no tokenizer.json. Write one with transformers")
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize("variable", ["CROSSRANK_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_is_an_error_that_names_the_setting_and_asks_nobody(variable: str, tmp_path: Path) -> None:
    with serve_hub(tiny=write_reranker(tmp_path / "model")) as hub:
        message = run(hub, tmp_path / "home", LOAD, "tests/tiny", **{variable: "1"})
    assert "not in the local cache, and the network is off" in message
    assert hub.requests == []


def test_hub_that_cannot_be_reached_is_an_error_with_what_to_do(tmp_path: Path) -> None:
    with serve_hub() as hub:
        pass
    message = run(hub, tmp_path / "home", LOAD, "tests/tiny")
    assert "could not download tests/tiny" in message
    assert "Check the connection, or give a local folder" in message


def test_revision_is_pinned_to_one_commit(tmp_path: Path) -> None:
    with serve_hub(tiny=write_reranker(tmp_path / "model")) as hub:
        run(hub, tmp_path / "home", LOAD, "tests/tiny")
    assert (tmp_path / "home" / "hub" / "models--tests--tiny" / "snapshots" / COMMIT).is_dir()


def test_options_of_the_hub_are_passed_on(tmp_path: Path) -> None:
    home, cache = tmp_path / "home", tmp_path / "cache"
    options = {"revision": "v2", "token": "hf_secret", "cache_folder": str(cache)}
    offline = json.dumps(options | {"local_files_only": True})
    with serve_hub(tiny=write_reranker(tmp_path / "model")) as hub:
        found = run(hub, home, OPTIONS, "tests/tiny", json.dumps(options))
        assert found.startswith(str(cache / "models--tests--tiny" / "snapshots" / COMMIT))
        assert hub.tokens == {"Bearer hf_secret"}
        assert all("/v2" in request or COMMIT in request for request in hub.requests), hub.requests
        assert not (home / "hub").exists()
        hub.requests.clear()
        assert run(hub, home, OPTIONS, "tests/tiny", offline) == found
        elsewhere = run(hub, home, OPTIONS, "tests/tiny", '{"local_files_only": true}')
        assert "not in the local cache" in elsewhere
        assert hub.requests == []


def test_cache_of_sentence_transformers_is_used_where_it_is_set(tmp_path: Path) -> None:
    home, cache = tmp_path / "home", str(tmp_path / "cache")
    with serve_hub(tiny=write_reranker(tmp_path / "model")) as hub:
        found = run(hub, home, OPTIONS, "tests/tiny", "{}", SENTENCE_TRANSFORMERS_HOME=cache)
    assert found.startswith(cache)


def test_name_without_an_owner_is_one_of_the_organisation_cross_encoder(tmp_path: Path) -> None:
    with serve_hub(tiny=write_reranker(tmp_path / "model")) as hub:
        hub.models["cross-encoder/tiny"] = hub.models["tests/tiny"]
        assert "models--cross-encoder--tiny" in run(hub, tmp_path / "home", OPTIONS, "tiny", "{}")
