"""crossrank eval --tune: weights learnt for an index, and searches that use them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.commands import crossrank, one_line

from crossrank import Index, Searcher
from crossrank.evaluation import load_collection, read_run
from crossrank.evaluation.runs import trec_order
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.interpolation import EvidenceWeights, Interpolation

JUDGED = Path(__file__).parents[2] / "src" / "crossrank" / "samples" / "judged"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned") / "index"
    Index(folder).add([JUDGED / "corpus.jsonl"])
    return folder


def test_weights_are_learnt_kept_in_the_index_and_used(index: Path, bundled: CrossEncoder) -> None:
    question = next(iter(load_collection(JUDGED).queries.values()))
    before = Searcher(Index(index), model=bundled).search(question)
    process = crossrank("eval", JUDGED, "--index", index, "--tune", "--json")
    assert process.returncode == 0, process.stderr
    report = json.loads(process.stdout)
    assert report["queries"] == 30
    assert report["kept"] is True
    assert "this model" in report["verdict"]
    assert report["interpolated"]["interval_95"][0] <= report["interpolated"]["difference"]
    kept = Index(index).interpolations()[bundled.fingerprint]
    assert [one.logit for one in kept.weights] == [one["logit"] for one in report["weights"]]
    after = Searcher(Index(index), model=bundled).search(question)
    assert [hit.contributions for hit in after] != [hit.contributions for hit in before]
    best = after[0]
    assert best.contributions == kept.weights[-1].contributions(best.logit or 0, best.candidate.evidence)
    assert best.probability is not None, "judged queries also calibrate"


def test_an_index_is_evaluated_as_it_is_searched(index: Path, tmp_path: Path, bundled: CrossEncoder) -> None:
    own = tmp_path / "index"
    shutil.copytree(index, own)
    by_words = Interpolation("", "", (EvidenceWeights(0.0, 0.0, word_match=1.0),))
    Index(own).keep_interpolation(bundled.fingerprint, by_words)
    options = ("--queries", "5", "--candidates", "10", "--run", tmp_path / "run")
    process = crossrank("eval", JUDGED, "--index", own, *options)
    assert process.returncode == 0, process.stderr
    assert "the weights that the index keeps" in one_line(process)
    collection = load_collection(JUDGED)
    searcher = Searcher(Index(own), model=bundled)
    run = read_run(tmp_path / "run")
    assert len(run) == 5
    for query, scores in run.items():
        found = searcher.search(collection.queries[query], candidates=10, top_n=None)
        expected = list(dict.fromkeys(_record(hit.document.id) for hit in found))
        ranked = dict.fromkeys(_record(name) for name in trec_order(query, scores))
        # In place of a second passage of one record there is one more record.
        assert [name for name in ranked if name in expected] == expected


def _record(name: str) -> str:
    """The record of a passage, such as potatoes#3; only judged passages are renamed to it."""
    return "#".join(name.rpartition(":")[2].split("#")[:2])


def test_weights_of_another_model_are_not_used(index: Path, tiny: CrossEncoder) -> None:
    hit = Searcher(Index(index), model=tiny).search("Who bakes bread?")[0]
    assert hit.contributions == {"logit": hit.logit}


def test_without_judgements_questions_are_made_of_the_passages(index: Path) -> None:
    process = crossrank("eval", "--index", index, "--tune", "--queries", "40")
    assert process.returncode == 0, process.stderr
    assert "favours searches by words" in one_line(process)
    assert "This model" in process.stdout


def test_an_index_can_be_evaluated_without_learning(index: Path) -> None:
    process = crossrank("eval", JUDGED, "--index", index, "--candidates", "20", "--json")
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout)["measures"]["nDCG@10"]["first_stage"] > 0.6


def test_weights_can_be_removed_and_survive_an_update(tmp_path: Path) -> None:
    (tmp_path / "bread.txt").write_text("Bakers bake bread.")
    index = Index(tmp_path / "index")
    index.add([tmp_path / "bread.txt"])
    given = Interpolation("near", "f", (EvidenceWeights(1.0, 0.5, word_match=2.0),))
    index.keep_interpolation("model", given)
    index.add()
    assert Index(tmp_path / "index").interpolations() == {"model": given}
    index.keep_interpolation("model", None)
    assert index.interpolations() == {}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [((), "name a judged collection"), ((JUDGED, "--queries", "0"), "--queries must be at least 1")],
)
def test_what_cannot_be_evaluated_is_one_sentence(arguments: tuple[Path | str, ...], expected: str) -> None:
    process = crossrank("eval", *arguments)
    assert process.returncode == 2
    assert expected in one_line(process)


def test_an_index_with_another_embedder_is_evaluated_as_it_is_searched(
    tmp_path: Path, tiny_embedder: BiEncoder, bundled: CrossEncoder
) -> None:
    folder = tmp_path / "index"
    Index(folder, embedder=tiny_embedder).add([JUDGED / "corpus.jsonl"])
    options = ("--queries", "5", "--candidates", "10", "--run", tmp_path / "run")
    process = crossrank("eval", JUDGED, "--index", folder, *options)
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    questions = load_collection(JUDGED).queries
    searcher = Searcher(Index(folder), model=bundled)
    for query, scores in read_run(tmp_path / "run").items():
        ranking = searcher.search(questions[query], candidates=10, top_n=None)
        assert "similarity" in ranking[0].contributions
        expected = list(dict.fromkeys(_record(hit.document.id) for hit in ranking))
        ranked = dict.fromkeys(_record(name) for name in trec_order(query, scores))
        assert [name for name in ranked if name in expected] == expected
    reports = [
        json.loads(crossrank("eval", JUDGED, "--index", folder, "--tune", "--json").stdout) for _ in range(2)
    ]
    assert reports[0] == reports[1], "the second is not compared with the weights that the first kept"
