"""LangChain's document compressor and cross-encoder over ours."""

from __future__ import annotations

import asyncio
import copy
import math
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain_classic.retrievers.document_compressors import (
    CrossEncoderReranker as LangChainCrossEncoderReranker,
)
from langchain_core.cross_encoders import BaseCrossEncoder
from langchain_core.documents import Document
from pydantic import ValidationError
from safetensors.numpy import load_file
from support.tiny_models import save, write_reranker

from crossrank import CrossEncoder, InputError, ModelError
from crossrank.integrations.langchain import CrossEncoderReranker, HuggingFaceCrossEncoder

QUERY = "Who bakes bread?"
DOCUMENTS = [
    Document("A tide table.", id="tide", metadata={"page": 1}),
    Document("Bakers bake bread.", id="bread", metadata={"page": 2}),
    Document("Trains run at night.", id="train", metadata={"page": 3}),
]


class Given(BaseCrossEncoder):
    """Another cross-encoder: scores as it is given, slowly if asked to."""

    def __init__(self, scores: Any, seconds: float = 0.0) -> None:
        self.scores, self.seconds = scores, seconds

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        time.sleep(self.seconds)
        return self.scores  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def model() -> HuggingFaceCrossEncoder:
    return HuggingFaceCrossEncoder()


@pytest.fixture(scope="module")
def saturated(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceCrossEncoder:
    """A reranker all of whose scores are 1.0 in float32, and whose logits differ."""
    folder = write_reranker(tmp_path_factory.mktemp("saturated") / "reranker")
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.bias"] = tensors["classifier.bias"] + 25
    save(folder, tensors)
    return HuggingFaceCrossEncoder(model_name=str(folder))


def test_documents_come_back_best_first_with_scores_and_their_own_metadata(
    model: HuggingFaceCrossEncoder,
) -> None:
    given = copy.deepcopy(DOCUMENTS)
    ranked = CrossEncoderReranker(model=model, top_n=2).compress_documents(given, QUERY)
    assert given == DOCUMENTS
    assert len(ranked) == 2
    best = ranked[0]
    assert (best.id, best.page_content) == ("bread", "Bakers bake bread.")
    assert best.metadata["page"] == 2
    assert best.metadata["first_stage_rank"] == 2
    logit, score = best.metadata["relevance_logit"], best.metadata["relevance_score"]
    assert isinstance(logit, float)
    assert score == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-6)


def test_the_scores_are_those_of_the_cross_encoder(
    model: HuggingFaceCrossEncoder, bundled: CrossEncoder
) -> None:
    pairs = [(QUERY, document.page_content) for document in DOCUMENTS]
    assert model.score(pairs) == pytest.approx(list(bundled.predict(pairs)), abs=1e-6)
    logits = HuggingFaceCrossEncoder(model_kwargs={"activation": "none"})
    assert logits.score(pairs) == pytest.approx(bundled.logits(pairs)[0].tolist())
    assert model.score([]) == []


@pytest.mark.parametrize("query", [QUERY, ""])
def test_an_empty_list_gives_an_empty_list(model: HuggingFaceCrossEncoder, query: str) -> None:
    for reranker in (CrossEncoderReranker(model=model), CrossEncoderReranker(model=Given([]))):
        assert reranker.compress_documents([], query) == []
        assert asyncio.run(reranker.acompress_documents([], query)) == []


def test_a_threshold_of_zero_keeps_what_is_at_least_zero() -> None:
    for scores, kept in ([-1.0, 0.0, 2.0], [2.0, 0.0]), ([-3.0, -2.0, -1.0], []):
        ranked = CrossEncoderReranker(model=Given(scores), score_threshold=0).compress_documents(
            DOCUMENTS, QUERY
        )
        assert [document.metadata["relevance_score"] for document in ranked] == kept


def test_negative_logits_are_scores_like_others() -> None:
    model = HuggingFaceCrossEncoder(model_kwargs={"activation": "none"})
    everything = CrossEncoderReranker(model=model).compress_documents(DOCUMENTS, QUERY)
    logits = [document.metadata["relevance_score"] for document in everything]
    assert logits[-1] < 0
    assert logits == [document.metadata["relevance_logit"] for document in everything]
    for count, threshold in ((3, logits[2]), (2, logits[1]), (1, 0.0)):
        reranker = CrossEncoderReranker(model=model, score_threshold=threshold)
        assert len(reranker.compress_documents(DOCUMENTS, QUERY)) == count


def test_saturated_scores_are_ordered_by_their_logits(saturated: HuggingFaceCrossEncoder) -> None:
    documents = [Document(text) for text in ("bees", "trains at night", "bread", "a tide table", "ab", "cd")]
    ranked = CrossEncoderReranker(model=saturated, top_n=None).compress_documents(documents, QUERY)
    logits = [document.metadata["relevance_logit"] for document in ranked]
    assert {document.metadata["relevance_score"] for document in ranked} == {1.0}
    assert logits == sorted(set(logits), reverse=True)
    assert [document.metadata["first_stage_rank"] for document in ranked] != [1, 2, 3, 4, 5, 6]
    # LangChain's own reranker sees the scores alone; they do not tie either.
    theirs = LangChainCrossEncoderReranker(model=saturated, top_n=6).compress_documents(documents, QUERY)
    assert [document.page_content for document in theirs] == [document.page_content for document in ranked]


def test_equal_scores_keep_their_order(model: HuggingFaceCrossEncoder) -> None:
    twins = [Document("Bakers bake bread.", metadata={"twin": i}) for i in range(5)]
    for reranker in (
        CrossEncoderReranker(model=model, top_n=None),
        CrossEncoderReranker(model=Given([0.5] * 5), top_n=None),
    ):
        ranked = reranker.compress_documents(twins, QUERY)
        assert [document.metadata["twin"] for document in ranked] == [0, 1, 2, 3, 4]


