from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pyterrier as pt
import pytest
from pandas.testing import assert_frame_equal

from crossrank.errors import InputError, ModelError
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.integrations.pyterrier import CrossrankTransformer
from crossrank.ranking.reranker import Reranker

# PyTerrier's own calls to pandas.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

BREAD, TIDES = "Who bakes bread?", "How often does the tide turn?"
TIDE, BAKERS, CHINESE = "The tide turns twice a day.", "Bakers bake bread at night.", "潮水每天涨落两次"
TOPICS = pd.DataFrame([["q2", TIDES], ["q1", BREAD]], columns=["qid", "query"])


def results(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["qid", "query", "docno", "text"])


BOTH = results(
    ("q2", TIDES, "d-bakers", BAKERS),
    ("q2", TIDES, "d-tide", TIDE),
    ("q1", BREAD, "d-tide", TIDE),
    ("q1", BREAD, "d-bakers", BAKERS),
).assign(score=[4.0, 3.0, 2.0, 1.0], rank=[0, 1, 0, 1], url="somewhere")


@pytest.fixture(scope="module")
def rerank(bundled: CrossEncoder) -> CrossrankTransformer:
    return CrossrankTransformer(bundled)


def test_each_query_s_results_are_ranked(rerank: CrossrankTransformer, bundled: CrossEncoder) -> None:
    before = BOTH.copy(deep=True)
    reranked = rerank.transform(BOTH)
    assert list(zip(reranked["qid"], reranked["docno"], reranked["rank"], strict=True)) == [
        ("q2", "d-tide", 0),
        ("q2", "d-bakers", 1),
        ("q1", "d-bakers", 0),
        ("q1", "d-tide", 1),
    ]
    logits = [hit.logit for query in (TIDES, BREAD) for hit in Reranker(bundled).rank(query, [TIDE, BAKERS])]
    assert list(reranked["score"]) == logits
    assert list(reranked.columns) == list(BOTH.columns)
    assert set(reranked["url"]) == {"somewhere"}
    assert_frame_equal(BOTH, before)


def test_transformer_composes_with_others(rerank: CrossrankTransformer) -> None:
    pipeline = pt.Transformer.from_df(BOTH) >> rerank % 1 >> pt.apply.doc_score(lambda row: row["score"] * 2)
    found = pipeline.transform(TOPICS)
    assert dict(zip(found["qid"], found["docno"], strict=True)) == {"q1": "d-bakers", "q2": "d-tide"}
    both = pt.Transformer.from_df(BOTH) >> pt.Transformer.identity() ** rerank
    assert all(len(features) == 2 for features in both.transform(TOPICS)["features"])


def test_experiment_measures_the_gain(rerank: CrossrankTransformer) -> None:
    first = pt.Transformer.from_df(BOTH)
    qrels = pd.DataFrame([["q1", "d-bakers", 1], ["q2", "d-tide", 1]], columns=["qid", "docno", "label"])
    table = pt.Experiment(
        [first, first >> rerank],
        TOPICS,
        qrels,
        ["P_1", "recip_rank"],
        names=["first", "reranked"],
        plan="tree",
    )
    assert list(table["P_1"]) == [0.0, 1.0]
    assert list(table["recip_rank"]) == [0.5, 1.0]


def test_columns_can_be_told_without_data(rerank: CrossrankTransformer) -> None:
    columns = pt.inspect.transformer_outputs(rerank, ["qid", "query", "docno", "text", "url"])
    assert columns == ["qid", "query", "docno", "text", "url", "score", "rank"]


def test_no_results_give_no_results(rerank: CrossrankTransformer) -> None:
    empty = rerank.transform(BOTH[:0])
    assert len(empty) == 0
    assert list(empty.columns) == list(BOTH.columns)
    assert len((pt.Transformer.from_df(BOTH[:0]) >> rerank).transform(TOPICS)) == 0


def test_rows_may_be_dictionaries(rerank: CrossrankTransformer) -> None:
    rows: Any = rerank(BOTH.to_dict(orient="records"))
    assert [row["docno"] for row in rows] == list(rerank.transform(BOTH)["docno"])


def test_text_field_can_be_chosen(bundled: CrossEncoder) -> None:
    frame = BOTH.rename(columns={"text": "body"}).assign(text="nothing of interest")
    reranked = CrossrankTransformer(bundled, text_field="body").transform(frame)
    assert list(reranked["score"]) == list(CrossrankTransformer(bundled).transform(BOTH)["score"])


@pytest.mark.parametrize("column", ["qid", "query", "docno", "text"])
def test_missing_column_is_named(column: str, rerank: CrossrankTransformer) -> None:
    with pytest.raises(pt.validate.InputValidationError, match=column):
        rerank.transform(BOTH.drop(columns=column))


def test_text_that_is_missing_is_refused(rerank: CrossrankTransformer) -> None:
    with pytest.raises(InputError, match="document 1 must be"):
        rerank.transform(BOTH.assign(text=[TIDE, None, TIDE, TIDE]))


def test_equal_results_keep_the_order_of_their_rank(rerank: CrossrankTransformer) -> None:
    same = results(*[("q", BREAD, f"d{i}", TIDE) for i in range(5)], ("q", BREAD, "best", BAKERS))
    assert list(rerank.transform(same)["docno"]) == ["best", "d0", "d1", "d2", "d3", "d4"]
    turned = same.assign(rank=[5, 4, 3, 2, 1, 0])
    assert list(rerank.transform(turned)["docno"]) == ["best", "d4", "d3", "d2", "d1", "d0"]


def test_what_cannot_be_read_follows_in_its_order(rerank: CrossrankTransformer) -> None:
    frame = results(("q", BREAD, "z", CHINESE), ("q", BREAD, "y", CHINESE * 2), ("q", BREAD, "x", TIDE))
    reranked = rerank.transform(frame)
    assert list(reranked["docno"]) == ["x", "z", "y"]
    assert list(reranked["rank"]) == [0, 1, 2]
    # Measures see the scores alone.
    assert reranked["score"].is_monotonic_decreasing
    assert reranked["score"].astype("float32").is_unique


def test_scores_are_logits_unless_an_activation_is_named(bundled: CrossEncoder) -> None:
    assert CrossrankTransformer(bundled).transform(BOTH)["score"].min() < 0
    assert CrossrankTransformer(bundled, activation="sigmoid").transform(BOTH)["score"].between(0, 1).all()


def test_one_model_serves_many_threads(rerank: CrossrankTransformer) -> None:
    expected = rerank.transform(BOTH)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(rerank.transform, [BOTH] * 24):
            assert_frame_equal(found, expected)


def test_local_folder_is_loaded_and_a_missing_one_refused(tiny: CrossEncoder) -> None:
    rerank = CrossrankTransformer(Path(tiny.name))
    assert len(rerank.transform(BOTH)) == 4
    assert tiny.name in repr(rerank)
    with pytest.raises(ModelError, match=r"\./nowhere"):
        CrossrankTransformer("./nowhere")


def test_without_the_library_the_extra_is_named() -> None:
    code = "import sys; sys.modules['pyterrier'] = None; import crossrank.integrations.pyterrier"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingExtraError" in result.stderr
    assert "pip install 'crossrank[pyterrier]'" in result.stderr
