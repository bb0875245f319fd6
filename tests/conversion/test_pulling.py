from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.hub import COMMIT, environment, serve_hub
from support.onnx_models import export, strange_family
from support.processes import run_python
from support.tiny_models import (
    FAMILIES,
    PAIRS,
    TEXTS,
    add_outliers,
    save,
    write_embedder,
    write_json,
    write_reranker,
)

from crossrank.conversion import WeightFormat, pulling
from crossrank.conversion.pulling import pull_model
from crossrank.conversion.quantise import write_int8
from crossrank.errors import InputError, ModelError
from crossrank.families.model import open_model
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.sample_texts import sample_candidates
from crossrank.models.locate import bundled_models
from crossrank.models.weights import Weights

SAMPLE_PAIRS = [(query, text) for query, texts in sample_candidates() for text in texts]


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_int8_copy_of_a_reranker_scores_as_the_report_says(family: str, tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model", family)
    report = pull_model(folder, tmp_path / "copy")
    expected = CrossEncoder(folder).logits(SAMPLE_PAIRS)[0]
    difference = np.abs(CrossEncoder(tmp_path / "copy").logits(SAMPLE_PAIRS)[0] - expected)
    assert report.accepted
    assert (report.kind, report.parity.pairs) == ("cross-encoder", len(SAMPLE_PAIRS))
    assert report.parity.largest_difference == pytest.approx(difference.max(), rel=1e-6)
    assert report.parity.mean_difference == pytest.approx(difference.mean(), rel=1e-5)
    assert 0.98 < report.parity.spearman < 1
    assert Weights(tmp_path / "copy").is_int8
    assert report.copy_size < report.original_size


def test_int8_copy_of_an_embedder_gives_vectors_as_the_report_says(tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "model", dense="torch.nn.modules.activation.Tanh")
    report = pull_model(folder, tmp_path / "copy")
    models = BiEncoder(folder), BiEncoder(tmp_path / "copy")
    queries = [query for query, _ in sample_candidates()]
    texts = list(dict.fromkeys(text for _, text in SAMPLE_PAIRS))
    vectors = [np.concatenate([m.encode_queries(queries), m.encode_documents(texts)]) for m in models]
    cosines = (vectors[0] * vectors[1]).sum(1)
    assert report.accepted
    assert report.kind == "bi-encoder"
    assert report.parity.lowest_cosine == pytest.approx(cosines.min(), abs=1e-5)
    assert report.parity.mean_cosine == pytest.approx(cosines.mean(), abs=1e-5)
    assert Weights(tmp_path / "copy").is_int8


@pytest.mark.parametrize("name", bundled_models())
def test_bundled_model_stays_as_it_is_in_int8(name: str, tmp_path: Path) -> None:
    report = pull_model(name, tmp_path / "copy")
    assert (report.model, report.revision) == (name, None)
    assert report.parity.largest_difference < 1e-4
    assert report.parity.top_10_agreement == 1
    card = (tmp_path / "copy" / "README.md").read_text()
    assert "license: apache-2.0" in card, "the publisher's card comes along"
    assert f"Made by `crossrank pull --weight-format int8` from `{name}`" in card


def test_copy_that_ranks_too_differently_is_not_kept(tmp_path: Path) -> None:
    folder = add_outliers(write_reranker(tmp_path / "model"))
    report = pull_model(folder, tmp_path / "copy")
    assert not report.accepted
    assert report.parity.spearman < 0.98
    assert [file.name for file in tmp_path.iterdir()] == ["model"]
    assert pull_model(folder, tmp_path / "copy", "fp32").accepted


def test_failure_in_the_middle_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("a full disk")

    folder = write_reranker(tmp_path / "model")
    monkeypatch.setattr(pulling, "compare", fail)
    with pytest.raises(OSError, match="full disk"):
        pull_model(folder, tmp_path / "copy")
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_copy_has_no_name_before_it_was_compared(tmp_path: Path) -> None:
    steps: dict[str, bool] = {}
    folder = write_reranker(tmp_path / "model")
    pull_model(
        folder, tmp_path / "copy", on_step=lambda step: steps.update({step: (tmp_path / "copy").exists()})
    )
    assert steps == {
        f"finding {folder}": False,
        "writing int8": False,
        "comparing with the original": False,
        "measuring speed": False,
    }
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy", "model"]


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_existing_output_is_refused_and_stays(kind: str, tmp_path: Path) -> None:
    folder, target = write_reranker(tmp_path / "model"), tmp_path / "copy"
    if kind == "folder":
        target.mkdir()
    elif kind == "file":
        target.write_text("mine")
    else:
        target.symlink_to("nowhere")
    before = target.lstat()
    with pytest.raises(InputError, match="copy exists, and nothing is written over"):
        pull_model(folder, target)
    assert target.lstat() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy", "model"]


@pytest.mark.parametrize("output", ["nowhere/copy", "x" * 300])
def test_output_that_cannot_be_written_is_refused(output: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no folder .*nowhere|cannot be written"):
        pull_model(write_reranker(tmp_path / "model"), tmp_path / output)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "~nobody-at-all/x", "", "./missing"])
