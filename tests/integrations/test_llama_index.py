from __future__ import annotations

import asyncio
import copy
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
from llama_index_instrumentation import get_dispatcher

from crossrank.errors import InputError, ModelError
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.integrations.llama_index import CrossrankRerank
from crossrank.ranking.reranker import Reranker

QUESTION = "Who bakes bread?"
TIDE, BAKERS, CHINESE = "The tide turns twice a day.", "Bakers bake bread at night.", "潮水每天涨落两次"


def found(*texts: str, **fields: Any) -> list[NodeWithScore]:
    """Nodes as a retriever hands them over, with falling scores."""
    return [
        NodeWithScore(node=TextNode(text=text, id_=f"n{i}", **fields), score=0.9 - 0.1 * i)
        for i, text in enumerate(texts)
    ]


@pytest.fixture(scope="module")
def rerank(bundled: CrossEncoder) -> CrossrankRerank:
    return CrossrankRerank(model=bundled, top_n=10)


def test_nodes_are_ranked_by_relevance_score(rerank: CrossrankRerank, bundled: CrossEncoder) -> None:
    nodes = rerank.postprocess_nodes(found(TIDE, BAKERS), query_str=QUESTION)
    assert [node.text for node in nodes] == [BAKERS, TIDE]
    assert [node.score for node in nodes] == [
        hit.score for hit in Reranker(bundled).rank(QUESTION, [TIDE, BAKERS])
    ]
    assert all(type(node.score) is float for node in nodes)


def test_query_bundle_and_query_str_give_the_same(rerank: CrossrankRerank) -> None:
    given = found(TIDE, BAKERS)
    bundle = QueryBundle(QUESTION, custom_embedding_strs=["something else"])
    assert rerank.postprocess_nodes(given, query_bundle=bundle) == rerank.postprocess_nodes(
        given, query_str=QUESTION
    )
    with pytest.raises(ValueError, match="both"):
        rerank.postprocess_nodes(given, query_bundle=bundle, query_str=QUESTION)


@pytest.mark.parametrize("keep", [False, True])
def test_nodes_are_copied_and_keep_their_metadata(keep: bool, bundled: CrossEncoder) -> None:
    given = found(TIDE, BAKERS, metadata={"page": 4}, excluded_llm_metadata_keys=["page"])
    before = copy.deepcopy(given)
    first, second = CrossrankRerank(model=bundled, keep_retrieval_score=keep).postprocess_nodes(
        given, query_str=QUESTION
    )
    assert first.metadata == {"page": 4} | ({"retrieval_score": given[1].score} if keep else {})
    assert (first.node_id, second.node_id) == ("n1", "n0")
    first.metadata["page"] = second.metadata["mine"] = 5
    assert given == before


def test_retrieval_score_is_read_by_no_model(bundled: CrossEncoder) -> None:
    rerank = CrossrankRerank(model=bundled, keep_retrieval_score=True)
    once = rerank.postprocess_nodes(found(TIDE, BAKERS), query_str=QUESTION)
    assert all(node.node.get_content(metadata_mode=MetadataMode.LLM) == node.text for node in once)
    again = rerank.postprocess_nodes(once, query_str=QUESTION)
    assert [node.score for node in again] == [node.score for node in once]
    assert [node.metadata["retrieval_score"] for node in again] == [node.score for node in once]
    assert all(node.node.excluded_embed_metadata_keys == ["retrieval_score"] for node in again)


def test_model_reads_what_would_be_embedded(rerank: CrossrankRerank, bundled: CrossEncoder) -> None:
    metadata = {"title": "Night work", "page": 4}
    [node] = rerank.postprocess_nodes(
        found(BAKERS, metadata=metadata, excluded_embed_metadata_keys=["page"]), query_str=QUESTION
    )
    [hit] = Reranker(bundled).rank(QUESTION, [f"title: Night work\n\n{BAKERS}"])
    assert node.score == hit.score


