"""How large an embedder's similarities are, and a search with an embedder that the weights are not for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from crossrank import Reranker, Searcher
from crossrank.inference import Similarity
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.interpolation import EvidenceWeights, Interpolation
from crossrank.inference.machine_cache import remembered
from crossrank.retrieval import similarity_scale as measuring
from crossrank.retrieval.memory import MemoryRetriever
from crossrank.retrieval.similarity_scale import similarity_scale
from crossrank.search import rescaled_interpolation

PASSAGES = ["The baker bakes bread.", "Bees find flowers.", "The tide follows the moon.", "Trains are late."]
QUESTION = "Who bakes the bread?"
Vectors = NDArray[np.float32]


class Changed:
    """The bundled embedder with other vectors."""

    def __init__(self, change: Callable[[Vectors], Vectors], similarity: Similarity = "cosine") -> None:
        self._own, self._change = BiEncoder(), change
        self.similarity, self.fingerprint = similarity, f"changed {id(self)}"
        self.encoded = 0

    def encode_queries(self, texts: list[str], /) -> Vectors:
        self.encoded += len(texts)
        return self._change(self._own.encode_queries(texts))

    def encode_documents(
        self, texts: list[str], /, *, progress: Callable[[int], object] | None = None
    ) -> Vectors:
        self.encoded += len(texts)
        return self._change(self._own.encode_documents(texts, progress=progress))


def narrow(vectors: Vectors) -> Vectors:
    """All cosines become a fifth of themselves plus 0.8, as some models' are."""
    return np.hstack([vectors, np.full((len(vectors), 1), 2.0, np.float32)])


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(measuring, "_known", {})


def test_the_bundled_model_knows_its_embedder_s_similarities(bundled: CrossEncoder) -> None:
    assert bundled.interpolation is not None
    assert bundled.interpolation.scale is not None
    found = similarity_scale(BiEncoder())
    assert found is not None
    assert bundled.interpolation.scale.mean == pytest.approx(found.mean, abs=0.003)
    assert bundled.interpolation.scale.deviation == pytest.approx(found.deviation, rel=0.02)


@pytest.mark.parametrize(("change", "similarity"), [(narrow, "cosine"), (lambda vectors: 7 * vectors, "dot")])
def test_a_search_ranks_alike_however_large_an_embedder_s_similarities_are(
    change: Callable[[Vectors], Vectors], similarity: Similarity, bundled: CrossEncoder
) -> None:
    own = Searcher(PASSAGES, model=bundled).search(QUESTION, top_n=None)
    retriever = MemoryRetriever(PASSAGES, embedder=Changed(change, similarity))
    other = Searcher(retriever, model=bundled).search(QUESTION, top_n=None)
    assert other.notices == ()
    assert [hit.text for hit in other] == [hit.text for hit in own]
    sums = [hit.combined_logit for hit in own]
    assert [hit.combined_logit for hit in other] == pytest.approx(sums, abs=0.1)
    assert abs(other[0].candidate.evidence["similarity"] - own[0].candidate.evidence["similarity"]) > 0.1


def test_an_embedder_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = Changed(narrow)
    found = similarity_scale(embedder)
    assert found is not None
    assert 0.8 < found.mean < 0.85
    encoded = embedder.encoded
    assert 0 < encoded < 70
    monkeypatch.setattr(measuring, "_known", {})  # another process
    assert similarity_scale(embedder) == found == similarity_scale(embedder)
    assert embedder.encoded == encoded


def test_what_was_kept_and_then_altered_is_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = Changed(narrow)
    found = similarity_scale(embedder)
    file = tmp_path / "cache" / "precision.json"
    for altered in ("bread", None, {"mean": 0.0, "deviation": 0.0}, {"mean": "much", "deviation": 1.0}, [1]):
        content = json.loads(file.read_text())
        content["similarities"][embedder.fingerprint] = altered
        file.write_text(json.dumps(content))
        monkeypatch.setattr(measuring, "_known", {})
        assert similarity_scale(embedder) == found
        assert remembered("similarities", embedder.fingerprint) == {
            "mean": found.mean if found else None,
            "deviation": found.deviation if found else None,
        }


def test_fast_reads_as_full_does_and_says_so(bundled: CrossEncoder) -> None:
    retriever = MemoryRetriever(PASSAGES, embedder=Changed(narrow))
    ranking = Searcher(retriever, model=bundled).search(QUESTION, effort="fast")
    assert "such as the bundled one with the bundled embedder" in " ".join(ranking.notices)


def test_an_embedder_without_numbers_cannot_be_measured() -> None:
    assert similarity_scale(Changed(lambda vectors: vectors * np.nan)) is None


def test_weights_that_were_learnt_for_a_former_embedder_are_not_used(bundled: CrossEncoder) -> None:
    learnt = EvidenceWeights(logit=0.0, constant=0.0, similarity=1.0)

    class Kept(MemoryRetriever):
        def interpolations(self) -> dict[str, Interpolation]:
            return {bundled.fingerprint: Interpolation("former", self.learnt_for, (learnt,))}

    retriever = Kept(PASSAGES, embedder=Changed(narrow))
    retriever.learnt_for = retriever.embedder.fingerprint
    assert Searcher(retriever, model=bundled).search(QUESTION)[0].contributions["logit"] == 0
    retriever.learnt_for = "former"
    assert Searcher(retriever, model=bundled).search(QUESTION)[0].contributions["logit"] != 0


def test_an_embedder_that_tells_nothing_apart_is_not_counted(bundled: CrossEncoder) -> None:
    embedder = Changed(np.ones_like)
    assert similarity_scale(embedder) is None
    retriever = MemoryRetriever(PASSAGES, embedder=embedder)
    ranking = Searcher(retriever, model=bundled).search(QUESTION)
    assert "similarity" not in ranking[0].contributions
    assert "similarities are not counted" in " ".join(ranking.notices)


def test_a_reranker_by_itself_names_the_searcher_that_would_count_them(bundled: CrossEncoder) -> None:
    found = MemoryRetriever(PASSAGES, embedder=Changed(narrow)).retrieve(QUESTION, 4)
    (notice,) = Reranker(bundled).rank(QUESTION, found).notices
    assert "similarities are not counted" in notice
    assert "search with a Searcher whose retriever has an attribute 'embedder'" in notice


def test_a_first_stage_of_another_make_may_have_an_embedder_of_another_kind(bundled: CrossEncoder) -> None:
    class Own(MemoryRetriever):
        embedder = "text-embedding-3-small"  # type: ignore[assignment]

    retriever = Own.__new__(Own)
    assert rescaled_interpolation(retriever, bundled) == bundled.interpolation


def test_nothing_is_measured_for_the_embedder_that_the_weights_are_for(
    bundled: CrossEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    retriever = MemoryRetriever(PASSAGES, embedder=BiEncoder())
    assert rescaled_interpolation(retriever, bundled) == bundled.interpolation
    assert measuring._known == {}
