from __future__ import annotations

import asyncio
import copy
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # read once, at import

from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
from haystack.document_stores.in_memory import InMemoryDocumentStore

from crossrank.errors import InputError, ModelError
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.integrations.haystack import CrossrankRanker
from crossrank.ranking.reranker import Reranker

QUESTION = "Who bakes bread?"
TIDE, BAKERS, CHINESE = "The tide turns twice a day.", "Bakers bake bread at night.", "潮水每天涨落两次"


def documents(*texts: str | None, **fields: Any) -> list[Document]:
    return [
        Document(id=f"d{i}", content=text, score=9.0 - i, **copy.deepcopy(fields))
        for i, text in enumerate(texts)
    ]


@pytest.fixture(scope="module")
def ranker(bundled: CrossEncoder) -> CrossrankRanker:
    return CrossrankRanker(model=bundled)


def ask(ranker: CrossrankRanker, given: list[Document], **options: Any) -> list[Document]:
    return ranker.run(query=QUESTION, documents=given, **options)["documents"]


def test_documents_are_ranked_by_relevance_score(ranker: CrossrankRanker, bundled: CrossEncoder) -> None:
    ranked = ask(ranker, documents(TIDE, BAKERS))
    assert [document.content for document in ranked] == [BAKERS, TIDE]
    ranking = Reranker(bundled).rank(QUESTION, [TIDE, BAKERS])
    assert [document.score for document in ranked] == [hit.score for hit in ranking]
    logits = [document.score for document in ask(ranker, documents(TIDE, BAKERS), scale_score=False)]
    assert logits == [hit.logit for hit in ranking]


def test_documents_are_copied_and_keep_everything_but_the_score(ranker: CrossrankRanker) -> None:
    given = documents(TIDE, BAKERS, meta={"page": 4}, embedding=[0.5])
    before = copy.deepcopy(given)
    first, _ = ask(ranker, given)
    assert (first.id, first.meta, first.embedding) == ("d1", {"page": 4}, [0.5])
    first.meta["page"] = 5
    assert given == before


def test_arguments_of_run_are_keywords(ranker: CrossrankRanker) -> None:
    with pytest.raises(TypeError):
        ranker.run(QUESTION, documents(TIDE))  # type: ignore[call-arg]


def test_top_k_of_the_call_wins(bundled: CrossEncoder) -> None:
    given = documents(TIDE, BAKERS, "A map.", "Bread is baked from dough.")
    ranker = CrossrankRanker(model=bundled, top_k=2)
    everything = ask(ranker, given, top_k=9)
    assert len(everything) == 4
    assert ask(ranker, given) == everything[:2]
    for refused in (0, -1):
        with pytest.raises(InputError, match=f"top_k must be at least 1; it is {refused}"):
            ask(ranker, given, top_k=refused)
        with pytest.raises(InputError, match="top_k"):
            CrossrankRanker(top_k=refused)


def test_threshold_of_0_divides_logits(bundled: CrossEncoder) -> None:
    given = documents(TIDE, CHINESE, BAKERS)
    ranker = CrossrankRanker(model=bundled, scale_score=False, score_threshold=0)
    assert [document.content for document in ask(ranker, given)] == [BAKERS]
    assert [document.content for document in ask(ranker, given, score_threshold=-50)] == [BAKERS, TIDE]
    open_ranker = CrossrankRanker(model=bundled, scale_score=False, score_threshold=-50)
    assert [document.content for document in ask(open_ranker, given, score_threshold=0)] == [BAKERS]


def test_scale_score_of_the_call_wins(bundled: CrossEncoder) -> None:
    ranker = CrossrankRanker(model=bundled, scale_score=True)
    assert ask(ranker, documents(TIDE), scale_score=False)[0].score < 0  # type: ignore[operator]
    ranker = CrossrankRanker(model=bundled, scale_score=False)
    assert 0 < ask(ranker, documents(TIDE), scale_score=True)[0].score < 0.5  # type: ignore[operator]


def test_document_that_cannot_be_read_follows_without_a_score(ranker: CrossrankRanker) -> None:
    ranked = ask(ranker, documents(CHINESE, TIDE))
    assert [(document.content, document.score is None) for document in ranked] == [
        (TIDE, False),
        (CHINESE, True),
    ]


def test_meta_fields_are_read_before_the_content(bundled: CrossEncoder) -> None:
    ranker = CrossrankRanker(
        model=bundled, meta_fields_to_embed=["title", "year", "none", "absent"], embedding_separator=" | "
    )
    [document] = ask(ranker, documents(BAKERS, meta={"title": "Night work", "year": 0, "none": None}))
    [hit] = Reranker(bundled).rank(QUESTION, [f"Night work | 0 | {BAKERS}"])
    assert document.score == hit.score


def test_documents_with_one_id_count_once(ranker: CrossrankRanker) -> None:
    given = [Document(id="a", content=TIDE, score=score, meta={"n": n}) for n, score in enumerate([1, 3, 2])]
    unscored = [Document(id="b", content=BAKERS, meta={"n": n}) for n in range(2)]
    ranked = ask(ranker, given + unscored)
    assert [(document.id, document.meta["n"]) for document in ranked] == [("b", 0), ("a", 1)]


