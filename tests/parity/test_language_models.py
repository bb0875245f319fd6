"""Rerankers that answer with a token, against the code of Qwen3-Reranker's card and sentence-transformers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.tiny_models import PAIRS, change_json, write_json
from support.torch_models import CHAT_TEMPLATE, write_language_model

from crossrank.conversion.checking import check_model
from crossrank.errors import InputError, ModelError
from crossrank.inference.cross_encoder import CrossEncoder

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

NEAR = 2e-5
LONG = "the plan is to lower costs for families by year. " * 60
# What tokenisers join, or take apart: marks before a line break, accents, marks of the template itself.
TRICKY = [
    ("who?", "bread!"),
    ("who?\n", "\n\nbread"),
    ("  who ", "   "),
    ("e\u0301", "\u0301e <|im_end|> yes"),
    ("a<Document>: b", "?\n<Query>:"),
]


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_language_model(tmp_path_factory.mktemp("models") / "Qwen3-Reranker-tiny")


def card_scores(folder: Path, pairs: list[tuple[str, str]], max_length: int = 512) -> NDArray[np.float32]:
    """The code of https://huggingface.co/Qwen/Qwen3-Reranker-0.6B, one pair at a time."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    task = "Given a web search query, retrieve relevant passages that answer the query"
    prefix = (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the "
        'Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    )
    suffix = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    before = tokenizer.encode(prefix, add_special_tokens=False)
    after = tokenizer.encode(suffix, add_special_tokens=False)
    yes, no = (tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))
    scores = []
    for query, passage in pairs:
        text = f"<Instruct>: {task}\n<Query>: {query}\n<Document>: {passage}"
        ids = tokenizer(
            text,
            truncation="longest_first",
            max_length=max_length - len(before) - len(after),
            return_attention_mask=False,
            add_special_tokens=False,
        )["input_ids"]
        with torch.inference_mode():
            logits = model(torch.tensor([before + ids + after])).logits[:, -1, :]
        both = torch.stack([logits[:, no], logits[:, yes]], dim=1)
        scores.append(torch.nn.functional.log_softmax(both, dim=1)[0, 1].exp().item())
    return np.array(scores, np.float32)


def test_scores_are_those_of_the_card(qwen: Path) -> None:
    pairs = [*(pair for pair in PAIRS if len(pair[0]) < 100), *TRICKY, ("who bakes bread", LONG)]
    scores = CrossEncoder(qwen).predict(pairs)
    assert np.std(scores) > 0.05
    np.testing.assert_allclose(scores, card_scores(qwen, pairs), rtol=0, atol=NEAR)


def test_passage_is_cut_and_the_template_is_not(qwen: Path) -> None:
    model = CrossEncoder(qwen, max_length=480)
    pairs = [("who bakes bread", LONG), ("who bakes bread", "bread")]
    logits, truncated = model.logits(pairs)
    np.testing.assert_allclose(model.scoring.scores(logits), card_scores(qwen, pairs, 480), rtol=0, atol=NEAR)
    assert truncated[0] > 0 == truncated[1]
    inputs = [tokens.ids.tolist() for tokens in model.tokenizer.pairs([*pairs, (LONG, LONG), (LONG, "a")])]
    (empty,) = model.tokenizer.pairs([("", "")])
    assert [ids[-8:] for ids in inputs] == [empty.ids[-8:].tolist()] * 4
    assert [len(ids) for ids in (inputs[0], inputs[2], inputs[3])] == [480] * 3
    assert len(inputs[1]) < 480


def test_long_query_leaves_half_of_the_room_to_the_passage(qwen: Path) -> None:
    tokenizer = CrossEncoder(qwen, max_length=480).tokenizer
    (empty,) = tokenizer.pairs([("", "")])
    one, other = (
        tokens.ids for tokens in tokenizer.pairs([(LONG, "who bakes " * 60), (LONG, "bread " * 200)])
    )
    read = np.flatnonzero(one != other)
    assert read.max() - read.min() + 1 == pytest.approx((480 - len(empty.ids)) / 2, abs=8)


def test_scores_do_not_depend_on_company(qwen: Path) -> None:
    model = CrossEncoder(qwen)
    alone = np.concatenate([model.logits([pair])[0] for pair in PAIRS])
    np.testing.assert_allclose(model.logits(list(PAIRS))[0], alone, rtol=0, atol=NEAR)


