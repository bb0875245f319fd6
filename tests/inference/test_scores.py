from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tiny_models import PAIRS, change_json, write_reranker

from crossrank.errors import InputError, MissingExtraError, ModelError
from crossrank.inference.activations import ACTIVATIONS, sigmoid
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.scorer import for_ranking
from crossrank.inference.scores import Scoring, scoring_of
from crossrank.models.folder import ModelFolder
from crossrank.ranking.reranker import Reranker

ONE: dict[str, Any] = {"id2label": {"0": "LABEL_0"}}
IDENTITY = "torch.nn.modules.linear.Identity"
SIGMOID = "torch.nn.modules.activation.Sigmoid"


def scoring(folder: Path, config: dict[str, Any], name: str = "a/model", saved: object = None) -> Scoring:
    if saved is not None:
        change_json(folder / "config_sentence_transformers.json", activation_fn=saved)
    return scoring_of(ModelFolder(name, folder, config))


@pytest.mark.parametrize(
    ("config", "saved", "expected"),
    [
        (ONE, None, "sigmoid"),
        ({"num_labels": 1}, None, "sigmoid"),
        ({}, None, "sigmoid"),
        (ONE, IDENTITY, "none"),
        (ONE | {"sentence_transformers": {"activation_fn": IDENTITY}}, None, "none"),
        (ONE | {"sbert_ce_default_activation_function": IDENTITY}, None, "none"),
        (ONE | {"sentence_transformers": {"activation_fn": IDENTITY}}, SIGMOID, "sigmoid"),
        (ONE, "torch.nn.modules.activation.Tanh", "tanh"),
        # sentence-transformers runs no code of a model's own, and takes its default.
        (ONE, "my_package.Identity", "sigmoid"),
        (ONE | {"sentence_transformers": "strange"}, None, "sigmoid"),
    ],
)
def test_one_label_is_scored_by_the_saved_activation_or_sigmoid(
    config: dict[str, Any], saved: str | None, expected: str, tmp_path: Path
) -> None:
    assert scoring(tmp_path, config, saved=saved) == Scoring(1, 0, expected)  # type: ignore[arg-type]


@pytest.mark.usefixtures("without_torch")
def test_saved_activation_that_only_pytorch_has_names_the_extra(tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match=r"activation\.Softplus, which needs .*crossrank\[torch\]"):
        scoring(tmp_path, ONE, saved="torch.nn.modules.activation.Softplus")


@pytest.mark.parametrize(
    ("labels", "name", "relevant"),
    [
        ({"0": "irrelevant", "1": "relevant"}, "a/model", 1),
        ({"0": "Relevant", "1": "other"}, "a/model", 0),
        ({"0": "LABEL_0", "1": "LABEL_1"}, "somewhere/pt-bert-base-uncased-msmarco", 1),
    ],
)
def test_two_labels_are_scored_where_one_is_known_to_mean_relevant(
    labels: dict[str, str], name: str, relevant: int, tmp_path: Path
) -> None:
    assert scoring(tmp_path, {"id2label": labels}, name) == Scoring(2, relevant, "sigmoid")


@pytest.mark.parametrize(
    "config",
    [
        {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}},
        {"id2label": {"0": "yes", "1": "true"}},
        {"id2label": {"0": "contradiction", "1": "entailment", "2": "neutral"}},
        {"id2label": {"0": "irrelevant", "1": "related", "2": "relevant"}},
        {"id2label": {}},
    ],
)
def test_labels_of_which_none_is_known_to_mean_relevance_have_no_logit(
    config: dict[str, Any], tmp_path: Path
) -> None:
    assert scoring(tmp_path, config).relevant is None


def test_model_that_cannot_rank_is_refused_where_it_is_to_rank_with_the_names_of_its_labels(
    tmp_path: Path,
) -> None:
    labels = {"0": "contradiction", "1": "entailment", "2": "neutral"}
    model = CrossEncoder(write_reranker(tmp_path / "nli", labels=3, config={"id2label": labels}))
    for rank in (for_ranking, Reranker, lambda model: model.logits(list(PAIRS))):
        with pytest.raises(ModelError, match=r"\(contradiction, entailment, neutral\), none of which"):
            rank(model)


def test_two_labels_give_log_odds_and_the_softmax_probability(tmp_path: Path) -> None:
    names = {"id2label": {"0": "other", "1": "relevant"}}
    model = CrossEncoder(write_reranker(tmp_path / "two", labels=2, config=names))
    turned = CrossEncoder(
        write_reranker(tmp_path / "turned", labels=2, config={"id2label": {"0": "relevant", "1": "other"}})
    )
    logits = model.logits(list(PAIRS))[0]
    np.testing.assert_array_equal(turned.logits(list(PAIRS))[0], -logits)
    assert np.ptp(logits) > 0.1
    odds = np.exp(logits.astype(np.float64))
    hits = {hit.document.id: hit.score for hit in Reranker(model).rank("q", [text for _, text in PAIRS])}
    alone = model.logits([("q", text) for _, text in PAIRS])[0]
    np.testing.assert_allclose([hits[str(i)] for i in range(len(PAIRS))], sigmoid(alone), rtol=1e-5)
    both = model.predict(list(PAIRS), apply_softmax=True)
    np.testing.assert_allclose(both[:, 1], odds / (1 + odds), rtol=1e-5)


@pytest.mark.parametrize("labels", [1, 2])
def test_weights_with_other_outputs_than_the_configuration_names_are_refused(
    labels: int, tmp_path: Path
) -> None:
    names = {"id2label": {"0": "relevant", "1": "other"} if labels == 1 else {"0": "LABEL_0"}}
    with pytest.raises(ModelError, match=f"gives {labels} outputs"):
        CrossEncoder(write_reranker(tmp_path / "model", labels=labels, config=names))


def test_activation_is_applied_once(tiny: CrossEncoder) -> None:
    logits = tiny.logits(list(PAIRS))[0]
    np.testing.assert_array_equal(tiny.predict(list(PAIRS)), sigmoid(logits))
    np.testing.assert_array_equal(tiny.predict(list(PAIRS), activation_fn="sigmoid"), sigmoid(logits))
    np.testing.assert_array_equal(tiny.predict(list(PAIRS), activation_fn="none"), logits)
    np.testing.assert_array_equal(tiny.predict(list(PAIRS), activation_fn="tanh"), np.tanh(logits))


def test_activation_that_is_not_known_is_refused(tiny: CrossEncoder) -> None:
    with pytest.raises(InputError, match=r"one of none, sigmoid, tanh, or a function .* it is 'softmax'"):
        tiny.predict(list(PAIRS), activation_fn="softmax")


def test_sigmoid_is_exact_and_finite_far_from_zero() -> None:
    with np.errstate(over="raise", invalid="raise"):
        scores = sigmoid(np.array([-1000, -50, 0, 50, 1000], np.float32))
    np.testing.assert_allclose(scores, [0, 1.928749848e-22, 0.5, 1, 1], rtol=1e-6)
    assert scores.dtype == np.float32


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_keep_the_order_of_logits(name: str) -> None:
    logits = np.linspace(-5, 5, 101, dtype=np.float32)
    assert (np.diff(ACTIVATIONS[name](logits)) > 0).all()  # type: ignore[index]
