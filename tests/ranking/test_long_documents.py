from __future__ import annotations

import warnings
from copy import copy
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank import Candidate, CrossEncoder, Document, InputError, Reranker, Searcher, TruncationWarning
from crossrank.documents import WORD_MATCH
from crossrank.inference.interpolation import EvidenceWeights, Interpolation
from crossrank.inference.scorer import PairScorer
from crossrank.ranking.long_documents import parts_of, windows

QUESTION = "Who bakes bread?"
ANSWER = "Bakers bake bread at night."
FILLER = "Trains run along the coast in summer. "
LONG = FILLER * 100 + ANSWER + " " + FILLER * 100
SHORT = ["A tide table.", "Bread is on the table.", "Bees dance in the morning."]


@pytest.fixture(scope="module")
def reranker(bundled: CrossEncoder) -> Reranker:
    return Reranker(bundled)


def test_windows_find_what_truncation_loses(reranker: Reranker) -> None:
    with pytest.warns(TruncationWarning):
        cut = reranker.rank(QUESTION, [*SHORT, LONG])
    assert cut[0].text != LONG
    ranking = reranker.rank(QUESTION, [*SHORT, LONG], long_documents="windows")
    first = ranking[0]
    assert (first.text, first.truncated_tokens, ranking.truncated_tokens) == (LONG, 0, 0)
    assert first.window is not None
    assert ANSWER in LONG[first.window.start : first.window.end]
    assert 1 < first.window.number < first.window.count
    # Documents that fit are read at once, with the same scores.
    assert {hit.text: hit.score for hit in ranking[1:]} == {
        hit.text: hit.score for hit in cut if hit.text != LONG
    }
    assert all(hit.window is None for hit in ranking[1:])


def test_score_of_windows_is_their_maximum_or_the_mean_of_the_best(
    reranker: Reranker, bundled: CrossEncoder
) -> None:
    title = "On bread"
    parts = _windows(bundled, Document("1", LONG, title))
    alone = sorted(bundled.logits([(QUESTION, text) for text in parts])[0].tolist(), reverse=True)
    for best in (1, 2, 100):
        [hit] = reranker.rank(
            QUESTION, [Document("1", LONG, title)], long_documents="windows", best_windows=best
        )
        assert hit.logit == pytest.approx(np.mean(alone[:best]), abs=1e-5)


def _windows(model: CrossEncoder, document: Document) -> list[str]:
    [parts] = parts_of(model, [(QUESTION, document)], "windows")
    assert len(parts) > 3
    for part in parts:
        assert part.window is not None
        assert part.text == f"{document.title}\n{document.text[part.window.start : part.window.end]}"
    return [part.text for part in parts]


def test_first_reads_whole_sentences_of_the_beginning_and_does_not_warn(reranker: Reranker) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ranking = reranker.rank(
            QUESTION, [ANSWER + " " + LONG], long_documents="first", on_truncation="error"
        )
    window = ranking[0].window
    assert window is not None
    assert (window.start, window.number) == (0, 1)
    assert ranking[0].text[: window.end].endswith("summer.")
    assert ranking.notices == ()
    assert ranking.truncated_tokens == ranking[0].truncated_tokens > 500


def test_windows_of_all_documents_share_batches(bundled: CrossEncoder) -> None:
    class Counting(CrossEncoder):
        calls: list[int]

        def logits(self, pairs, **options):  # type: ignore[no-untyped-def]
            self.calls.append(len(pairs))
            return super().logits(pairs, **options)

    model = Counting()
    model.calls = []
    done: list[int] = []
    asked = [(QUESTION, [LONG, *SHORT]), ("Where do trains run?", [LONG])]
    rankings = Reranker(model).rank_many(asked, long_documents="windows", progress=done.append)
    assert len(model.calls) == 1
    assert model.calls[0] > 8
    assert sum(done) == 5, "progress counts candidates, not windows"
    for ranking, (query, texts) in zip(rankings, asked, strict=True):
        assert ranking.hits == Reranker(bundled).rank(query, texts, long_documents="windows").hits


def test_early_stop_reads_no_windows_of_what_cannot_be_among_the_best(bundled: CrossEncoder) -> None:
    model = copy(bundled)
    weights = EvidenceWeights(logit=1.0, constant=0.0, word_match=20.0, doubt=0.2)
    model.interpolation = Interpolation("none", "", (weights,))
    model.block = 2
    texts = [f"{number}. {LONG}" for number in range(8)]
    found = [
        Candidate(Document(str(number), text), number + 1, evidence={WORD_MATCH: 1 - number / 10})
        for number, text in enumerate(texts)
    ]
    everything = Reranker(model).rank(QUESTION, found, long_documents="windows")
    ranking = Reranker(model).rank(QUESTION, found, top_n=2, long_documents="windows")
    assert ranking.hits == everything.hits[:2]
    assert ranking.scored < len(found) == everything.scored


