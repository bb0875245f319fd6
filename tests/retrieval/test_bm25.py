from __future__ import annotations

import json
import re
import sqlite3
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrank.errors import CrossrankError, InputError
from crossrank.retrieval.bm25 import BM25Index, scores_by_words, word_matches
from crossrank.retrieval.words import create_words_table

JUDGED = Path(__file__).parents[3] / "shared" / "data" / "eval"


def positions(index: BM25Index, query: str, k: int = 10) -> list[int]:
    return [passage for passage, _ in index.search(query, k)]


def test_passage_with_more_of_the_querys_words_comes_first() -> None:
    index = BM25Index(["a red car", "a red boat on the sea", "a green tree"])
    found = index.search("red boat", 10)
    assert [passage for passage, _ in found] == [1, 0]
    assert found[0].score > found[1].score > 0


def test_a_word_match_is_the_share_of_the_best_passages_score() -> None:
    index = BM25Index(["a red car", "a red boat on the sea", "a green tree"])
    scores = index.scores("red boat", [2, 0, 1])
    assert scores == dict(index.search("red boat", 10))
    assert word_matches(scores) == {1: 1.0, 0: scores[0] / scores[1]}
    assert index.scores("red boat", []) == index.scores("zebra", [0, 1]) == index.scores("?!", [0, 1]) == {}
    assert word_matches({}) == {}
    assert word_matches({0: 0.0}) == {0: 0.0}


def test_word_in_every_passage_still_scores_above_zero() -> None:
    assert all(score > 0 for _, score in BM25Index(["cat"] * 3).search("cat", 3))


def test_scores_of_given_passages_take_one_search_and_not_one_each() -> None:
    database, statements = sqlite3.connect(":memory:"), list[str]()
    create_words_table(database, "words")
    texts = [(n, f"bread {'oven ' * n}") for n in range(1, 9)]
    database.executemany("INSERT INTO words(rowid, text) VALUES (?, ?)", texts)
    database.set_trace_callback(statements.append)
    assert scores_by_words(database, "bread oven", [2, 5]).keys() == {2, 5}
    database.set_trace_callback(None)
    plan = database.execute(f"EXPLAIN QUERY PLAN {statements[0]}").fetchall()
    # "=" is a search for one row id.
    [searched] = [detail for *_, detail in plan if "words VIRTUAL TABLE" in detail]
    assert not re.search(r"INDEX \d+:=", searched)


def test_equal_scores_are_ordered_by_position_and_cut_at_k() -> None:
    index = BM25Index(["other", *["same words"] * 20])
    assert positions(index, "words", k=5) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("typed", ["RUNNING", "runs", "run"])
def test_case_and_endings_do_not_matter(typed: str) -> None:
    assert positions(BM25Index(["he runs daily", "she sleeps"]), typed) == [0]


@pytest.mark.parametrize("typed", ["résumé", "re\u0301sume\u0301", "resume", "RÉSUMÉ"])
@pytest.mark.parametrize("written", ["un résumé court", "un re\u0301sume\u0301 court"])
def test_accents_do_not_matter_however_they_are_encoded(typed: str, written: str) -> None:
    assert positions(BM25Index([written, "un thé"]), typed) == [0]


@pytest.mark.parametrize(
    "typed",
    [
        '"cat',
        "cat*",
        "cat AND",
        "NOT cat",
        "cat NEAR(",
        "text:cat",
        "(cat",
        "^cat",
        "cat -dog",
        "cat; DROP TABLE",
        "{cat}",
    ],
)
def test_nothing_typed_is_query_syntax(typed: str) -> None:
    assert 0 in positions(BM25Index(["the cat", "near the shore"]), typed)


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(), max_size=30))
def test_any_text_can_be_indexed_and_searched(text: str) -> None:
    index = BM25Index([text, "cat"])
    index.search(text, 5)
    assert 1 in positions(index, f"{text} cat")


def test_lone_surrogates_and_nul_separate_words() -> None:
    index = BM25Index(["one\ud800two", "three\0four"])
    assert positions(index, "two") == [0]
    assert positions(index, "four") == [1]
    assert positions(index, "one\udfff\0") == [0]


@pytest.mark.parametrize("typed", ["", "   ", "?!", "___", "🎉"])
def test_query_without_words_finds_nothing(typed: str) -> None:
    assert BM25Index(["text", "🎉"]).search(typed, 5) == []


def test_word_typed_twice_counts_twice() -> None:
    index = BM25Index(["cat here", "dog here", "bird"])
    once, twice = index.search("cat", 5)[0].score, index.search("cat Cat", 5)[0].score
    assert twice == pytest.approx(2 * once)


def test_korean_word_is_found_with_any_ending() -> None:
    assert positions(BM25Index(["한국어를 배운다", "비가 온다"]), "한국어") == [0]


def test_thai_word_is_found_within_a_sentence() -> None:
    assert positions(BM25Index(["ฉันเรียนภาษาไทยทุกวัน", "วันนี้ฝนตก"]), "ภาษา") == [0]