def test_what_the_model_cannot_read_comes_last_without_a_score(
    model: HuggingFaceCrossEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    documents = [Document("パンを焼くのは誰ですか。"), *DOCUMENTS]
    ranked = CrossEncoderReranker(model=model, top_n=None).compress_documents(documents, QUERY)
    assert ranked[-1].metadata == {
        "relevance_score": None,
        "relevance_logit": None,
        "relevance_probability": None,
        "first_stage_rank": 1,
    }
    assert "cannot read 1 of 4" in caplog.text
    some = CrossEncoderReranker(model=model, top_n=None, score_threshold=0)
    assert len(some.compress_documents(documents, QUERY)) == 3


def test_another_cross_encoder_is_ranked_by_its_scores() -> None:
    ranked = CrossEncoderReranker(model=Given(iter([0.1, 0.9, 0.5])), top_n=2).compress_documents(
        DOCUMENTS, QUERY
    )
    assert [document.id for document in ranked] == ["bread", "train"]
    assert ranked[0].metadata == {
        "page": 2,
        "relevance_score": 0.9,
        "relevance_logit": None,
        "relevance_probability": None,
        "first_stage_rank": 2,
    }


@pytest.mark.parametrize(
    ("scores", "message"), [([1.0], "1 scores for 3"), ([0, math.nan, 1], "not a number")]
)
def test_wrong_scores_of_another_cross_encoder_are_refused(scores: list[float], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        CrossEncoderReranker(model=Given(scores)).compress_documents(DOCUMENTS, QUERY)


@pytest.mark.parametrize("options", [{"top_n": 0}, {"score_threshold": math.nan}, {"topn": 3}])
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CrossEncoderReranker(model=Given([]), **options)


def test_ours_fits_langchain_s_own_reranker(model: HuggingFaceCrossEncoder) -> None:
    theirs = LangChainCrossEncoderReranker(model=model, top_n=1).compress_documents(DOCUMENTS, QUERY)
    assert [document.id for document in theirs] == ["bread"]


def test_eight_threads_share_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_reranker(tmp_path / "reranker")
    loads = []
    original = CrossEncoder.__init__

    def counted(self: CrossEncoder, *args: Any, **options: Any) -> None:
        loads.append(args)
        original(self, *args, **options)

    monkeypatch.setattr(CrossEncoder, "__init__", counted)
    together = threading.Barrier(8)

    def work(number: int) -> tuple[CrossEncoder, list[Document]]:
        together.wait()
        reranker = CrossEncoderReranker(model=HuggingFaceCrossEncoder(model_name=folder), top_n=None)
        assert isinstance(reranker.model, HuggingFaceCrossEncoder)
        return reranker.model.client, reranker.compress_documents(DOCUMENTS, QUERY)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(8)))
    assert len(loads) == 1
    assert len({id(client) for client, _ in results}) == 1
    assert all(ranked == results[0][1] for _, ranked in results)


def test_copies_and_pickles_use_the_same_model(model: HuggingFaceCrossEncoder) -> None:
    for copied in (model.model_copy(deep=True), copy.copy(model), pickle.loads(pickle.dumps(model))):
        assert copied.client is model.client


def test_the_event_loop_goes_on_while_documents_are_reranked(model: HuggingFaceCrossEncoder) -> None:
    many = [Document("Bakers bake bread, and rise early for it. " * 40 + str(i)) for i in range(60)]

    async def ticks_during(reranker: CrossEncoderReranker, documents: list[Document]) -> int:
        ranking = asyncio.create_task(reranker.acompress_documents(documents, QUERY))
        ticks = 0
        while not ranking.done():
            await asyncio.sleep(0.005)
            ticks += 1
        assert len(await ranking) == 3
        return ticks

    assert asyncio.run(ticks_during(CrossEncoderReranker(model=model), many)) > 10
    slow = CrossEncoderReranker(model=Given([0.1, 0.2, 0.3], seconds=0.3))
    assert asyncio.run(ticks_during(slow, DOCUMENTS)) > 10


def test_both_ways_give_the_same(model: HuggingFaceCrossEncoder) -> None:
    reranker = CrossEncoderReranker(model=model)
    waited = asyncio.run(reranker.acompress_documents(DOCUMENTS, QUERY))
    assert waited == reranker.compress_documents(DOCUMENTS, QUERY)


def test_an_empty_question_is_refused(model: HuggingFaceCrossEncoder) -> None:
    with pytest.raises(InputError, match="empty"):
        CrossEncoderReranker(model=model).compress_documents(DOCUMENTS, " ")


def test_documented_keywords_are_accepted_and_others_refused() -> None:
    HuggingFaceCrossEncoder(model_kwargs={"device": "cpu", "max_length": 64, "trust_remote_code": False})
    for keywords, message in (
        ({"device": "gpu"}, "device must be cpu, cuda"),
        ({"trust_remote_code": True}, "never runs code"),
        ({"activation": "softmax"}, "must be one of"),
    ):
        with pytest.raises(InputError, match=message):
            HuggingFaceCrossEncoder(model_kwargs=keywords)
    with pytest.raises(TypeError, match="no keyword 'devise'; did you mean 'device'"):
        HuggingFaceCrossEncoder(model_kwargs={"devise": "cpu"})
    with pytest.raises(ModelError, match="no model folder"):
        HuggingFaceCrossEncoder(model_name="./nowhere")