@pytest.mark.parametrize(
    ("family", "config"),
    [
        ("qwen2", {}),
        ("llama", {}),
        ("qwen3", {"use_sliding_window": True, "sliding_window": 24, "max_window_layers": 1}),
        ("gemma", {}),
    ],
)
def test_other_families_as_sentence_transformers_describes_them_score_alike(
    family: str, config: dict[str, Any], tmp_path: Path
) -> None:
    from sentence_transformers import CrossEncoder as Theirs

    write_language_model(tmp_path / "plain", family, **config)
    (tmp_path / "plain" / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    their = Theirs(
        str(tmp_path / "plain"),
        device="cpu",
        local_files_only=True,
        prompts={"ask": "Find bread"},
        default_prompt_name="ask",
    )
    their.save_pretrained(str(tmp_path / "saved"))
    pairs = [*(pair for pair in PAIRS if len("".join(pair)) < 200), *TRICKY]
    expected = their.predict([list(pair) for pair in pairs], batch_size=1)
    assert np.std(expected) > 0.01
    np.testing.assert_allclose(CrossEncoder(tmp_path / "saved").predict(pairs), expected, rtol=0, atol=NEAR)


@pytest.fixture
def described(qwen: Path, tmp_path: Path) -> Path:
    """A folder as sentence-transformers describes it."""
    folder = shutil.copytree(qwen, tmp_path / "model")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    modules = [("", "models.Transformer"), ("1_LogitScore", "cross_encoder.modules.LogitScore")]
    write_json(
        folder / "modules.json",
        [{"path": path, "type": f"sentence_transformers.{kind}"} for path, kind in modules],
    )
    write_json(folder / "1_LogitScore" / "config.json", {"true_token_id": 40, "false_token_id": 50})
    return folder


def test_logit_of_yes_alone_counts_where_no_other_token_is_named(described: Path) -> None:
    def logits(**settings: int) -> NDArray[np.float32]:
        write_json(described / "1_LogitScore" / "config.json", settings)
        return CrossEncoder(described).logits(list(PAIRS))[0]

    both = logits(true_token_id=40, false_token_id=50)
    assert np.std(both) > 0.1
    np.testing.assert_allclose(logits(true_token_id=40) - logits(true_token_id=50), both, rtol=0, atol=NEAR)
    with pytest.raises(ModelError, match="names no token that says relevant"):
        logits(false_token_id=1)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ messages[0].content }}", "does not show the messages 'query' and 'document' once each"),
        ("{% for m in messages | reverse %}{{ m.content }}{% endfor %}", "in this order"),
        ("{{ raise_exception('no such role') }}", "its chat template fails: no such role"),
        ("{% if %}", "its chat template fails"),
        (None, "has no chat template"),
    ],
)
def test_template_that_cannot_ask_is_refused(template: str | None, message: str, described: Path) -> None:
    (described / "chat_template.jinja").unlink()
    if template is not None:
        (described / "chat_template.jinja").write_text(template)
    with pytest.raises(ModelError, match=message):
        CrossEncoder(described)


def test_saved_activation_counts(described: Path) -> None:
    saved = "torch.nn.modules.linear.Identity"
    change_json(described / "config_sentence_transformers.json", activation_fn=saved)
    model = CrossEncoder(described)
    np.testing.assert_array_equal(model.predict(list(PAIRS)), model.logits(list(PAIRS))[0])


def test_length_that_leaves_no_room_is_refused(qwen: Path) -> None:
    with pytest.raises(InputError, match=r"max_length must leave room .* at least \d{3} tokens; it is 50"):
        CrossEncoder(qwen, max_length=50)