def test_equal_documents_keep_their_order(ranker: CrossrankRanker) -> None:
    ranked = ask(ranker, documents(*[TIDE] * 4, BAKERS, *[TIDE] * 4))
    assert [document.id for document in ranked] == ["d4", "d0", "d1", "d2", "d3", "d5", "d6", "d7", "d8"]


def test_no_documents_give_no_documents_and_need_no_model() -> None:
    ranker = CrossrankRanker(model="./nowhere")
    assert ask(ranker, []) == []
    assert asyncio.run(ranker.run_async(query=QUESTION, documents=[])) == {"documents": []}


def test_document_without_content_is_ranked(ranker: CrossrankRanker) -> None:
    assert [document.id for document in ask(ranker, documents(None, BAKERS))] == ["d1", "d0"]


def test_missing_model_is_an_error_at_warm_up() -> None:
    with pytest.raises(ModelError, match=r"\./nowhere"):
        CrossrankRanker(model="./nowhere").warm_up()


def test_model_is_loaded_once_by_many_threads(tiny: CrossEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[object] = []
    load = CrossEncoder.__init__

    def counted(self: CrossEncoder, *args: Any, **options: Any) -> None:
        loaded.append(self)
        load(self, *args, **options)

    monkeypatch.setattr(CrossEncoder, "__init__", counted)
    ranker = CrossrankRanker(model=tiny.name)
    assert loaded == []
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: ask(ranker, documents(TIDE, BAKERS)), range(24)))
    assert len(loaded) == 1
    assert results == [results[0]] * 24


def test_component_is_written_down_and_read_back(tiny: CrossEncoder) -> None:
    ranker = CrossrankRanker(
        model=tiny,
        top_k=3,
        meta_fields_to_embed=["title"],
        embedding_separator=" ",
        scale_score=False,
        score_threshold=0.0,
        min_probability=0.1,
    )
    data = ranker.to_dict()
    assert data == {
        "type": "crossrank.integrations.haystack.CrossrankRanker",
        "init_parameters": {
            "model": tiny.name,
            "top_k": 3,
            "meta_fields_to_embed": ["title"],
            "embedding_separator": " ",
            "scale_score": False,
            "score_threshold": 0.0,
            "min_probability": 0.1,
            "long_documents": "truncate",
            "on_truncation": "warn",
        },
    }
    assert CrossrankRanker.from_dict(data).to_dict() == data


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    """Retriever and ranker, loaded back from YAML."""
    store = InMemoryDocumentStore()
    first = Pipeline()
    first.add_component("retriever", InMemoryBM25Retriever(store, top_k=3))
    first.add_component("ranker", CrossrankRanker(top_k=1))
    first.connect("retriever.documents", "ranker.documents")
    written = first.dumps()
    loaded = Pipeline.loads(written, allowed_modules=["crossrank.*"])
    assert loaded.dumps() == written
    retriever = loaded.get_component("retriever")
    retriever.document_store.write_documents(  # type: ignore[attr-defined]
        documents("Who? The bread is for sale.", BAKERS, TIDE)
    )
    yield loaded
    # The store's __del__ joins a thread. Left to the garbage collector, that can happen while another
    # thread is being started, whose lock it then waits for without end.
    store.shutdown()
    retriever.document_store.shutdown()  # type: ignore[attr-defined]
    del loaded, retriever, first, store
    gc.collect()


DATA = {"retriever": {"query": QUESTION}, "ranker": {"query": QUESTION}}


def test_pipeline_loaded_back_from_yaml_runs(pipeline: Pipeline, bundled: CrossEncoder) -> None:
    result = pipeline.run(DATA, include_outputs_from={"retriever"})
    assert len(result["retriever"]["documents"]) > 1
    [best] = result["ranker"]["documents"]
    assert best.content == BAKERS
    assert best.score == bundled.predict((QUESTION, BAKERS)) > 0.8
    assert asyncio.run(pipeline.run_async(DATA))["ranker"]["documents"] == [best]


def test_event_loop_goes_on_while_a_pipeline_loads_and_ranks(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[str] = []
    turn = threading.Event()

    def after_the_loop(name: str) -> None:
        real = getattr(Reranker, name)

        def waits(*args: Any, **options: Any) -> Any:
            assert turn.wait(10), f"the event loop stood still in {name}"
            turn.clear()
            waited.append(name)
            return real(*args, **options)

        monkeypatch.setattr(Reranker, name, waits)

    async def run() -> int:
        answer = asyncio.create_task(pipeline.run_async(DATA))
        while not answer.done():
            await asyncio.sleep(0.02)
            turn.set()
        return len((await answer)["ranker"]["documents"])

    after_the_loop("__init__")
    after_the_loop("rank")
    assert asyncio.run(run()) == 1
    assert waited == ["__init__", "rank"]


def test_without_the_library_the_extra_is_named() -> None:
    code = "import sys; sys.modules['haystack'] = None; import crossrank.integrations.haystack"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingExtraError" in result.stderr
    assert "pip install 'crossrank[haystack]'" in result.stderr


def test_keyword_that_is_not_known_is_a_type_error_with_the_nearest(bundled: CrossEncoder) -> None:
    wrong: dict[str, Any] = {"topk": 5}
    with pytest.raises(TypeError, match=r"CrossrankRanker.. has no keyword 'topk'; did you mean 'top_k'"):
        CrossrankRanker(model=bundled, **wrong)