def test_name_that_can_be_no_model_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((InputError, ModelError)):
        pull_model(name)


def test_weight_format_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="int8 or fp32; it is 'int4'"):
        pull_model(write_reranker(tmp_path / "model"), weight_format="int4")  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "expected"), [("../model", "model-fp32"), (".", "here-fp32")])
def test_default_output_is_named_after_the_model(
    name: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_reranker(tmp_path / "model")
    monkeypatch.chdir(write_reranker(tmp_path / "here"))
    assert pull_model(name, weight_format="fp32").folder == Path(expected)
    assert CrossEncoder(tmp_path / "here" / expected).name.endswith(expected)


def test_model_with_an_export_alone_is_refused_in_int8_and_copied_in_fp32(tmp_path: Path) -> None:
    folder = strange_family(tmp_path / "model")
    export(folder / "onnx" / "model.onnx", "logits")
    with pytest.raises(ModelError, match=r"int8 needs safetensors of .*--weight-format fp32"):
        pull_model(folder, tmp_path / "copy")
    report = pull_model(folder, tmp_path / "copy", "fp32")
    expected = CrossEncoder(folder).logits(list(PAIRS))[0]
    np.testing.assert_array_equal(CrossEncoder(tmp_path / "copy").logits(list(PAIRS))[0], expected)
    assert report.accepted
    assert (tmp_path / "copy" / "onnx" / "model.onnx").is_file()


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="can run code"):
        pull_model(folder, tmp_path / "copy")