def test_language_model_without_name_or_module_is_refused(qwen: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(qwen, tmp_path / "Qwen3-0.6B")
    with pytest.raises(ModelError, match="nothing says how it scores"):
        CrossEncoder(folder)


def test_check_says_what_it_is(qwen: Path) -> None:
    report = check_model(qwen)
    assert report["kind"] == "cross-encoder"
    assert report["architecture"] == "qwen3"
    assert report["weights"] == "safetensors, float"
    assert (report["labels"], report["activation"]) == (1, "sigmoid")


def asked_in_pieces(
    folder: Path, pairs: list[tuple[str, str]], start: str, texts: tuple[str, str], end: tuple[str, ...]
) -> Any:
    """The logits after a prompt whose texts are tokenised one by one, as the publishers' code does."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    rows = []
    for query, passage in pairs:
        row = ids(start) + ids(texts[0] + query) + ids("\n") + ids(texts[1] + passage)
        for text in end:
            row += ids(text)
        with torch.inference_mode():
            rows.append(model(torch.tensor([row])).logits[0, -1])
    return tokenizer, torch.stack(rows)


@pytest.mark.parametrize("instruction", [None, "Find bread"])
def test_mxbai_rerank_v2_is_asked_as_its_library_does(instruction: str | None, tmp_path: Path) -> None:
    folder = write_language_model(tmp_path / "mxbai-rerank-base-v2", "qwen2", max_position_embeddings=1024)
    change_json(folder / "tokenizer_config.json", model_max_length=1024)
    start = (
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n"
    )
    task = (
        "You are a search relevance expert who evaluates how well documents match search queries. For each "
        "query-document pair, carefully analyze the semantic relationship between them, then provide your "
        "binary relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:"
    )
    texts = ((f"instruction: {instruction}\n" if instruction else "") + "query: ", "document: ")
    pairs = [*(pair for pair in PAIRS if len("".join(pair)) < 200), *TRICKY]
    end = ("\n", task, "<|im_end|>\n<|im_start|>assistant\n")
    tokenizer, logits = asked_in_pieces(folder, pairs, start, texts, end)
    one, zero = (tokenizer.convert_tokens_to_ids(digit) for digit in "10")
    expected = (logits[:, one] - logits[:, zero]).numpy()
    prompts = {"prompts": {"ask": instruction}, "default_prompt_name": "ask"} if instruction else {}
    model = CrossEncoder(folder, **prompts)  # type: ignore[arg-type]
    assert np.std(expected) > 0.05
    np.testing.assert_allclose(model.logits(pairs)[0], expected, rtol=0, atol=1e-4)


def test_bge_reranker_v2_gemma_is_asked_as_its_card_does(tmp_path: Path) -> None:
    folder = write_language_model(tmp_path / "bge-reranker-v2-gemma", "gemma", tokens=("<bos>", "Yes"))
    prompt = (
        "Given a query A and a passage B, determine whether the passage contains an answer to the query by "
        "providing a prediction of either 'Yes' or 'No'."
    )
    pairs = [*(pair for pair in PAIRS if len("".join(pair)) < 200), *TRICKY]
    tokenizer, logits = asked_in_pieces(folder, pairs, "<bos>", ("A: ", "B: "), ("\n", prompt))
    expected = logits[:, tokenizer.convert_tokens_to_ids("Yes")].numpy()
    model = CrossEncoder(folder)
    assert np.std(expected) > 0.05
    np.testing.assert_allclose(model.logits(pairs)[0], expected, rtol=0, atol=1e-4)


def test_prompt_in_pieces_is_never_cut(tmp_path: Path) -> None:
    folder = write_language_model(tmp_path / "bge-reranker-v2-gemma", "gemma", tokens=("<bos>", "Yes"))
    model = CrossEncoder(folder, max_length=260)
    short, long, both = model.tokenizer.pairs([("who", "bread"), ("who", LONG), (LONG, LONG)])
    assert [len(tokens.ids) for tokens in (long, both)] == [260, 260]
    assert short.truncated == 0 < long.truncated
    np.testing.assert_array_equal(long.ids[-50:], short.ids[-50:])
    np.testing.assert_array_equal(long.ids[:5], short.ids[:5])


@pytest.mark.parametrize(
    "config", [{}, {"use_sliding_window": True, "sliding_window": 24, "max_window_layers": 1}]
)
def test_what_inputs_begin_with_is_computed_once(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crossrank.families.networks import bodies
    from crossrank.families.networks.attention import Packing

    model = CrossEncoder(write_language_model(tmp_path / "Qwen3-Reranker-tiny", **config))
    pairs = [("who bakes bread", passage) for _, passage in PAIRS if len(passage) < 300]
    prefixes: list[int] = []

    def recorded(lengths: list[int], bounds: Any, prefix: int) -> Packing:
        prefixes.append(prefix)
        return Packing(lengths, bounds, prefix)

    monkeypatch.setattr(bodies, "Packing", recorded)
    once = model.logits(pairs)[0]
    assert prefixes[0] > 60
    monkeypatch.setattr(bodies, "_SHORTEST_PREFIX", 10_000)
    np.testing.assert_allclose(once, model.logits(pairs)[0], rtol=0, atol=NEAR)
    assert len(prefixes) == 1