def test_vowel_signs_do_not_cut_a_word() -> None:
    assert positions(BM25Index(["हिन्दी भाषा", "हद"]), "हिन्दी") == [0]


@pytest.mark.parametrize(
    ("written", "typed"),
    [("한국어를 배운다", "한국어"), ("ﾃｽﾄする", "テスト"), ("ＡＢＣ", "abc"), ("eﬃcient", "efficient")],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_forms_of_the_same_letters_find_each_other(written: str, typed: str, form: Any) -> None:
    assert positions(BM25Index([unicodedata.normalize(form, written), "other"]), typed) == [0]


def test_neighbours_count_more_than_characters_apart() -> None:
    assert positions(BM25Index(["京都在东面", "住在东京", "无"]), "东京")[0] == 1


def test_stop_words_do_not_find_passages() -> None:
    index = BM25Index(["what is the how", "Rome", "x", "y", "z"])
    assert positions(index, "What is Rome?") == [1]


def test_query_of_stop_words_alone_is_searched() -> None:
    assert positions(BM25Index(["to be or not to be", "Rome", "x"]), "to be or not to be") == [0]


def test_stop_word_in_capitals_is_a_name() -> None:
    index = BM25Index(["the WHO recommends rest", "rest", "x", "y", "z"])
    assert positions(index, "WHO rest")[0] == 0
    assert index.search("WHO rest", 1)[0].score > index.search("who rest", 1)[0].score


def test_han_and_kana_are_found_within_a_sentence() -> None:
    index = BM25Index(["我住在东京都。", "我住在巴黎。", "カメラを買う", "𠮷野家"])
    assert positions(index, "东京")[0] == 0
    assert positions(index, "カメラ") == [2]
    assert positions(index, "𠮷") == [3]


def test_parts_of_a_name_in_code_are_words_of_their_own() -> None:
    assert positions(BM25Index(["the first stage", "cat"]), "stage_first") == [0]


def test_very_long_query_is_searched() -> None:
    assert positions(BM25Index(["cat", "dog"]), " ".join(f"w{n}" for n in range(20_000)) + " dog") == [1]


def test_empty_index_finds_nothing() -> None:
    assert BM25Index([]).search("cat", 5) == []


@pytest.mark.parametrize("k", [0, -1])
def test_fewer_than_one_candidate_is_refused(k: int) -> None:
    with pytest.raises(InputError, match="at least 1"):
        BM25Index(["cat"]).search("cat", k)


def test_threads_share_an_index() -> None:
    index = BM25Index([f"word{n} common" for n in range(200)])
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: positions(index, f"word{n}"), range(200)))
    assert found == [[n] for n in range(200)]


class WithoutFTS5(sqlite3.Connection):
    """A connection that asks for a module SQLite does not have, as FTS5 is in some builds."""

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        return super().execute(sql.replace("fts5(", "absent("), *parameters)


def test_sqlite_without_fts5_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=WithoutFTS5))
    with pytest.raises(CrossrankError, match=r"FTS5.*no such module.*python\.org"):
        BM25Index(["cat"])


@pytest.mark.shared
@pytest.mark.skipif(not JUDGED.is_dir(), reason="the judged collections are not here")
def test_judged_queries_are_answered_better_than_by_bm25s() -> None:
    import bm25s
    import ir_measures

    differences = []
    for name in ["cranfield", "cacm", "cisi", "covid_faq", "clapnq_dev", "trecdl19"]:
        corpus = [
            json.loads(line) for line in (JUDGED / name / "corpus.jsonl").read_text("utf-8").splitlines()
        ]
        queries = [
            json.loads(line) for line in (JUDGED / name / "queries.jsonl").read_text("utf-8").splitlines()
        ]
        rows = [
            row.split("\t")
            for row in (JUDGED / name / "qrels" / "test.tsv").read_text("utf-8").splitlines()[1:]
        ]
        judgements = [ir_measures.Qrel(query, document, int(grade)) for query, document, grade in rows]
        texts = [
            f"{record['title']}\n{record['text']}" if record.get("title") else record["text"]
            for record in corpus
        ]
        index = BM25Index(texts)
        ours = [
            ir_measures.ScoredDoc(query["_id"], corpus[passage]["_id"], score)
            for query in queries
            for passage, score in index.search(query["text"], 10)
        ]
        other = bm25s.BM25()
        other.index(bm25s.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)
        words = bm25s.tokenize([query["text"] for query in queries], stopwords="en", show_progress=False)
        theirs = [
            ir_measures.ScoredDoc(query["_id"], corpus[position]["_id"], float(score))
            for query, found, scores in zip(
                queries, *other.retrieve(words, k=10, show_progress=False), strict=True
            )
            for position, score in zip(found, scores, strict=True)
        ]
        measure = ir_measures.nDCG @ 10
        figures = [ir_measures.calc_aggregate([measure], judgements, run)[measure] for run in (ours, theirs)]
        differences.append(figures[0] - figures[1])
    assert fmean(differences) > 0.01


def test_found_passages_hold_plain_numbers() -> None:
    (found,) = BM25Index(["cat"]).search("cat", 1)
    assert (type(found.passage), type(found.score)) == (int, float)