def test_fp32_takes_what_is_needed_as_it_is(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    write_int8(open_model(folder), folder / "int8")
    export(folder / "onnx" / "model.onnx", "logits")
    for extra in ("pytorch_model.bin", "code/inference.py", "training.png"):
        (folder / extra).parent.mkdir(exist_ok=True)
        (folder / extra).write_text("not needed")
    pull_model(folder, tmp_path / "copy", "fp32")
    copied, source = files_of(tmp_path / "copy"), files_of(folder)
    assert copied.keys() == {
        *("README.md", "config.json", "crossrank.json", "model.safetensors"),
        *("tokenizer.json", "tokenizer_config.json"),
    }
    assert all(copied[name] == source[name] for name in copied.keys() & source.keys())


@pytest.mark.parametrize("stored", ["float16", "int8"])
def test_fp32_of_smaller_weights_is_float32(stored: str, tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "float32")
    if stored == "int8":
        write_int8(open_model(folder), tmp_path / "model")
    else:
        shutil.copytree(folder, tmp_path / "model")
        halves = {name: v.astype(np.float16) for name, v in load_file(folder / "model.safetensors").items()}
        save(tmp_path / "model", halves)
    pull_model(tmp_path / "model", tmp_path / "copy", "fp32")
    tensors = load_file(tmp_path / "copy" / "model.safetensors")
    assert tensors.keys() == load_file(folder / "model.safetensors").keys()
    assert {values.dtype for values in tensors.values()} == {np.dtype(np.float32)}
    source = Weights(tmp_path / "model")
    assert all((values == source.float32(name)).all() for name, values in tensors.items())
    assert "probe" not in json.loads((tmp_path / "copy" / "crossrank.json").read_text())


@pytest.mark.parametrize("weight_format", ["int8", "fp32"])
def test_copy_keeps_what_its_original_is_known_for_by_name(
    weight_format: WeightFormat, tmp_path: Path
) -> None:
    two_labels = write_reranker(tmp_path / "pt-bert-base-uncased-msmarco", labels=2)
    pull_model(two_labels, tmp_path / "reranker", weight_format)
    assert CrossEncoder(tmp_path / "reranker").scoring == CrossEncoder(two_labels).scoring
    dot = write_embedder(tmp_path / "tiny-dot-v1", normalize=False)
    pull_model(dot, tmp_path / "embedder", weight_format)
    assert BiEncoder(tmp_path / "embedder").similarity == BiEncoder(dot).similarity == "dot"


def test_copy_is_the_same_when_it_is_made_again(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    pull_model(folder, tmp_path / "first")
    pull_model(folder, tmp_path / "again")
    assert files_of(tmp_path / "first") == files_of(tmp_path / "again")


def test_copy_says_where_it_came_from_and_keeps_the_original_s_settings(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    weights = {"logit": 1.0, "similarity": 2.0, "constant": 0.0}
    kept = {"embedder": "all-MiniLM-L6-v2", "fingerprint": "8f14e45f", "weights": [weights]}
    write_json(
        folder / "crossrank.json", {"interpolation": kept, "origin": {"model": "older"}, "probe": [[0]]}
    )
    report = pull_model(folder, tmp_path / "copy")
    saved = json.loads((tmp_path / "copy" / "crossrank.json").read_text())
    origin = saved["origin"]
    assert (origin["model"], origin["weight_format"]) == ("model", "int8"), "no path of this machine"
    assert origin["parity"]["spearman"] == pytest.approx(report.parity.spearman, abs=1e-6)
    assert saved["interpolation"] == kept
    # What the loader compares fast arithmetic with: the copy's own outputs in float32.
    assert np.shape(saved["probe"]) == (4, 1)
    assert saved["probe"] != [[0]]
    assert CrossEncoder(tmp_path / "copy").notices == ()


def test_weights_can_be_read_by_whoever_reads_the_configuration(tmp_path: Path) -> None:
    pull_model(write_reranker(tmp_path / "model"), tmp_path / "copy")
    modes = {file.stat().st_mode for file in (tmp_path / "copy").iterdir()}
    assert len(modes) == 1
    assert modes.pop() & 0o400


PULL = """
    import json, sys
    from crossrank.conversion.pulling import pull_model

    print(json.dumps(pull_model(sys.argv[1], sys.argv[2]).as_dict()))
"""


def test_model_of_the_hub_is_pulled_at_one_commit_with_what_is_needed(tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "model")
    for extra in ("pytorch_model.bin", "onnx/model.onnx", "openvino/openvino_model.xml"):
        (folder / extra).parent.mkdir(exist_ok=True)
        (folder / extra).write_text("not needed")
    with serve_hub(tiny=folder) as hub:
        settings = environment(hub, tmp_path / "home")
        first = json.loads(run_python(PULL, "tests/tiny", str(tmp_path / "copy"), environment=settings))
        downloaded = set(hub.downloads)
        hub.requests.clear()
        offline = settings | {"CROSSRANK_OFFLINE": "1"}
        run_python(PULL, "tests/tiny", str(tmp_path / "offline"), environment=offline)
        assert hub.requests == []
    assert (first["model"], first["revision"], first["accepted"]) == ("tests/tiny", COMMIT, True)
    assert "model.safetensors" in downloaded
    assert not {name for name in downloaded if name.startswith(("onnx", "openvino", "pytorch"))}
    assert files_of(tmp_path / "copy") == files_of(tmp_path / "offline")
    origin = json.loads((tmp_path / "copy" / "crossrank.json").read_text())["origin"]
    assert (origin["model"], origin["revision"]) == ("tests/tiny", COMMIT)
    assert BiEncoder(tmp_path / "copy").encode_documents(TEXTS).shape == (len(TEXTS), 32)