def test_top_n_are_the_first_of_all(rerank: CrossrankRerank, bundled: CrossEncoder) -> None:
    given = found(TIDE, BAKERS, "A map.", "Bread is baked from dough.")
    everything = rerank.postprocess_nodes(given, query_str=QUESTION)
    assert len(everything) == 4
    assert CrossrankRerank(model=bundled).postprocess_nodes(given, query_str=QUESTION) == everything[:2]
    with pytest.raises(ValueError, match="top_n"):
        CrossrankRerank(model=bundled, top_n=0)


def test_no_nodes_give_no_nodes(rerank: CrossrankRerank) -> None:
    assert rerank.postprocess_nodes([]) == []
    assert asyncio.run(rerank.apostprocess_nodes([], query_str=QUESTION)) == []


def test_nodes_without_a_question_are_refused(rerank: CrossrankRerank) -> None:
    with pytest.raises(InputError, match="query_str"):
        rerank.postprocess_nodes(found(TIDE))


def test_equal_nodes_keep_their_order(rerank: CrossrankRerank) -> None:
    nodes = rerank.postprocess_nodes(found(*[TIDE] * 4, BAKERS, *[TIDE] * 4), query_str=QUESTION)
    assert [node.node_id for node in nodes] == ["n4", "n0", "n1", "n2", "n3", "n5", "n6", "n7", "n8"]


def test_node_that_cannot_be_read_follows_without_a_score(rerank: CrossrankRerank) -> None:
    nodes = rerank.postprocess_nodes(found(CHINESE, TIDE), query_str=QUESTION)
    assert [(node.text, node.score is None) for node in nodes] == [(TIDE, False), (CHINESE, True)]


def test_cutoff_of_0_divides_logits(bundled: CrossEncoder) -> None:
    rerank = CrossrankRerank(model=bundled, activation="none")
    nodes = rerank.postprocess_nodes(found(TIDE, CHINESE, BAKERS), query_str=QUESTION)
    assert nodes[0].score is not None
    assert nodes[1].score is not None
    assert nodes[0].score > 0 > nodes[1].score
    kept = SimilarityPostprocessor(similarity_cutoff=0.0).postprocess_nodes(nodes)
    assert [node.text for node in kept] == [BAKERS]
    kept = SimilarityPostprocessor(similarity_cutoff=nodes[1].score - 1).postprocess_nodes(nodes)
    assert [node.text for node in kept] == [BAKERS, TIDE]


class OurEmbedding(BaseEmbedding):
    """The bundled bi-encoder, as LlamaIndex wants it."""

    _encoder: BiEncoder

    def __init__(self) -> None:
        super().__init__(model_name="bundled")
        self._encoder = BiEncoder()

    def _get_query_embedding(self, query: str) -> list[float]:
        return [float(x) for x in self._encoder.encode_queries([query])[0]]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return [float(x) for x in self._encoder.encode_documents([text])[0]]


@pytest.fixture(scope="module")
def query_engine(bundled: CrossEncoder) -> BaseQueryEngine:
    nodes = [TextNode(text=text) for text in (TIDE, BAKERS, "Bread is for sale.", "A map of the town.")]
    index = VectorStoreIndex(nodes, embed_model=OurEmbedding())
    rerank = CrossrankRerank(model=bundled, top_n=1, keep_retrieval_score=True)
    return index.as_query_engine(llm=MockLLM(), similarity_top_k=3, node_postprocessors=[rerank])


def test_query_engine_answers_from_the_best_node(query_engine: BaseQueryEngine) -> None:
    response = query_engine.query(QUESTION)
    [node] = response.source_nodes
    assert node.text == BAKERS
    assert 0 < node.metadata["retrieval_score"] < 1
    # The mock language model answers with its prompt.
    assert BAKERS in str(response)
    assert TIDE not in str(response)
    assert "retrieval_score" not in str(response)
    assert asyncio.run(query_engine.aquery(QUESTION)).source_nodes == response.source_nodes