def test_truncation_is_counted_and_warned_of_once_a_call(reranker: Reranker) -> None:
    with pytest.warns(TruncationWarning) as caught:
        rankings = reranker.rank_many([(QUESTION, [LONG, *SHORT]), (QUESTION, [LONG + LONG])], top_n=1)
    assert len(caught) == 1
    assert caught[0].filename == __file__, "it names the line that called"
    assert "2 of 5 candidates" in str(caught[0].message)
    for ranking, tokens in zip(rankings, (1000, 2500), strict=True):
        [notice] = ranking.notices
        assert f"{ranking.truncated_tokens:,} tokens were not read" in notice
        assert "long_documents='windows'" in notice
        # Of all candidates that were read, also those that are not shown.
        assert ranking.truncated_tokens > tokens
        assert ranking.to_dict()["truncated_tokens"] == ranking.truncated_tokens


def test_truncation_can_be_an_error_or_ignored(reranker: Reranker) -> None:
    with pytest.raises(InputError, match=r"1 of 4 candidates is longer than .* tokens were not read"):
        reranker.rank(QUESTION, [LONG, *SHORT], on_truncation="error")
    assert len(reranker.rank(QUESTION, SHORT, on_truncation="error")) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ranking = reranker.rank(QUESTION, [LONG], on_truncation="ignore")
    assert ranking.notices == ()
    assert ranking.truncated_tokens == ranking[0].truncated_tokens > 0


def test_searcher_passes_all_of_it_on(bundled: CrossEncoder) -> None:
    searcher = Searcher([LONG, *SHORT], retrieval="lexical", model=bundled)
    options = {"on_truncation": "error", "explain": True}
    with pytest.raises(InputError, match="tokens were not read"):
        searcher.search(QUESTION, **options)  # type: ignore[arg-type]
    found = searcher.search(QUESTION, long_documents="windows", best_windows=2, **options)  # type: ignore[arg-type]
    whole = {hit.text: hit for hit in found}[LONG]
    assert whole.window
    assert whole.spans
    [expected] = searcher.reranker.rank(QUESTION, [LONG], long_documents="windows", best_windows=2)
    assert whole.logit == pytest.approx(expected.logit, abs=1e-5)


def test_options_that_are_none_are_refused(reranker: Reranker) -> None:
    with pytest.raises(
        InputError, match="long_documents must be one of truncate, windows, first; it is 'all'"
    ):
        reranker.rank(QUESTION, SHORT, long_documents="all")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="best_windows must be at least 1; it is 0"):
        reranker.rank(QUESTION, SHORT, best_windows=0)
    with pytest.raises(InputError, match="on_truncation must be one of warn, error, ignore; it is 'raise'"):
        reranker.rank(QUESTION, SHORT, on_truncation="raise")  # type: ignore[arg-type]


def test_titles_and_queries_that_are_too_long_leave_room_for_the_text(reranker: Reranker) -> None:
    long_title, long_query = Document("1", LONG, "Trains " * 600), f"{QUESTION} {FILLER * 100}"
    for query, document in ((QUESTION, long_title), (long_query, Document("1", LONG))):
        [hit] = reranker.rank(query, [document], long_documents="windows", on_truncation="error")
        assert hit.window is not None
        assert hit.window.count > 3
    # A text that is blank has no windows.
    [hit] = reranker.rank(QUESTION, [replace(long_title, text=" ")], long_documents="windows")
    assert (hit.window, hit.truncated_tokens > 0) == (None, True)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=30), st.integers(1, 20))
def test_windows_hold_every_token_and_fit(lengths: list[int], room: int) -> None:
    text = " ".join(" ".join(["Word"] * length) + "." for length in lengths)
    starts = [place for place in range(len(text)) if place == 0 or text[place - 1] == " "]
    offsets = np.array([[start, start + 4] for start in starts])
    found = windows(text, offsets, room)
    assert found == sorted(set(found)), "each goes on where the one before it ended"
    for start, end in found:
        assert sum(start <= place < end for place in starts) <= room
    assert all(any(start <= place < end for start, end in found) for place in starts)
    if room >= max(lengths):
        assert all(start == 0 or text[start - 2] == "." for start, _ in found), "they begin with sentences"


def test_neighbouring_windows_overlap(reranker: Reranker, bundled: CrossEncoder) -> None:
    [offsets] = bundled.token_offsets([LONG])
    found = windows(LONG, offsets, 100)
    overlaps = [before[1] - after[0] for before, after in pairwise(found)]
    assert all(0 < overlap < 100 for overlap in overlaps)


def test_remote_model_says_that_it_cannot_read_windows(bundled: CrossEncoder) -> None:
    class Remote(PairScorer):
        name, scoring, scripts, notices = "far-away", bundled.scoring, None, ()

        def logits(self, pairs, *, progress=None):  # type: ignore[no-untyped-def]
            return bundled.logits(pairs)

        def unknown_share(self, text: str) -> float:
            return 0.0

    with pytest.raises(InputError, match="far-away is not on this machine"):
        Reranker(Remote()).rank(QUESTION, [LONG], long_documents="windows")
    assert Reranker(Remote()).rank(QUESTION, [LONG], explain=True)[0].spans
