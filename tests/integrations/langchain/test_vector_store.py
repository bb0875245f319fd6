"""Loading, embeddings, and the vector store: search, metric, saving."""

from __future__ import annotations

import asyncio
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from support.tiny_models import write_embedder

from crossrank import BiEncoder, InputError
from crossrank.integrations.langchain import FAISS, HuggingFaceEmbeddings, TextLoader

TEXTS = ["A tide table.", "Bakers bake bread.", "Trains run at night.", "Bees dance."]


class Given(Embeddings):
    """Vectors by text."""

    def __init__(self, vectors: dict[str, list[float]], similarity: str | None = None) -> None:
        self.vectors = vectors
        if similarity:
            self.similarity = similarity

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.vectors[text] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.vectors[text]


# The query's neighbours: "far" by the dot product, "along" by the cosine, "near" by the distance.
VECTORS = {"q": [1.0, 0.0], "far": [9.0, 9.0], "along": [3.0, 0.1], "near": [1.0, 0.2]}


@pytest.fixture(scope="module")
def embeddings() -> HuggingFaceEmbeddings:
    return HuggingFaceEmbeddings()


@pytest.fixture
def store(embeddings: HuggingFaceEmbeddings) -> FAISS:
    metadatas = [{"page": i, "kind": "odd" if i % 2 else "even"} for i in range(4)]
    return FAISS.from_texts(TEXTS, embeddings, metadatas, ids=["tide", "bread", "train", "bee"])


@pytest.mark.parametrize(("similarity", "best"), [("dot", "far"), ("cosine", "along"), ("euclidean", "near")])
def test_the_metric_is_the_embedder_s_own(similarity: str, best: str) -> None:
    store = FAISS.from_texts(["far", "along", "near"], Given(VECTORS, similarity))
    assert store.similarity_search("q", k=1)[0].page_content == best
    named = FAISS.from_texts(["far", "along", "near"], Given(VECTORS), distance_strategy=similarity.upper())
    assert named.similarity_search("q", k=1)[0].page_content == best


def test_an_embedder_for_the_dot_product_is_searched_by_it(tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "msmarco-distilbert-dot-v5", "distilbert", normalize=False)
    embeddings = HuggingFaceEmbeddings(model_name=str(folder))
    store = FAISS.from_texts(TEXTS, embeddings)
    query, vectors = embeddings.embed_query("tide"), np.array(embeddings.embed_documents(TEXTS))
    best, score = store.similarity_search_with_score("tide", k=1)[0]
    products = vectors @ np.array(query)
    assert best.page_content == TEXTS[int(products.argmax())]
    assert score == pytest.approx(products.max(), rel=1e-5)


def test_vectors_are_those_of_the_bi_encoder(embeddings: HuggingFaceEmbeddings) -> None:
    expected = BiEncoder().encode_documents(TEXTS)
    np.testing.assert_array_equal(np.array(embeddings.embed_documents(TEXTS), np.float32), expected)
    assert embeddings.embed_documents([]) == []


def test_vectors_get_unit_length_where_asked(tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "embedder", normalize=False)
    plain = HuggingFaceEmbeddings(model_name=folder)
    normal = HuggingFaceEmbeddings(model_name=folder, encode_kwargs={"normalize_embeddings": True})
    assert np.linalg.norm(plain.embed_query("bees")) != pytest.approx(1, abs=0.01)
    assert np.linalg.norm(normal.embed_query("bees")) == pytest.approx(1, abs=1e-6)
    assert normal.client is plain.client


@pytest.mark.parametrize(
    "options",
    [
        {"model_kwargs": {"device": "cuda"}},
        {"encode_kwargs": {"normalise": True}},
        {"query_encode_kwargs": {"prompt": "query: "}},
        {"cache_folder": "models"},
    ],
)
def test_keywords_that_would_be_ignored_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="cannot be"):
        HuggingFaceEmbeddings(**options)


def test_documents_are_found_and_the_caller_s_stay_as_they_are(embeddings: HuggingFaceEmbeddings) -> None:
    documents = [Document(text, metadata={"n": i}) for i, text in enumerate(TEXTS)]
    store = FAISS.from_documents(documents, embeddings)
    (found,) = store.as_retriever(search_kwargs={"k": 1}).invoke("Who bakes bread?")
    found.metadata["n"] = "changed"
    again = store.similarity_search("Who bakes bread?", k=1)[0]
    assert (again.page_content, again.metadata) == ("Bakers bake bread.", {"n": 1})
    assert all(document.id is None for document in documents)


