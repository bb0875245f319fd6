from __future__ import annotations

from pathlib import Path

import pytest
import tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.tiny_models import change_json, write_reranker

from crossrank.errors import InputError, ModelError
from crossrank.families.model import open_model
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tokenizers")
    return {family: write_reranker(root / family, family) for family in ("bert", "roberta", "xlm-roberta")}


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta"])
@settings(max_examples=40)
@example(query=9, passage=9, limit=20)  # texts of one length, which share an odd or an even room
@example(query=9, passage=9, limit=21)
@given(query=st.integers(0, 40), passage=st.integers(0, 40), limit=st.integers(6, 40))
def test_pairs_are_cut_as_the_tokenizers_library_cuts_them(
    family: str, folders: dict[str, Path], query: int, passage: int, limit: int
) -> None:
    texts = ("the sea in " * query, "bread and water " * passage)
    library = tokenizers.Tokenizer.from_file(str(folders[family] / "tokenizer.json"))
    library.enable_truncation(limit, strategy="longest_first")
    expected = library.encode(*texts)
    (ours,) = Tokenizer(open_model(folders[family]), max_tokens=limit).pairs([texts])
    assert ours.ids.tolist() == expected.ids
    assert ours.types.tolist() == expected.type_ids
    library.no_truncation()
    kept = expected.sequence_ids.count(1)
    assert ours.truncated == library.encode(*texts).sequence_ids.count(1) - kept


@given(length=st.integers(0, 30), limit=st.integers(5, 30))
def test_single_texts_are_cut_at_the_end(folders: dict[str, Path], length: int, limit: int) -> None:
    library = tokenizers.Tokenizer.from_file(str(folders["bert"] / "tokenizer.json"))
    library.enable_truncation(limit)
    text = "rain and tide " * length
    (ours,) = Tokenizer(open_model(folders["bert"]), max_tokens=limit).texts([text])
    assert ours.ids.tolist() == library.encode(text).ids
    assert ours.truncated == max(0, 3 * length + 2 - limit)


@given(st.text())
def test_any_text_makes_the_tokens_that_the_library_makes(folders: dict[str, Path], text: str) -> None:
    library = tokenizers.Tokenizer.from_file(str(folders["bert"] / "tokenizer.json"))
    (ours,) = Tokenizer(open_model(folders["bert"])).texts([text])
    assert ours.ids.tolist() == [*library.encode(text).ids[: len(ours.ids) - 1], 3]


def test_lone_surrogates_are_refused_with_what_to_do(bundled: CrossEncoder) -> None:
    with pytest.raises(InputError, match=r"lone surrogates .* repair it with"):
        bundled.tokenizer.pairs([("who bakes bread", "half a \ud83d face")])


@pytest.mark.parametrize("wrong", [None, 3, b"bytes", ["list"]])
def test_what_is_no_string_is_refused_by_name(wrong: object, bundled: CrossEncoder) -> None:
    with pytest.raises(InputError, match=f"must be strings; found {type(wrong).__name__}"):
        bundled.tokenizer.texts(["a text", wrong])  # type: ignore[list-item]


@pytest.mark.parametrize("limit", [0, -1, 4])
def test_length_without_room_for_both_texts_is_refused(limit: int, folders: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=f"at least 5 tokens; it is {limit}"):
        Tokenizer(open_model(folders["bert"]), max_tokens=limit)


def test_length_is_never_beyond_the_models(folders: dict[str, Path]) -> None:
    assert Tokenizer(open_model(folders["bert"]), max_tokens=10_000).max_tokens == 64


def test_saved_length_of_sentence_transformers_overrides_the_tokenizers(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    change_json(folder / "tokenizer_config.json", model_max_length=20)
    assert Tokenizer(open_model(folder)).max_tokens == 20
    change_json(folder / "sentence_bert_config.json", max_seq_length=30)
    assert Tokenizer(open_model(folder)).max_tokens == 30


def test_cutting_and_padding_saved_with_the_tokenizer_are_not_used(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    (plain,) = Tokenizer(open_model(folder)).texts(["rain and tide " * 5])
    library = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    library.enable_truncation(4)
    library.enable_padding(length=50)
    library.save(str(folder / "tokenizer.json"))
    (ours,) = Tokenizer(open_model(folder)).texts(["rain and tide " * 5])
    assert ours.ids.tolist() == plain.ids.tolist()


def test_lower_case_that_sentence_transformers_adds_is_added(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model", "roberta")
    (small,) = Tokenizer(open_model(folder)).texts(["who bakes bread"])
    (large,) = Tokenizer(open_model(folder)).texts(["Who Bakes BREAD"])
    assert large.ids.tolist() != small.ids.tolist()
    change_json(folder / "sentence_bert_config.json", do_lower_case=True)
    (lowered,) = Tokenizer(open_model(folder)).texts(["Who Bakes BREAD"])
    assert lowered.ids.tolist() == small.ids.tolist()


def test_share_of_unknown_tokens(bundled: CrossEncoder) -> None:
    assert bundled.tokenizer.unknown_share("bakers bake bread") == 0
    assert bundled.tokenizer.unknown_share("𒀀𒀁") == 1
    assert bundled.tokenizer.unknown_share("") == 0


@pytest.mark.parametrize("content", ["", "{", '{"version": "1.0"}', "null"])
def test_damaged_tokenizer_is_refused(content: str, tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match=r"tokenizer\.json cannot be read"):
        Tokenizer(open_model(folder))


def test_missing_tokenizer_is_refused_with_how_to_make_one(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="AutoTokenizer"):
        Tokenizer(open_model(folder))
