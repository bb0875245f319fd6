"""What a program written for sentence-transformers does with a cross-encoder, without PyTorch."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.tiny_models import PAIRS, TEXTS, change_json, write_embedder, write_json, write_reranker

from crossrank.errors import InputError, MissingExtraError, ModelError
from crossrank.inference.activations import sigmoid
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.ranking.reranker import Reranker

QUESTION, PROMPT = "who bakes bread", "question what: "
PROMPTED = [(PROMPT + query, passage) for query, passage in PAIRS]
NLI = {"id2label": {"0": "contradiction", "1": "entailment", "2": "neutral"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reranker(tmp_path_factory.mktemp("drop-in") / "reranker")


@pytest.fixture(scope="module")
def nli(tmp_path_factory: pytest.TempPathFactory) -> CrossEncoder:
    """Three labels, none of which means relevance."""
    return CrossEncoder(write_reranker(tmp_path_factory.mktemp("drop-in") / "nli", labels=3, config=NLI))


@pytest.fixture
def model(folder: Path) -> CrossEncoder:
    """One to change."""
    return CrossEncoder(folder)


def prompted(folder: Path) -> Path:
    """A classifier as sentence-transformers saves it with a default prompt."""
    write_reranker(folder)
    write_json(folder / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": "a.Transformer"}])
    settings = {"prompts": {"ask": PROMPT, "other": "other: "}, "default_prompt_name": "ask"}
    write_json(folder / "config_sentence_transformers.json", settings)
    return folder


def unequal(one: Any, other: Any) -> bool:
    return bool(np.abs(np.asarray(one) - np.asarray(other)).max() > 1e-3)


# What pairs may be.


@pytest.mark.parametrize(
    "given",
    [
        list(map(list, PAIRS)),
        tuple(PAIRS),
        np.array(PAIRS),
        np.array(PAIRS, dtype=object),
        list(np.array(PAIRS)),
        pd.DataFrame(PAIRS, columns=["query", "passage"]),
        pd.Series(PAIRS),
        pd.Series(list(map(list, PAIRS)), index=range(5, 5 + len(PAIRS))),
        dict.fromkeys(PAIRS),
    ],
    ids=["lists", "tuple", "array", "objects", "arrays", "frame", "series", "own index", "dictionary keys"],
)
def test_pairs_score_alike_whatever_holds_them(given: Any, tiny: CrossEncoder) -> None:
    scores = tiny.predict(given)
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, tiny.predict(list(PAIRS)))


def test_pairs_and_documents_may_come_from_a_generator(tiny: CrossEncoder) -> None:
    np.testing.assert_array_equal(tiny.predict(pair for pair in PAIRS), tiny.predict(list(PAIRS)))
    assert tiny.rank(QUESTION, (text for text in TEXTS), return_documents=True) == tiny.rank(
        QUESTION, pd.Series(TEXTS), return_documents=True
    )


@pytest.mark.parametrize("given", [PAIRS[0], list(PAIRS[0]), np.array(PAIRS[0]), pd.Series(PAIRS[0])])
def test_one_pair_by_itself_has_one_number(given: Any, tiny: CrossEncoder) -> None:
    score = tiny.predict(given)
    assert type(score) is np.float32
    assert score == tiny.predict([PAIRS[0]])[0]


@pytest.mark.parametrize("given", [[], (), np.array([]), np.empty((0, 2), str), pd.DataFrame(), iter(())])
def test_nothing_has_no_scores(given: Any, tiny: CrossEncoder) -> None:
    assert tiny.predict(given).shape == (0,)


@pytest.mark.parametrize("given", ["ab", 3, ["a"], [["a"]], [("a", 1)], np.array([["a"] * 3]), None])
def test_what_is_no_pair_is_refused(given: Any, tiny: CrossEncoder) -> None:
    with pytest.raises(ValueError, match="pair 0 must be two strings"):
        tiny.predict(given)


# Prompts.


def test_default_prompt_of_a_classifier_is_put_before_every_query(tmp_path: Path, tiny: CrossEncoder) -> None:
    model = CrossEncoder(prompted(tmp_path / "model"))
    expected = tiny.predict(PROMPTED)
    assert unequal(expected, tiny.predict(list(PAIRS)))
    np.testing.assert_array_equal(model.predict(list(PAIRS)), expected)
    np.testing.assert_array_equal(model.logits(list(PAIRS))[0], tiny.logits(PROMPTED)[0])
    ranked, plain = (
        {hit["corpus_id"]: hit["score"] for hit in scorer.rank(query, TEXTS)}
        for scorer, query in ((model, QUESTION), (tiny, PROMPT + QUESTION))
    )
    assert ranked == plain
    hits = Reranker(model).rank(QUESTION, TEXTS)
    assert {hit.candidate.rank - 1: hit.score for hit in hits} == pytest.approx(plain)


@pytest.mark.parametrize(
    ("asked", "put"),
    [
        ({}, PROMPT),
        ({"prompt_name": "other"}, "other: "),
        ({"prompt": "mine: "}, "mine: "),
        ({"prompt": "mine: ", "prompt_name": "other"}, "mine: "),
        ({"prompt": ""}, ""),
    ],
)
def test_prompt_of_a_call_goes_before_the_default(
    asked: dict[str, str], put: str, tmp_path: Path, tiny: CrossEncoder
) -> None:
    model = CrossEncoder(prompted(tmp_path / "model"))
    expected = tiny.predict([(put + query, passage) for query, passage in PAIRS])
    np.testing.assert_array_equal(model.predict(list(PAIRS), **asked), expected)
    first = model.rank(PAIRS[0][0], [PAIRS[0][1]], **asked)[0]
    assert first["score"] == pytest.approx(float(expected[0]))


def test_prompts_given_go_before_the_saved_ones_and_may_be_changed(
    tmp_path: Path, tiny: CrossEncoder
) -> None:
    model = CrossEncoder(prompted(tmp_path / "model"), prompts={"ask": "given: ", "new": PROMPT})
    assert model.prompts == {"ask": "given: ", "other": "other: ", "new": PROMPT}
    model.default_prompt_name = "new"
    np.testing.assert_array_equal(model.predict(list(PAIRS)), tiny.predict(PROMPTED))
    model.default_prompt_name = None
    np.testing.assert_array_equal(model.predict(list(PAIRS)), tiny.predict(list(PAIRS)))
    model.prompts["late"] = PROMPT
    np.testing.assert_array_equal(model.predict(list(PAIRS), prompt_name="late"), tiny.predict(PROMPTED))


def test_prompt_that_is_not_there_is_refused_with_those_that_are(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no prompt 'ask'; its prompts: none"):
        CrossEncoder(folder, default_prompt_name="ask")
    with pytest.raises(ValueError, match="no prompt 'ak'; its prompts: 'ask', 'other'"):
        CrossEncoder(prompted(tmp_path / "model")).predict(list(PAIRS), prompt_name="ak")


# Assignments.


@pytest.mark.parametrize("name", ["max_length", "max_seq_length"])
def test_length_that_is_assigned_is_obeyed(name: str, model: CrossEncoder, folder: Path) -> None:
    assert getattr(model, name) == model.get_max_seq_length() == 64
    setattr(model, name, 20)
    assert (model.max_length, model.max_seq_length, model.tokenizer.model_max_length) == (20, 20, 20)
    expected, truncated = CrossEncoder(folder, max_length=20).logits(list(PAIRS))
    np.testing.assert_array_equal(model.logits(list(PAIRS))[0], expected)
    np.testing.assert_array_equal(model.logits(list(PAIRS))[1], truncated)
    setattr(model, name, 1000)
    assert getattr(model, name) == 64
    for too_short in (4, 0, -1):
        with pytest.raises(InputError, match="must leave room"):
            setattr(model, name, too_short)
    setattr(model, name, 20)
    setattr(model, name, None)
    assert getattr(model, name) == 64


def test_length_of_the_tokenizer_is_that_of_the_model(model: CrossEncoder, folder: Path) -> None:
    model.tokenizer.model_max_length = 20
    assert model.max_length == 20
    np.testing.assert_array_equal(
        model.predict(list(PAIRS)), CrossEncoder(folder, max_length=20).predict(list(PAIRS))
    )


def test_activation_that_is_assigned_is_obeyed(model: CrossEncoder) -> None:
    logits = model.logits(list(PAIRS))[0]
    model.activation_fn = "tanh"
    np.testing.assert_array_equal(model.predict(list(PAIRS)), np.tanh(logits))
    hits = Reranker(model).rank(QUESTION, TEXTS)
    assert [hit.score for hit in hits] == np.tanh(np.float32([hit.logit for hit in hits])).tolist()
    model.activation_fn = None
    np.testing.assert_array_equal(model.predict(list(PAIRS)), sigmoid(logits))
    with pytest.raises(InputError, match="activation must be one of"):
        model.activation_fn = "softmax"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("maxlength", "did you mean 'max_length'"),
        ("default_prompt", "did you mean 'default_prompt_name'"),
        ("model", "no torch.nn.Module"),
        ("device", "no setter"),
        ("config", "no setter"),
        ("num_labels", "no setter"),
    ],
)
def test_assignment_that_would_have_no_effect_is_refused(name: str, advice: str, model: CrossEncoder) -> None:
    with pytest.raises(AttributeError, match=advice):
        setattr(model, name, 3)


def test_assignment_to_configuration_or_tokenizer_that_would_have_no_effect_is_refused(
    model: CrossEncoder,
) -> None:
    with pytest.raises(AttributeError, match="cannot be set"):
        model.config.num_labels = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        model.tokenizer.padding_side = "left"  # type: ignore[attr-defined]


def test_configuration_is_what_config_json_says(model: CrossEncoder) -> None:
    assert model.config.model_type == "bert"
    assert model.config.id2label == {0: "LABEL_0"}
    assert model.config.to_dict()["hidden_size"] == model.config.hidden_size
    with pytest.raises(AttributeError, match="AutoConfig"):
        _ = model.config.classifier_dropout


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("fit", "crossrank train"),
        ("push_to_hub", "save_pretrained"),
        ("half", "int8"),
        ("start_multi_process_pool", "threads"),
        ("state_dict", "no torch.nn.Module"),
        ("predcit", "did you mean 'predict'"),
    ],
)
def test_what_is_not_there_says_what_to_use_instead(name: str, advice: str, tiny: CrossEncoder) -> None:
    assert not hasattr(tiny, name)
    with pytest.raises(AttributeError, match=advice):
        getattr(tiny, name)


def test_unknown_attribute_of_the_tokenizer_says_where_transformers_own_is(tiny: CrossEncoder) -> None:
    with pytest.raises(AttributeError, match="AutoTokenizer"):
        _ = tiny.tokenizer.convert_ids_to_tokens


# Keywords.


def test_old_names_of_keywords_mean_what_they_meant(folder: Path) -> None:
    old: dict[str, Any] = {
        "model_name": folder,
        "tokenizer_args": {"model_max_length": 20},
        "automodel_args": {"torch_dtype": "auto"},
        "config_args": {"num_labels": 1},
        "default_activation_function": "tanh",
        "classifier_dropout": 0.1,
        "cache_dir": None,
    }
    model = CrossEncoder(**old)
    new = CrossEncoder(folder, max_length=20, activation_fn="tanh")
    expected = new.predict(list(PAIRS), activation_fn="none")
    call: dict[str, Any] = {"sentences": list(PAIRS), "activation_fct": "none", "num_workers": 4}
    np.testing.assert_array_equal(model.predict(**call), expected)
    ignored: dict[str, Any] = {"apply_softmax": True, "convert_to_tensor": True, "num_workers": 4}
    assert model.rank(QUESTION, TEXTS, **ignored) == new.rank(QUESTION, TEXTS)


def test_unknown_keyword_is_a_type_error_that_names_the_nearest(tiny: CrossEncoder) -> None:
    wrong: dict[str, Any] = {"max_len": 20}
    with pytest.raises(TypeError, match=r"CrossEncoder.. has no keyword 'max_len'; .*'max_length'"):
        CrossEncoder(**wrong)
    wrong = {"topk": 3}
    with pytest.raises(TypeError, match="no keyword 'topk'; did you mean 'top_k'"):
        tiny.rank(QUESTION, TEXTS, **wrong)
    wrong = {"activation": "none"}
    with pytest.raises(TypeError, match="did you mean 'activation_fn'"):
        tiny.predict(list(PAIRS), **wrong)


@pytest.mark.parametrize(
    ("keywords", "advice"),
    [
        ({"modules": []}, "save_pretrained"),
        ({"trust_remote_code": True}, "onnx/model.onnx"),
        ({"keep_in_fp32_modules": ["0.model.classifier"]}, "float32"),
        ({"backend": "tensorrt"}, "torch, onnx or openvino"),
        ({"num_labels": 3}, "crossrank train"),
        ({"device": "npu"}, "device must be cpu"),
        ({"model_kwargs": {"torch_dtype": "torch.float16"}}, "precision also has int8"),
        ({"model_kwargs": {"device_map": "auto"}}, "device must be cpu"),
        ({"model_kwargs": {"file_name": "onnx/model_O3.onnx"}}, "onnx/model.onnx"),
        ({"model_kwargs": {"ignore_mismatched_sizes": True}}, "known are"),
        ({"processor_kwargs": {"chat_template": "{{ messages }}"}}, "chat_template.jinja"),
        ({"processor_kwargs": {"truncation_side": "left"}}, "known are"),
        ({"config_kwargs": {"num_labels": 2}}, "crossrank train"),
    ],
)
def test_argument_that_cannot_be_met_says_what_to_do_instead(
    keywords: dict[str, Any], advice: str, folder: Path
) -> None:
    with pytest.raises(ValueError, match=advice):
        CrossEncoder(folder, **keywords)


@pytest.mark.parametrize(
    "keywords",
    [
        {"num_labels": 1},
        {"device": "cpu", "model_kwargs": {"device_map": "cpu"}},
        {"model_kwargs": {"attn_implementation": "sdpa", "dtype": "float32", "low_cpu_mem_usage": True}},
        {"backend": "onnx", "keep_in_fp32_modules": [], "trust_remote_code": False, "token": False},
        {"revision": "main", "local_files_only": True},
    ],
)
def test_argument_that_asks_for_what_happens_anyway_is_taken(
    keywords: dict[str, Any], folder: Path, tiny: CrossEncoder
) -> None:
    np.testing.assert_array_equal(
        CrossEncoder(folder, **keywords).predict(list(PAIRS)), tiny.predict(list(PAIRS))
    )


def test_options_of_a_call_are_obeyed_or_refused(
    tiny: CrossEncoder, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = tiny.predict(list(PAIRS), batch_size=2, show_progress_bar=True, chunk_size=3, device="cpu")
    assert "Scoring" in capsys.readouterr().err
    np.testing.assert_array_equal(scores, tiny.predict(list(PAIRS)))
    np.testing.assert_array_equal(scores, tiny.predict(list(PAIRS), device=["cpu", "cpu"]))
    short = tiny.predict(list(PAIRS), processing_kwargs={"text": {"max_length": 20, "truncation": True}})
    np.testing.assert_array_equal(short, CrossEncoder(folder, max_length=20).predict(list(PAIRS)))
    assert tiny.max_length == 64
    for options, advice in (
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"pool": {}}, "threads"),
        ({"device": ["cuda:0", "cuda:1"]}, "one device"),
        ({"device": "gpu"}, "device must be cpu"),
        ({"processing_kwargs": {"common": {}}}, "processing_kwargs can be"),
        ({"processing_kwargs": {"text": {"padding": "max_length"}}}, "processing_kwargs can be"),
    ):
        with pytest.raises(ValueError, match=advice):
            tiny.predict(list(PAIRS), **options)


@pytest.mark.usefixtures("without_torch")
@pytest.mark.parametrize(
    "ask",
    [
        lambda model: model.predict(list(PAIRS), convert_to_tensor=True),
        lambda model: model.predict(list(PAIRS), convert_to_numpy=False),
        lambda model: model.predict(list(PAIRS), activation_fn=lambda tensor: tensor),
        lambda model: model.activation_fn,
        lambda model: model.to("cuda"),
    ],
)
def test_what_needs_pytorch_names_the_extra_where_it_is_missing(
    ask: Callable[[CrossEncoder], object], tiny: CrossEncoder
) -> None:
    with pytest.raises(MissingExtraError, match=r"crossrank\[torch\]"):
        ask(tiny)


# Several labels.


def test_several_labels_are_predicted_as_they_are(nli: CrossEncoder) -> None:
    scores = nli.predict(list(PAIRS))
    assert scores.shape == (len(PAIRS), nli.num_labels) == (len(PAIRS), 3)
    np.testing.assert_array_equal(nli.predict(PAIRS[0]), scores[0])
    assert nli.predict([]).shape == (0, 3)
    shares = nli.predict(list(PAIRS), apply_softmax=True)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(shares.argsort(axis=1), scores.argsort(axis=1))
    np.testing.assert_array_equal(nli.predict(list(PAIRS), activation_fn="tanh"), np.tanh(scores))
    nli.predict(list(PAIRS))


def test_one_label_has_nothing_to_share_by_softmax(tiny: CrossEncoder) -> None:
    np.testing.assert_array_equal(tiny.predict(list(PAIRS), apply_softmax=True), tiny.predict(list(PAIRS)))


def test_several_labels_cannot_be_ranked(nli: CrossEncoder) -> None:
    with pytest.raises(ValueError, match="rank is for models with one label"):
        nli.rank(QUESTION, TEXTS)


# Moving, copying, saving.


def test_model_that_is_moved_to_where_it_is_stays_itself(tiny: CrossEncoder) -> None:
    assert tiny.to("cpu") is tiny.cpu() is tiny.eval() is tiny.train(False) is tiny
    assert (tiny.device, tiny.device.type, tiny.backend) == ("cpu", "cpu", "openvino")
    with pytest.raises(InputError, match="int8"):
        tiny.to("torch.float16")
    with pytest.raises(InputError, match="crossrank train"):
        tiny.train()


def test_pickle_holds_name_and_options_and_no_weights(tmp_path: Path) -> None:
    folder = prompted(tmp_path / "model")
    model = CrossEncoder(folder, threads=1, token="secret", prompts={"mine": "mine: "})
    model.max_length, model.activation_fn, model.default_prompt_name = 20, "tanh", "mine"
    pickled = pickle.dumps(model)
    assert len(pickled) < 1000
    assert b"secret" not in pickled
    loaded = pickle.loads(pickled)
    assert (loaded.name, loaded.max_length, loaded.prompts) == (str(folder), 20, model.prompts)
    np.testing.assert_array_equal(loaded.predict(list(PAIRS)), model.predict(list(PAIRS)))
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"no config\.json"):
        pickle.loads(pickled)


def test_copy_shares_the_weights_and_has_settings_of_its_own(model: CrossEncoder) -> None:
    before = model.predict(list(PAIRS))
    for copied in (copy.copy(model), copy.deepcopy(model)):
        np.testing.assert_array_equal(copied.predict(list(PAIRS)), before)
        copied.max_length, copied.activation_fn, copied.prompts["mine"] = 20, "tanh", "mine: "
        copied.tokenizer.max_tokens = 18
        np.testing.assert_array_equal(model.predict(list(PAIRS)), before)
        assert model.prompts == {}


def test_embedder_pickles_by_name_and_is_its_own_copy(tmp_path: Path) -> None:
    embedder = BiEncoder(write_embedder(tmp_path / "model"))
    pickled = pickle.dumps(embedder)
    assert len(pickled) < 1000
    np.testing.assert_array_equal(
        pickle.loads(pickled).encode_queries([QUESTION]), embedder.encode_queries([QUESTION])
    )
    assert copy.deepcopy(embedder) is copy.copy(embedder) is embedder


@pytest.mark.parametrize("save", ["save", "save_pretrained"])
def test_saved_model_is_used_as_it_was(save: str, model: CrossEncoder, tmp_path: Path) -> None:
    (model.path / "README.md").write_text("A card.")
    model.max_length, model.activation_fn = 20, "tanh"
    model.prompts["ask"], model.default_prompt_name = PROMPT, "ask"
    getattr(model, save)(tmp_path / "saved")
    saved = CrossEncoder(tmp_path / "saved")
    assert (saved.max_length, saved.prompts, saved.default_prompt_name) == (20, {"ask": PROMPT}, "ask")
    np.testing.assert_allclose(saved.predict(list(PAIRS)), model.predict(list(PAIRS)), atol=1e-6)
    assert (tmp_path / "saved" / "README.md").read_text() == "A card."
    getattr(model, save)(tmp_path / "bare", create_model_card=False)
    assert not (tmp_path / "bare" / "README.md").exists()


def test_what_cannot_be_saved_is_refused(model: CrossEncoder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="loaded from"):
        model.save_pretrained(model.path)
    with pytest.raises(InputError, match="pickled weights"):
        model.save_pretrained(tmp_path / "saved", safe_serialization=False)
    model.activation_fn = lambda tensor: tensor
    with pytest.raises(InputError, match="cannot be saved"):
        model.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_chat_template_of_a_classifier_is_not_left_out(tmp_path: Path, without_torch: None) -> None:
    folder = write_reranker(tmp_path / "model")
    change_json(folder / "tokenizer_config.json", chat_template="{{ messages }}")
    with pytest.raises(MissingExtraError, match="asked by a chat template"):
        CrossEncoder(folder)
    # sentence-transformers saves whether the template is used.
    write_json(folder / "sentence_bert_config.json", {"modality_config": {"text": {}}})
    CrossEncoder(folder)


def test_evaluator_is_called_with_the_model_and_its_folder(tiny: CrossEncoder, tmp_path: Path) -> None:
    def evaluator(model: CrossEncoder, output_path: str) -> float:
        assert Path(output_path).is_dir()
        model.model_card_data.set_evaluation_metrics(None, {"map": 0.5}, 0, 0)
        return 0.5

    assert tiny.evaluate(evaluator, str(tmp_path / "results")) == 0.5
    assert tiny.model_card_data.results == [{"map": 0.5}]
