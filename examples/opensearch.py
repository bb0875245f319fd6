"""Search an OpenSearch index by words and vectors, and rerank what is found.

python examples/opensearch.py http://localhost:9200 FOLDER QUESTION...

Written against the documentation of OpenSearch 3. The passages are written to the index ``passages``; to
search an index of your own, change the names of the fields. Elasticsearch has the same API except for
vectors: see ``INDEX`` and ``nearest``.
"""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any

import numpy as np

from crossrank import BiEncoder, Candidate, Document, Searcher, load_documents, split_documents
from crossrank.index.filters import Condition, parse_filters
from crossrank.retrieval.fusion import reciprocal_rank_fusion

# A vector of the bundled bi-encoder has 384 numbers. In Elasticsearch, its mapping is
# {"type": "dense_vector", "dims": 384, "similarity": "cosine"}, and the settings of the index are
# {"index.mapping.exclude_source_vectors": false}.
INDEX = {
    "settings": {"index": {"knn": True}},
    "mappings": {
        "dynamic_templates": [{"metadata": {"match_mapping_type": "string", "mapping": {"type": "keyword"}}}],
        "properties": {
            "title": {"type": "text", "copy_to": "words"},
            "text": {"type": "text", "copy_to": "words"},
            "words": {"type": "text", "analyzer": "english"},
            "vector": {"type": "knn_vector", "dimension": 384, "space_type": "cosinesimil"},
        },
    },
}


def nearest(vector: list[float], k: int, conditions: list[dict[str, Any]]) -> dict[str, Any]:
    """The search by vectors; Elasticsearch: ``{"knn": {"field": "vector", "query_vector": vector, ...}}``."""
    options: dict[str, Any] = {"filter": {"bool": {"filter": conditions}}} if conditions else {}
    return {"knn": {"vector": {"vector": vector, "k": k, **options}}}


class OpenSearchRetriever:
    """A first stage over the index: its rankings by words and by vectors, fused."""

    def __init__(self, address: str, embedder: BiEncoder) -> None:
        self.address, self.embedder = address, embedder

    def retrieve(self, query: str, k: int, *, filters: str | Iterable[str] = ()) -> list[Candidate]:
        """The best ``k`` documents, with what words and vectors say about each."""
        vector = self.embedder.encode_queries([query])[0]
        conditions = [clause(condition) for condition in parse_filters(filters)]
        words, depth = {"match": {"words": {"query": query}}}, max(k, 100)
        searches = {
            "lexical": {"bool": {"must": words, "filter": conditions}},
            "dense": nearest(vector.tolist(), depth, conditions),
        }
        bodies = [{"query": search, "size": depth, "_source": False} for search in searches.values()]
        lines = [line for body in bodies for line in ({}, body)]
        answers = send(f"{self.address}/passages/_msearch", *lines)["responses"]
        found = {name: hits(answer) for name, answer in zip(searches, answers, strict=True)}
        ids = sorted({hit["_id"] for ranking in found.values() for hit in ranking})
        rankings = {name: [ids.index(hit["_id"]) for hit in ranking] for name, ranking in found.items()}
        fused = reciprocal_rank_fusion(rankings)[:k]
        if not fused:
            return []

        # A second search, for the best alone: texts and vectors, and BM25 where only vectors found them.
        chosen = {"ids": {"values": [ids[number] for number, *_ in fused]}}
        body = {"query": {"bool": {"filter": [chosen], "should": [words]}}, "size": len(fused)}
        answer = send(f"{self.address}/passages/_search", body)
        rows = {hit["_id"]: hit for hit in hits(answer)}
        best = max((hit["_score"] for hit in found["lexical"]), default=1.0)
        return [
            Candidate(
                Document(ids[number], row["text"], row["title"], row["metadata"]),
                rank,
                score,
                ranks,
                evidence={"similarity": cosine(vector, row["vector"]), "word_match": bm25 / best},
                embedder=self.embedder.fingerprint,
            )
            for rank, (number, score, ranks) in enumerate(fused, start=1)
            for bm25, row in [(rows[ids[number]]["_score"], rows[ids[number]]["_source"])]
        ]


def clause(condition: Condition) -> dict[str, Any]:
    """A filter such as ``year>=2020`` as a query: ``{"range": {"metadata.year": {"gte": "2020"}}}``."""
    field, operators = f"metadata.{condition.field}", {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
    if condition.operator in operators:
        return {"range": {field: {operators[condition.operator]: condition.text}}}
    same = {"term": {field: {"value": condition.text}}}
    return {"bool": {"must_not": [same]}} if condition.operator == "!=" else same


def cosine(one: np.ndarray, other: list[float]) -> float:
    """The cosine of two vectors."""
    return float(one @ np.array(other, dtype=np.float32) / (np.linalg.norm(one) * np.linalg.norm(other)))


def hits(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """What a search found; the answer to one of several searches may be an error."""
    if "error" in answer:
        raise RuntimeError(f"OpenSearch: {json.dumps(answer['error'])[:500]}")
    return list(answer["hits"]["hits"])


def send(url: str, *lines: dict[str, Any], method: str = "POST") -> dict[str, Any]:
    """Send JSON, one object or one a line. Add what your cluster needs, such as a header with a password."""
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    kind = "application/json" if len(lines) == 1 else "application/x-ndjson"
    request = urllib.request.Request(url, body, {"Content-Type": kind}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return dict(json.load(response))
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"OpenSearch: {error.read(500).decode(errors='replace')}") from error


def add(address: str, embedder: BiEncoder, passages: list[Document]) -> None:
    """Write passages to the index, which is created if there is none; those with the same id are replaced."""
    try:
        send(f"{address}/passages", INDEX, method="PUT")
    except RuntimeError as error:
        if "resource_already_exists_exception" not in str(error):
            raise
    vectors = embedder.encode_documents([passage.content for passage in passages])
    for start in range(0, len(passages), 500):
        lines: list[dict[str, Any]] = []
        for passage, vector in zip(passages[start : start + 500], vectors[start : start + 500], strict=True):
            row = {"title": passage.title, "text": passage.text, "metadata": dict(passage.metadata)}
            lines += [{"index": {"_id": passage.id}}, row | {"vector": vector.tolist()}]
        if send(f"{address}/passages/_bulk?refresh=true", *lines)["errors"]:
            raise RuntimeError("OpenSearch did not take all passages")


def main(address: str, folder: str, questions: list[str]) -> None:
    """Write the folder to the index, then answer each question."""
    embedder = BiEncoder()
    add(address, embedder, split_documents(load_documents([folder]).documents))
    searcher = Searcher(OpenSearchRetriever(address, embedder))
    for question in questions:
        print(question)
        for hit in searcher.search(question, candidates=20, top_n=3):
            print(f"  {hit.rank}. {hit.score:.4f}  {hit.document.id}  {' '.join(hit.text.split())[:80]}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