def test_event_loop_goes_on_while_nodes_are_scored(
    query_engine: BaseQueryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rank, loop_went_on = Reranker.rank, threading.Event()

    def rank_after_the_loop(*args: Any, **options: Any) -> Any:
        assert loop_went_on.wait(10), "the event loop stood still"
        return rank(*args, **options)

    async def ask() -> int:
        answer = asyncio.create_task(query_engine.aquery(QUESTION))
        await asyncio.sleep(0.1)
        loop_went_on.set()
        return len((await answer).source_nodes)

    monkeypatch.setattr(Reranker, "rank", rank_after_the_loop)
    assert asyncio.run(ask()) == 1


def test_one_model_serves_many_threads(rerank: CrossrankRerank) -> None:
    given = found(TIDE, BAKERS, "A map of the town.")
    expected = rerank.postprocess_nodes(given, query_str=QUESTION)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: rerank.postprocess_nodes(given, query_str=QUESTION), range(24)))
    assert results == [expected] * 24


def test_reranking_is_seen_by_callbacks_and_instrumentation(bundled: CrossEncoder) -> None:
    seen: list[str] = []

    class Handler(BaseEventHandler):
        def handle(self, event: Any, **kwargs: Any) -> None:
            seen.append(event.class_name())

    debug = LlamaDebugHandler(print_trace_on_end=False)
    dispatcher = get_dispatcher("crossrank.integrations.llama_index")
    dispatcher.add_event_handler(Handler())
    try:
        rerank = CrossrankRerank(model=bundled, callback_manager=CallbackManager([debug]))
        rerank.postprocess_nodes(found(TIDE, BAKERS), query_str=QUESTION)
    finally:
        dispatcher.event_handlers.clear()
    assert seen == ["ReRankStartEvent", "ReRankEndEvent"]
    [[start, end]] = debug.get_event_pairs(CBEventType.RERANKING)
    assert start.payload is not None
    assert end.payload is not None
    assert start.payload["model_name"] == bundled.name
    assert [node.text for node in end.payload["nodes"]] == [BAKERS, TIDE]


def test_postprocessor_can_be_written_down_and_read_back() -> None:
    rerank = CrossrankRerank(top_n=1, keep_retrieval_score=True, activation="none")
    expected = rerank.postprocess_nodes(found(TIDE, BAKERS), query_str=QUESTION)
    for back in (CrossrankRerank.from_dict(rerank.to_dict()), pickle.loads(pickle.dumps(rerank))):
        assert back.to_dict() == rerank.to_dict()
        assert back.postprocess_nodes(found(TIDE, BAKERS), query_str=QUESTION) == expected


def test_local_folder_is_loaded_and_a_missing_one_refused(tiny: CrossEncoder) -> None:
    rerank = CrossrankRerank(model=tiny.name, top_n=1)
    assert rerank.model == tiny.name
    assert len(rerank.postprocess_nodes(found(TIDE, BAKERS), query_str=QUESTION)) == 1
    with pytest.raises(ModelError, match=r"\./nowhere"):
        CrossrankRerank(model="./nowhere")


def test_without_the_library_the_extra_is_named() -> None:
    code = "import sys; sys.modules['llama_index'] = None; import crossrank.integrations.llama_index"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingExtraError" in result.stderr
    assert "pip install 'crossrank[llama-index]'" in result.stderr


@pytest.mark.parametrize(
    ("wrong", "message"), [({"topn": 5}, "did you mean 'top_n'"), ({"device": "cuda"}, "no keyword 'device'")]
)
def test_keyword_that_would_be_ignored_is_a_type_error_with_the_nearest(
    wrong: dict[str, Any], message: str, bundled: CrossEncoder
) -> None:
    with pytest.raises(TypeError, match=message):
        CrossrankRerank(model=bundled, **wrong)


def test_callback_manager_that_is_given_is_used(bundled: CrossEncoder) -> None:
    manager = CallbackManager([])
    assert CrossrankRerank(model=bundled, callback_manager=manager).callback_manager is manager
