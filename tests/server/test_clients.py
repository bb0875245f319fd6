"""The clients that people use, from PyPI, against a server on loopback: docs/serving.md has what they return.

They are in an environment of their own (`make test-all`), since they bring a hundred packages.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.front import call, in_front_of
from support.serving import Served, serving

from crossrank.inference.cross_encoder import CrossEncoder

pytestmark = pytest.mark.clients
QUERY = "Who bakes bread?"
TEXTS = ["A tide table.", "Bakers bake bread.", "Bread is sold in the morning."]
ORDER = [1, 2, 0]
DOCS = Path(__file__).parents[2] / "docs" / "serving.md"
Ranked = list[tuple[int, float]]
# Packages read keys and settings from the environment when they are imported.
ENVIRONMENT = {
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "NO_PROXY": "127.0.0.1,localhost",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "eu-west-1",
}
KEY = "correct-horse-battery"


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def local(self: socket.socket, address: Any) -> None:
        assert not isinstance(address, tuple) or address[0] in {"127.0.0.1", "::1", "localhost"}, address
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """With a key, which each client sends in its own way."""
    with serving(environment={"CROSSRANK_API_KEY": KEY}) as running:
        yield running


@pytest.fixture(scope="module")
def offline() -> CrossEncoder:
    return CrossEncoder()


def by_text(pairs: list[tuple[str, float]]) -> Ranked:
    return [(TEXTS.index(text), score) for text, score in pairs]


def cohere_v2(url: str) -> Ranked:
    import cohere

    answer = cohere.ClientV2(api_key=KEY, base_url=url).rerank(model="any", query=QUERY, documents=TEXTS)
    assert answer.meta.billed_units.search_units == 1
    assert answer.meta.warnings is None
    return [(row.index, row.relevance_score) for row in answer.results]


def cohere_v1(url: str) -> Ranked:
    import cohere

    documents = [{"text": text, "id": str(number)} for number, text in enumerate(TEXTS)]
    client = cohere.Client(api_key=KEY, base_url=url)
    answer = client.rerank(query=QUERY, documents=documents, rank_fields=["text"], return_documents=True)
    for row in answer.results:
        assert row.document.text == TEXTS[row.index]
        assert row.document.id == str(row.index)
    assert len(client.rerank(query=QUERY, documents=TEXTS, top_n=2).results) == 2
    return [(row.index, row.relevance_score) for row in answer.results]


def cohere_v1_with_v1_in_its_url(url: str) -> Ranked:
    return cohere_v1(f"{url}/v1")


def voyageai(url: str) -> Ranked:
    import voyageai

    client = voyageai.Client(api_key=KEY, base_url=f"{url}/v1")
    answer = client.rerank(QUERY, TEXTS, model="rerank-2.5")
    assert answer.total_tokens > 0
    assert [row.document for row in answer.results] == [TEXTS[row.index] for row in answer.results]
    assert len(client.rerank(QUERY, TEXTS, model="rerank-2.5", top_k=1).results) == 1
    return [(row.index, row.relevance_score) for row in answer.results]


def litellm(model: str, path: str = "") -> Callable[[str], Ranked]:
    def rank(url: str) -> Ranked:
        import litellm

        answer = litellm.rerank(
            model=model, query=QUERY, documents=TEXTS, api_base=url + path, api_key=KEY, top_n=3
        )
        assert len(answer.results) == 3
        return [(row["index"], row["relevance_score"]) for row in answer.results]

    return rank


def litellm_nim(url: str) -> Ranked:
    ranked = litellm("nvidia_nim/ranking/crossrank-minilm-l6")(url)
    return [(index, sigmoid(logit)) for index, logit in ranked]


def langchain_cohere(url: str) -> Ranked:
    from langchain_cohere import CohereRerank

    reranker = CohereRerank(base_url=url, cohere_api_key=KEY, model="any", top_n=None)
    return [(row["index"], row["relevance_score"]) for row in reranker.rerank(TEXTS, QUERY)]


def langchain_jina(url: str) -> Ranked:
    from langchain_community.document_compressors import jina_rerank

    before, jina_rerank.JINA_API_URL = jina_rerank.JINA_API_URL, f"{url}/v1/rerank"
    try:
        reranker = jina_rerank.JinaRerank(jina_api_key=KEY, top_n=None)
        return [(row["index"], row["relevance_score"]) for row in reranker.rerank(TEXTS, QUERY)]
    finally:
        jina_rerank.JINA_API_URL = before


def langchain_nvidia(url: str) -> Ranked:
    from langchain_core.documents import Document
    from langchain_nvidia_ai_endpoints import NVIDIARerank

    reranker = NVIDIARerank(base_url=f"{url}/v1", model="crossrank-minilm-l6", api_key=KEY, truncate="END")
    ranked = reranker.compress_documents([Document(page_content=text) for text in TEXTS], QUERY)
    return by_text([(hit.page_content, sigmoid(hit.metadata["relevance_score"])) for hit in ranked])


def llama_index(reranker: Any) -> Ranked:
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

    nodes = [NodeWithScore(node=TextNode(text=text), score=0.5) for text in TEXTS]
    ranked = reranker.postprocess_nodes(nodes, query_bundle=QueryBundle(QUERY))
    return by_text([(hit.node.text, hit.score) for hit in ranked])


def llama_index_cohere(url: str) -> Ranked:
    from llama_index.postprocessor.cohere_rerank import CohereRerank

    return llama_index(CohereRerank(top_n=3, api_key=KEY, base_url=url))


def llama_index_jina(url: str) -> Ranked:
    from llama_index.postprocessor.jinaai_rerank import JinaRerank

    return llama_index(JinaRerank(top_n=3, base_url=f"{url}/v1", api_key=KEY))


def llama_index_tei(url: str) -> Ranked:
    from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

    return llama_index(TextEmbeddingInference(top_n=3, base_url=url, auth_token=KEY))


def haystack(ranker: Any) -> Ranked:
    from haystack import Document

    ranked = ranker.run(query=QUERY, documents=[Document(content=text) for text in TEXTS])["documents"]
    return by_text([(hit.content, hit.score) for hit in ranked])


def haystack_cohere(url: str) -> Ranked:
    from haystack.utils import Secret
    from haystack_integrations.components.rankers.cohere import CohereRanker

    return haystack(CohereRanker(model="any", api_key=Secret.from_token(KEY), api_base_url=url))


def haystack_jina(url: str) -> Ranked:
    from haystack.utils import Secret
    from haystack_integrations.components.rankers.jina import JinaRanker

    return haystack(JinaRanker(api_key=Secret.from_token(KEY), base_url=f"{url}/v1/rerank"))


def haystack_tei(url: str) -> Ranked:
    from haystack.utils import Secret
    from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker

    return haystack(HuggingFaceTEIRanker(url=url, token=Secret.from_token(KEY), raw_scores=False))


def pinecone(url: str) -> Ranked:
    from pinecone import Pinecone

    documents = [{"id": str(number), "text": text} for number, text in enumerate(TEXTS)]
    answer = Pinecone(api_key=KEY, host=url).inference.rerank(
        model="any", query=QUERY, documents=documents, parameters={"truncate": "END"}
    )
    assert [row.document["id"] for row in answer.data] == [str(row.index) for row in answer.data]
    return [(row.index, row.score) for row in answer.data]


def infinity_client(url: str) -> Ranked:
    from infinity_client import AuthenticatedClient
    from infinity_client.api.default import rerank
    from infinity_client.models import RerankInput

    answer = rerank.sync(
        client=AuthenticatedClient(base_url=url, token=KEY),
        body=RerankInput(query=QUERY, documents=TEXTS, return_documents=True),
    )
    assert [row.document for row in answer.results] == [TEXTS[row.index] for row in answer.results]
    return [(row.index, row.relevance_score) for row in answer.results]


def boto3(url: str) -> Ranked:
    import boto3

    with in_front_of(url, {"Authorization": f"Bearer {KEY}"}) as runtime:
        client = boto3.client("sagemaker-runtime", endpoint_url=runtime)
        body = json.dumps({"query": QUERY, "documents": TEXTS})
        answer = client.invoke_endpoint(EndpointName="a", ContentType="application/json", Body=body)
        results = json.loads(answer["Body"].read())["results"]
    return [(row["index"], sigmoid(row["score"])) for row in results]


def sigmoid(logit: float) -> float:
    return 1 / (1 + float(np.exp(-logit)))


CLIENTS: dict[str, Callable[[str], Ranked]] = {
    "cohere, ClientV2": cohere_v2,
    "cohere, Client": cohere_v1,
    "cohere, Client, base URL with /v1": cohere_v1_with_v1_in_its_url,
    "voyageai": voyageai,
    "litellm, hosted_vllm/": litellm("hosted_vllm/any"),
    "litellm, infinity/": litellm("infinity/any", "/infinity"),
    "litellm, huggingface/": litellm("huggingface/any"),
    "litellm, jina_ai/": litellm("jina_ai/any"),
    "litellm, cohere/": litellm("cohere/any"),
    "litellm, voyage/": litellm("voyage/any", "/v1/rerank"),
    "litellm, nvidia_nim/": litellm_nim,
    "langchain-cohere, CohereRerank": langchain_cohere,
    "langchain-community, JinaRerank": langchain_jina,
    "langchain-nvidia-ai-endpoints, NVIDIARerank": langchain_nvidia,
    "llama-index-postprocessor-cohere-rerank": llama_index_cohere,
    "llama-index-postprocessor-jinaai-rerank": llama_index_jina,
    "llama-index-postprocessor-tei-rerank": llama_index_tei,
    "cohere-haystack, CohereRanker": haystack_cohere,
    "jina-haystack, JinaRanker": haystack_jina,
    "huggingface-api-haystack, HuggingFaceTEIRanker": haystack_tei,
    "pinecone": pinecone,
    "infinity-client": infinity_client,
    "boto3, sagemaker-runtime": boto3,
}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_gets_every_document_in_order_with_the_score_that_it_has_offline(
    name: str, served: Served, offline: CrossEncoder
) -> None:
    ranked = CLIENTS[name](served.url)
    assert [index for index, _ in ranked] == ORDER
    expected = offline.predict([(QUERY, text) for text in TEXTS], activation_fn="sigmoid")
    np.testing.assert_allclose([score for _, score in ranked], expected[ORDER], rtol=1e-6)
    row = next(line for line in DOCS.read_text().splitlines() if line.startswith(f"| {name} | "))
    documented = re.findall(r"\((\d), (\d\.\d\d)\)", row)
    assert [int(index) for index, _ in documented] == ORDER
    # The arithmetic depends on the processor.
    np.testing.assert_allclose([float(score) for _, score in documented], expected[ORDER], atol=0.02)


def test_coheres_client_shows_our_message(served: Served) -> None:
    import cohere

    client = cohere.ClientV2(api_key=KEY, base_url=served.url)
    with pytest.raises(cohere.BadRequestError) as caught:
        client.rerank(model="any", query=" ", documents=TEXTS)
    assert caught.value.body["message"] == "query is empty; send the question or the search terms"


def test_voyages_client_shows_our_message(served: Served) -> None:
    import voyageai

    client = voyageai.Client(api_key=KEY, base_url=f"{served.url}/v1")
    with pytest.raises(voyageai.error.InvalidRequestError, match="documents is empty"):
        client.rerank(QUERY, [], model="any")
    with pytest.raises(voyageai.error.InvalidRequestError, match="tokens too long for the model"):
        client.rerank(QUERY, ["bread " * 1000], model="any", truncation=False)


def test_haystacks_tei_ranker_shows_our_message(served: Served) -> None:
    from haystack import Document
    from haystack.utils import Secret
    from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker

    ranker = HuggingFaceTEIRanker(url=served.url, token=Secret.from_token(KEY), max_retries=0)
    with pytest.raises(Exception, match=r"query is empty|400"):
        ranker.run(query=" ", documents=[Document(content="a")])


def test_jinas_clients_show_our_message(served: Served) -> None:
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
    from llama_index.postprocessor.jinaai_rerank import JinaRerank

    reranker = JinaRerank(top_n=3, base_url=f"{served.url}/v1", api_key=KEY)
    with pytest.raises(RuntimeError, match="query is empty"):
        reranker.postprocess_nodes([NodeWithScore(node=TextNode(text="a"))], query_bundle=QueryBundle(" "))


def test_litellm_shows_our_message(served: Served) -> None:
    import litellm

    with pytest.raises(Exception, match="query is empty"):
        litellm.rerank(model="hosted_vllm/any", query=" ", documents=TEXTS, api_base=served.url, api_key=KEY)


def test_a_wrong_key_is_an_error_of_the_client(served: Served) -> None:
    import cohere
    import voyageai
    from pinecone import Pinecone
    from pinecone.exceptions import UnauthorizedException

    with pytest.raises(cohere.UnauthorizedError, match="the key is missing or wrong"):
        cohere.ClientV2(api_key="wrong", base_url=served.url).rerank(
            model="any", query=QUERY, documents=TEXTS
        )
    with pytest.raises(voyageai.error.AuthenticationError, match="the key is missing or wrong"):
        voyageai.Client(api_key="wrong", base_url=f"{served.url}/v1").rerank(QUERY, TEXTS, model="any")
    with pytest.raises(UnauthorizedException, match="the key is missing or wrong"):
        Pinecone(api_key="wrong", host=served.url).inference.rerank(model="any", query=QUERY, documents=TEXTS)


def test_coheres_client_waits_as_long_as_it_is_told_when_the_server_is_busy() -> None:
    import cohere

    busy = {"query": QUERY, "documents": [f"bread {n} " * 100 for n in range(600)]}
    with serving("--max-requests", "1") as small, ThreadPoolExecutor(1) as other:
        large = other.submit(call, f"{small.url}/v2/rerank", json.dumps(busy).encode())
        while "crossrank_waiting_requests 1" not in call(f"{small.url}/metrics")[1].decode():
            time.sleep(0.01)
        client = cohere.ClientV2(api_key=KEY, base_url=small.url)
        answer = client.rerank(model="any", query=QUERY, documents=TEXTS, request_options={"max_retries": 60})
        assert [row.index for row in answer.results] == ORDER
        assert large.result()[0] == 200
        counted = call(f"{small.url}/metrics")[1].decode()
    assert 'crossrank_requests_total{api="Cohere v2",status="429"}' in counted