def test_more_are_added_replaced_and_deleted(store: FAISS) -> None:
    assert store.add_documents([Document("Cats purr.", id="cat"), Document("Bees hum.", id="bee")]) == [
        "cat",
        "bee",
    ]
    assert len(store) == 5
    assert store.delete(["tide", "nothing"]) is True
    assert [document.id for document in store.get_by_ids(["bee", "tide", "cat"])] == ["bee", "cat"]
    assert store.similarity_search("Which animal purrs?", k=1)[0].id == "cat"
    with pytest.raises(InputError, match="ids"):
        store.delete()
    assert len(store) == 4


def test_a_filter_is_applied_to_all_documents(store: FAISS) -> None:
    for condition in ({"kind": "even"}, {"page": {"$in": [0, 2]}}, {"$not": {"kind": "odd"}}):
        found = store.similarity_search("Who bakes bread?", k=4, filter=condition)
        assert {document.id for document in found} == {"tide", "train"}
    found = store.similarity_search("Who bakes bread?", k=1, filter=lambda metadata: metadata["page"] > 2)
    assert [document.id for document in found] == ["bee"]
    assert store.similarity_search("bread", filter={"missing": {"$gt": 1}}) == []
    with pytest.raises(InputError, match="no operator"):
        store.similarity_search("bread", filter={"page": {"$near": 1}})


def test_a_threshold_is_at_least_so_much(store: FAISS) -> None:
    ranked = store.similarity_search_with_score("Who bakes bread?", k=4)
    assert [score for _, score in ranked] == sorted((score for _, score in ranked), reverse=True)
    options = {"k": 4, "score_threshold": ranked[1][1]}
    assert len(store.similarity_search("Who bakes bread?", **options)) == 2
    retriever = store.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.5}
    )
    assert [document.id for document in retriever.invoke("Bakers bake bread.")] == ["bread"]


def test_dot_products_have_no_relevance_unless_told_how() -> None:
    options: dict[str, Any] = {
        "search_type": "similarity_score_threshold",
        "search_kwargs": {"score_threshold": 0.5},
    }
    texts = ["far", "along", "near"]
    with pytest.raises(InputError, match="relevance_score_fn"):
        FAISS.from_texts(texts, Given(VECTORS, "dot")).as_retriever(**options).invoke("q")
    told = FAISS.from_texts(texts, Given(VECTORS, "dot"), relevance_score_fn=lambda score: score / 10)
    assert [document.page_content for document in told.as_retriever(**options).invoke("q")] == ["far"]


def test_marginal_relevance_passes_over_doubles(embeddings: HuggingFaceEmbeddings) -> None:
    store = FAISS.from_texts(["Bakers bake bread.", "Bakers bake breads.", "A tide table."], embeddings)
    retriever = store.as_retriever(search_type="mmr", search_kwargs={"k": 2, "lambda_mult": 0.1})
    assert [d.page_content for d in retriever.invoke("Bakers bake bread.")] == [
        "Bakers bake bread.",
        "A tide table.",
    ]


def test_lists_that_do_not_match_are_refused(embeddings: HuggingFaceEmbeddings) -> None:
    store = FAISS(embeddings)
    with pytest.raises(InputError, match="2 texts and 1 metadatas"):
        store.add_texts(["a", "b"], [{}])
    with pytest.raises(InputError, match="twice"):
        store.add_texts(["a", "b"], ids=["1", "1"])
    with pytest.raises(InputError, match="single string"):
        store.add_texts("text")
    assert store.add_texts([]) == []
    assert store.similarity_search("anything") == []


def test_threads_may_add_and_search_at_once() -> None:
    store = FAISS(DeterministicFakeEmbedding(size=8))

    def work(number: int) -> None:
        store.add_texts([f"{number} {i}" for i in range(20)])
        assert store.similarity_search(f"{number} 7", k=1)[0].page_content == f"{number} 7"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(store) == 160


