from __future__ import annotations

from pathlib import Path

import pytest

from crossrank.errors import InputError
from crossrank.evaluation import load_collection
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.retrieval.bm25 import BM25Index, word_matches
from crossrank.training.mining import Miner, TrainingList
from crossrank.training.settings import JudgedData, TrainingSettings


def mine(
    embedder: BiEncoder, folder: Path, **options: object
) -> tuple[list[TrainingList], list[TrainingList]]:
    settings = TrainingSettings(data=(JudgedData(folder),), **options)  # type: ignore[arg-type]
    miner = Miner(settings, embedder, lambda *_: None)
    lists = list(miner.lists())
    return lists, miner.validation


def test_each_pass_meets_every_question_that_is_not_held_out(embedder: BiEncoder, judged: Path) -> None:
    lists, validation = mine(embedder, judged, passes=2, validation=60)
    assert len(validation) == 4  # a tenth of 42
    assert len(lists) == 2 * (42 - 4)
    assert not {item.query for item in lists} & {item.query for item in validation}


def test_the_relevant_passage_comes_first_and_alone(embedder: BiEncoder, judged: Path) -> None:
    lists, _ = mine(embedder, judged)
    for item in lists:
        _, _, animal, verb = item.query.split()
        assert item.relevant == 1
        assert len(item.documents) == 8 == len(set(item.documents))
        assert animal in item.documents[0]
        assert verb in item.documents[0]
        assert not any(f" {animal} {verb}" in text for text in item.documents[1:])


def test_targets_are_the_similarity_with_the_relevant_passage_lifted(
    embedder: BiEncoder, judged: Path
) -> None:
    lists, _ = mine(embedder, judged, teacher_scale=10.0, word_scale=0.0, lift=1.5)
    item = next(item for item in lists if "\n" not in item.documents[1])
    query = embedder.encode_queries([item.query])[0]
    other = embedder.encode_documents([item.documents[1]])[0]
    # Similarities are of title and text, here compared with the text alone: near, and not the same.
    assert item.targets[1] == pytest.approx(10 * float(query @ other), abs=2.5)
    assert all(item.targets[0] >= max(item.targets[1:]) + 1.5 - 1e-6 for item in lists)


def test_the_evidence_is_what_the_targets_were_before_the_lift(embedder: BiEncoder, judged: Path) -> None:
    lists, _ = mine(embedder, judged, lift=1.5)
    for item in lists:
        assert item.evidence[1:] == item.targets[1:]
        assert item.targets[0] == max(item.evidence[0], max(item.evidence[1:]) + 1.5)


def test_a_later_training_with_the_same_seed_keeps_the_same_questions_out(
    embedder: BiEncoder, judged: Path
) -> None:
    kept_out = [
        {item.query for item in mine(embedder, judged, seed=seed, **options)[1]}
        for seed, options in ((1, {}), (1, {"passes": 1, "negatives": 3, "unjudged": 0.5}), (2, {}))
    ]
    assert kept_out[0] == kept_out[1] != kept_out[2]


def test_words_that_match_raise_a_target(embedder: BiEncoder, judged: Path) -> None:
    (without, _), (with_words, _) = (mine(embedder, judged, word_scale=scale) for scale in (0.0, 5.0))
    raised = {True: [], False: []}
    for before, after in zip(without, with_words, strict=True):
        targets = dict(zip(before.documents, before.targets, strict=True))
        animal = before.query.split()[2]
        for text, target in list(zip(after.documents, after.targets, strict=True))[1:]:
            if text in targets:
                raised[f" {animal} " in text].append(target - targets[text])
    assert max(raised[True]) > 1.0
    assert all(0 <= value <= 5.0 + 1e-4 for value in raised[True] + raised[False])
    assert min(raised[True]) > max(raised[False])


def test_a_word_match_is_exact_for_what_words_find_late(
    embedder: BiEncoder, judged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossrank.training.mining._LEXICAL_DEPTH", 3)
    documents = load_collection(judged, split="train").documents
    contents = [d.content for d in documents if d.id != "secret"]
    index = BM25Index(contents)
    for item in mine(embedder, judged)[1]:
        places = [contents.index(text) for text in item.documents]
        shares = word_matches(index.scores(item.query, range(len(contents))))
        assert item.word_matches == pytest.approx([shares.get(p, 0.0) for p in places], abs=1e-6)


def test_the_questions_kept_out_have_candidates_of_both_first_stages(
    embedder: BiEncoder, judged: Path
) -> None:
    _, validation = mine(embedder, judged)
    for item in validation:
        assert len(item.documents) == 30 == len(set(item.documents)) == len(item.targets)
        assert item.targets[0] > min(item.targets[1:])
        both = zip(item.similarities, item.word_matches, strict=True)
        assert item.targets == pytest.approx([20 * near + 6 * words for near, words in both], abs=1e-4)
        assert all(0 <= words <= 1 for words in item.word_matches)


def test_what_another_split_judges_is_not_even_a_negative(embedder: BiEncoder, judged: Path) -> None:
    lists, validation = mine(embedder, judged)
    assert not any("somebody's test" in text for item in [*lists, *validation] for text in item.documents)


def test_the_same_seed_gives_the_same_lists(embedder: BiEncoder, judged: Path) -> None:
    first, again, other = (mine(embedder, judged, seed=seed)[0] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_unjudged_questions_follow_the_teachers_alone(embedder: BiEncoder, judged: Path) -> None:
    lists, _ = mine(embedder, judged, unjudged=0.5)
    unjudged = [item for item in lists if item.source == "unjudged"]
    assert len(unjudged) == len(lists) / 2
    assert all(item.relevant == 0 and item.query.strip() for item in unjudged)
    assert all(len(item.documents) == 8 for item in unjudged)


def test_pools_share_their_passages(embedder: BiEncoder, judged: Path, tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "1", "text": "The badger eats worms, at dusk."}\n')
    (tmp_path / "queries.jsonl").write_text(
        "".join(f'{{"_id": "{n}", "text": "what eats worms {n}"}}\n' for n in range(2))
    )
    (tmp_path / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n0\t1\t1\n1\t1\t1\n")
    data = (JudgedData(judged, pool="p"), JudgedData(tmp_path, pool="p"))
    lists = list(Miner(TrainingSettings(data=data), embedder, lambda *_: None).lists())
    badger = [item for item in lists if item.query.startswith("what eats worms")]
    assert badger
    assert all(len(item.documents) == 8 for item in badger)


def test_a_collection_with_one_question_leaves_none_to_learn_from(
    embedder: BiEncoder, judged: Path, tmp_path: Path
) -> None:
    for name in ("corpus.jsonl", "queries.jsonl"):
        (tmp_path / name).write_bytes((judged / name).read_bytes())
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq-bee-eats\tbee-eats\t1\n")
    with pytest.raises(InputError, match="no question is left to learn from; at least two are needed"):
        mine(embedder, tmp_path)


def test_a_collection_without_a_relevant_passage_is_refused(
    embedder: BiEncoder, judged: Path, tmp_path: Path
) -> None:
    for name in ("corpus.jsonl", "queries.jsonl"):
        (tmp_path / name).write_bytes((judged / name).read_bytes())
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq-bee-eats\tbee-eats\t0\n")
    with pytest.raises(InputError, match="no question of the split 'train' has a relevant passage"):
        mine(embedder, tmp_path)