def test_what_is_saved_is_loaded(store: FAISS, embeddings: HuggingFaceEmbeddings, tmp_path: Path) -> None:
    store.save_local(tmp_path / "new" / "folder")
    assert [file.name for file in (tmp_path / "new" / "folder").iterdir()] == ["index.npz"]
    loaded = FAISS.load_local(
        str(tmp_path / "new" / "folder"), embeddings, allow_dangerous_deserialization=True
    )
    question = "Who bakes bread?"
    assert loaded.similarity_search_with_score(question) == store.similarity_search_with_score(question)
    loaded.add_texts(["Cats purr."])
    assert len(loaded) == 5
    empty = FAISS(embeddings)
    empty.save_local(tmp_path)
    assert len(FAISS.load_local(tmp_path, embeddings)) == 0


class _Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("sprung",)


def test_a_pickle_is_never_opened(
    store: FAISS, embeddings: HuggingFaceEmbeddings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "index.pkl").write_bytes(pickle.dumps(_Trap()))
    with pytest.raises(InputError, match="is never opened here"):
        FAISS.load_local(tmp_path, embeddings, allow_dangerous_deserialization=True)
    store.save_local(tmp_path)
    assert len(FAISS.load_local(tmp_path, embeddings)) == 4
    # Neither next to the file, nor in its place, nor within it.
    (tmp_path / "index.npz").write_bytes(pickle.dumps(_Trap()))
    with pytest.raises(InputError, match="cannot be read"):
        FAISS.load_local(tmp_path, embeddings)
    trap = np.array([_Trap()], dtype=object)
    np.savez(tmp_path / "index.npz", vectors=trap, content=trap)
    with pytest.raises(InputError, match="cannot be read"):
        FAISS.load_local(tmp_path, embeddings)
    assert not (tmp_path / "sprung").exists()


def test_a_damaged_file_is_said_to_be(
    store: FAISS, embeddings: HuggingFaceEmbeddings, tmp_path: Path
) -> None:
    store.save_local(tmp_path)
    file = tmp_path / "index.npz"
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(InputError, match="cannot be read"):
        FAISS.load_local(tmp_path, embeddings)
    with pytest.raises(InputError, match="save_local"):
        FAISS.load_local(tmp_path / "nowhere", embeddings)


def test_a_save_that_fails_leaves_what_was_there(store: FAISS, tmp_path: Path) -> None:
    store.save_local(tmp_path)
    before = (tmp_path / "index.npz").read_bytes()
    store.add_texts(["Cats purr."], [{"path": Path("cats")}])
    with pytest.raises(InputError, match="JSON"):
        store.save_local(tmp_path)
    assert (tmp_path / "index.npz").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["index.npz"]


def test_another_embedder_is_noticed(store: FAISS, tmp_path: Path) -> None:
    store.save_local(tmp_path)
    other = HuggingFaceEmbeddings(model_name=write_embedder(tmp_path / "embedder"))
    with pytest.raises(InputError, match="another embedder"):
        FAISS.load_local(tmp_path, other)


def test_the_event_loop_goes_on_while_documents_are_indexed(embeddings: HuggingFaceEmbeddings) -> None:
    async def ticks() -> int:
        texts = ["Bakers bake bread, and rise early for it. " * 20 + str(i) for i in range(100)]
        indexing = asyncio.create_task(FAISS.afrom_texts(texts, embeddings))
        count = 0
        while not indexing.done():
            await asyncio.sleep(0.005)
            count += 1
        assert len(await (await indexing).asimilarity_search("bread", k=3)) == 3
        return count

    assert asyncio.run(ticks()) > 10


def test_a_text_file_is_one_document(tmp_path: Path) -> None:
    file = tmp_path / "café.txt"
    file.write_bytes(b"\xef\xbb\xbfCaf\xc3\xa9\r\nTea")
    (document,) = TextLoader(str(file)).load()
    assert document == Document("Café\nTea", metadata={"source": str(file)})


def test_other_encodings_are_named_or_detected(tmp_path: Path) -> None:
    file = tmp_path / "old.txt"
    file.write_bytes("Café".encode("cp1252"))
    with pytest.raises(InputError, match="encoding='cp1252'"):
        TextLoader(file).load()
    assert TextLoader(file, encoding="cp1252").load()[0].page_content == "Café"
    assert TextLoader(file, autodetect_encoding=True).load()[0].page_content == "Café"
    file.write_bytes("Café".encode("utf-16"))
    assert TextLoader(file, autodetect_encoding=True).load()[0].page_content == "Café"
    with pytest.raises(InputError, match="cannot be read"):
        TextLoader(tmp_path / "missing.txt").load()
