"""The tables of docs/coming-from.md, row by row, against sentence-transformers itself."""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from support.tiny_models import PAIRS, TEXTS, change_json, write_reranker

from crossrank.conversion.pulling import pull_model
from crossrank.inference.agreement import PROBES
from crossrank.inference.cross_encoder import CrossEncoder

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

NEAR = 1e-4
PAGE = Path(__file__).parents[2] / "docs" / "coming-from.md"
REST = "every other name of"
PROMPTS = {"ask": "question what: "}


class Row(NamedTuple):
    """A name of a table, with what the table says of it."""

    table: str
    name: str
    verdict: str
    text: str


def rows() -> list[Row]:
    found, table = [], ""
    for line in PAGE.read_text(encoding="utf-8").split("## LangChain")[0].splitlines():
        if line.startswith("### "):
            table = line[4:]
        elif line.startswith("| `") or line.startswith(f"| {REST}"):
            names, verdict, text = (cell.strip() for cell in line.strip("|").split("|"))
            found += [Row(table, name, verdict, text) for name in re.findall(r"`([^`]+)`", names)]
    return found


def rows_of(table: str) -> list[Row]:
    """A table without its last row, which stands for many names."""
    return [row for row in rows() if row.table == table and row.name != "torch.nn.Module"]


class Both:
    """One model in both libraries."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ours(self, **options: Any) -> CrossEncoder:
        return CrossEncoder(**{"model_name_or_path": str(self.folder), **options})

    def theirs(self, **options: Any) -> Any:
        from sentence_transformers import CrossEncoder as Theirs

        settings = {"model_name_or_path": str(self.folder), "device": "cpu", "local_files_only": True}
        return Theirs(**{**settings, **options})


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both(write_reranker(tmp_path_factory.mktemp("coming-from") / "model"))


def same(ours: Any, theirs: Any) -> None:
    """Values of one type and shape that are the same to rounding."""
    import torch

    if isinstance(theirs, list | dict):
        assert type(ours) is type(theirs)
        assert len(ours) == len(theirs)
        for key in theirs if isinstance(theirs, dict) else range(len(theirs)):
            same(ours[key], theirs[key])
    elif isinstance(theirs, np.ndarray | np.floating | torch.Tensor | float):
        assert type(ours) is type(theirs)
        assert getattr(ours, "dtype", None) == getattr(theirs, "dtype", None)
        assert np.shape(ours) == np.shape(theirs)
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=0, atol=NEAR)
    elif isinstance(theirs, torch.nn.Module):
        assert type(ours) is type(theirs)
    else:
        assert ours == theirs


def refused(call: Callable[[], object], text: str) -> None:
    """An error of the kind that the page names, whose message shares what to use instead with its row."""
    with pytest.raises((ValueError, TypeError, AttributeError)) as raised:
        call()
    terms = [term.split("(")[0] for term in re.findall(r"`([^`]+)`", text)]
    if terms:
        assert any(term in str(raised.value) for term in terms), (str(raised.value), text)
    else:
        said, written = (set(re.findall(r"\w{4,}", words)) for words in (str(raised.value), text))
        assert len(said & written) >= 2, (str(raised.value), text)


# Constructor: the value that is given, or what is different.


def test_constructor_table_has_every_keyword_and_no_other(both: Both) -> None:
    from sentence_transformers import CrossEncoder as Theirs

    keywords = set(inspect.signature(Theirs.__init__).parameters) - {"self"}
    assert {row.name for row in rows_of("Constructor")} == keywords
    assert keywords <= set(inspect.signature(CrossEncoder.__init__).parameters)


def constructed(**options: Any) -> Callable[[Both, Row], None]:
    """The same scores with these options; ``prompts`` go with the name of one."""

    def check(both: Both, row: Row) -> None:
        assert row.name in options
        same(both.ours(**options).predict(list(PAIRS)), both.theirs(**options).predict(list(PAIRS)))

    return check


def not_constructed(**options: Any) -> Callable[[Both, Row], None]:
    def check(both: Both, row: Row) -> None:
        refused(lambda: both.ours(**options), row.text)

    return check


def activation(name: str) -> Any:
    import torch

    return {"softplus": torch.nn.Softplus(), "own": lambda scores: scores * 2}[name]


def device_of_the_constructor(both: Both, row: Row) -> None:
    assert both.ours().device.type == "cpu"
    assert both.ours(device="cpu").device == both.theirs().device
    refused(lambda: both.ours(device="npu"), "device must be cpu cuda mps")


def hub_option(value: Any) -> Callable[[Both, Row], None]:
    """For a folder it has no effect, there as here; tests/models/test_locate_from_hub.py has the Hub."""

    def check(both: Both, row: Row) -> None:
        constructed(**{row.name: value})(both, row)
        tests = Path(__file__).parents[1] / "models" / "test_locate_from_hub.py"
        assert row.name in tests.read_text(encoding="utf-8")

    return check


def some_model_kwargs(both: Both, row: Row) -> None:
    import torch

    for accepted in (
        {"attn_implementation": "eager"},
        {"dtype": torch.float32},
        {"torch_dtype": "float32"},
        {"device_map": "cpu"},
    ):
        if "device_map" not in accepted:  # theirs needs accelerate's hooks for it
            constructed(model_kwargs=accepted)(both, row)
        same(both.ours(model_kwargs=accepted).predict(list(PAIRS)), both.ours().predict(list(PAIRS)))
    for not_accepted in ({"dtype": torch.float16}, {"file_name": "x.onnx"}, {"device_map": "auto"}):
        with pytest.raises(ValueError, match=r"model_kwargs\[|device must be"):
            both.ours(model_kwargs=not_accepted)


def some_processor_kwargs(both: Both, row: Row) -> None:
    constructed(processor_kwargs={"model_max_length": 20})(both, row)
    with pytest.raises(ValueError, match="processor_kwargs"):
        both.ours(processor_kwargs={"padding_side": "left"})


def some_config_kwargs(both: Both, row: Row) -> None:
    constructed(config_kwargs={"num_labels": 1, "classifier_dropout": 0.3})(both, row)
    with pytest.raises(ValueError, match="config_kwargs"):
        both.ours(config_kwargs={"hidden_act": "relu"})


def card_of_the_constructor(both: Both, row: Row) -> None:
    card = object()
    assert both.ours(model_card_data=card).model_card_data is card


def backend_of_the_constructor(both: Both, row: Row) -> None:
    expected = both.theirs(backend="torch").predict(list(PAIRS))
    for backend in ("torch", "onnx", "openvino"):
        same(both.ours(backend=backend).predict(list(PAIRS)), expected)
    refused(lambda: both.ours(backend="jax"), "backend must be torch, onnx or openvino")


def labels_of_the_constructor(both: Both, row: Row) -> None:
    constructed(num_labels=1)(both, row)
    for library in (both.ours, both.theirs):
        with pytest.raises((ValueError, RuntimeError)):
            library(num_labels=2)


def length_of_the_constructor(both: Both, row: Row) -> None:
    constructed(max_length=20)(both, row)
    same(both.ours(max_length=1000).predict(list(PAIRS)), both.theirs().predict(list(PAIRS)))
    with pytest.raises(RuntimeError):
        both.theirs(max_length=1000).predict(list(PAIRS))


def activation_of_the_constructor(both: Both, row: Row) -> None:
    for name in ("softplus", "own"):
        constructed(activation_fn=activation(name))(both, row)
    import torch

    ours, theirs = both.ours(activation_fn="tanh"), both.theirs(activation_fn=torch.nn.Tanh())
    same(ours.predict(list(PAIRS)), theirs.predict(list(PAIRS)))


def name_of_the_constructor(both: Both, row: Row) -> None:
    same(CrossEncoder(str(both.folder)).predict(list(PAIRS)), both.theirs().predict(list(PAIRS)))
    assert CrossEncoder().name == "crossrank-minilm-l6"


CONSTRUCTOR: dict[str, Callable[[Both, Row], None]] = {
    "model_name_or_path": name_of_the_constructor,
    "modules": not_constructed(modules=[]),
    "device": device_of_the_constructor,
    "prompts": constructed(prompts=PROMPTS, default_prompt_name="ask"),
    "default_prompt_name": constructed(prompts=PROMPTS, default_prompt_name="ask"),
    "cache_folder": hub_option("unused"),
    "trust_remote_code": not_constructed(trust_remote_code=True),
    "revision": hub_option("main"),
    "local_files_only": hub_option(True),
    "token": hub_option(False),
    "model_kwargs": some_model_kwargs,
    "processor_kwargs": some_processor_kwargs,
    "config_kwargs": some_config_kwargs,
    "model_card_data": card_of_the_constructor,
    "backend": backend_of_the_constructor,
    "num_labels": labels_of_the_constructor,
    "max_length": length_of_the_constructor,
    "activation_fn": activation_of_the_constructor,
    "keep_in_fp32_modules": not_constructed(keep_in_fp32_modules=["0.model.classifier"]),
}


@pytest.mark.parametrize("row", rows_of("Constructor"), ids=lambda row: row.name)
def test_constructor_is_what_its_row_says(row: Row, both: Both) -> None:
    CONSTRUCTOR[row.name](both, row)


# predict and rank: the values that are given.


@pytest.mark.parametrize("method", ["predict", "rank"])
def test_method_table_has_every_keyword_and_no_other(method: str) -> None:
    from sentence_transformers import CrossEncoder as Theirs

    keywords = [*inspect.signature(getattr(Theirs, method)).parameters][1:]
    assert [row.name for row in rows_of(method)] == keywords
    # In one order, so that positional arguments mean the same.
    ours = [*inspect.signature(getattr(CrossEncoder, method)).parameters][1:]
    assert ours[: len(keywords) - ("kwargs" in keywords)] == [name for name in keywords if name != "kwargs"]


def columns() -> Any:
    from datasets import Dataset

    return Dataset.from_dict({"pair": [list(pair) for pair in PAIRS]})["pair"]


def called(method: str, *values: Any) -> Callable[[Both, Row], None]:
    """The same results with each of these values."""

    def check(both: Both, row: Row) -> None:
        ours, theirs = models(both)
        for value in values:
            made = value() if callable(value) and not hasattr(value, "forward") else value
            options = required(method) | {row.name: made}
            same(getattr(ours, method)(**options), getattr(theirs, method)(**options))

    return check


@functools.cache
def _models(folder: Path) -> tuple[CrossEncoder, Any]:
    both = Both(folder)
    return both.ours(prompts=PROMPTS), both.theirs(prompts=PROMPTS)


def models(both: Both) -> tuple[CrossEncoder, Any]:
    return _models(both.folder)


def required(method: str) -> dict[str, Any]:
    if method == "rank":
        return {"query": "who bakes bread", "documents": list(TEXTS)}
    return {"inputs": [list(pair) for pair in PAIRS]}


def inputs_of_predict(both: Both, row: Row) -> None:
    ours, theirs = models(both)
    for given in (list(PAIRS), tuple(PAIRS), np.array(PAIRS), np.array(PAIRS, dtype=object), columns()):
        same(ours.predict(given), theirs.predict(given))
    for one in (PAIRS[0], list(PAIRS[0]), np.array(PAIRS[0])):
        same(ours.predict(one), theirs.predict(one))
    for nothing in ([], np.array([], dtype=str)):
        assert ours.predict(nothing).shape == theirs.predict(nothing).shape == (0,)
        for options in ({"convert_to_tensor": True}, {"convert_to_numpy": False}):
            same(ours.predict(nothing, **options), theirs.predict(nothing, **options))
    refused(lambda: ours.predict([{"text": "a"}]), "pair must be two strings, query passage")


def convert(both: Both, row: Row) -> None:
    ours, theirs = models(both)
    for given in (list(PAIRS), PAIRS[0]):
        for value in (True, False):
            same(ours.predict(given, **{row.name: value}), theirs.predict(given, **{row.name: value}))


def activations(method: str) -> Callable[[Both, Row], None]:
    def check(both: Both, row: Row) -> None:
        import torch

        functions = [torch.nn.Identity(), torch.nn.Sigmoid(), torch.nn.Tanh(), torch.nn.Softplus()]
        for function in [*functions, torch.relu]:
            ours, theirs = models(both)
            options = required(method) | {"activation_fn": function}
            same(getattr(ours, method)(**options), getattr(theirs, method)(**options))

    return check


def progress(method: str) -> Callable[[Both, Row], None]:
    def check(both: Both, row: Row) -> None:
        ours, theirs = models(both)
        for value in (None, True, False):
            options = required(method) | {"show_progress_bar": value}
            same(getattr(ours, method)(**options), getattr(theirs, method)(**options))

    return check


def device(method: str) -> Callable[[Both, Row], None]:
    def check(both: Both, row: Row) -> None:
        called(method, "cpu", None)(both, row)
        ours, _ = models(both)
        refused(
            lambda: getattr(ours, method)(**required(method), device=["cuda:0", "cuda:1"]),
            "device must be one device; load another model for each",
        )

    return check


def pool(method: str) -> Callable[[Both, Row], None]:
    return lambda both, row: refused(
        lambda: getattr(models(both)[0], method)(**required(method), pool={"input": None}), row.text
    )


def softmax(both: Both, row: Row) -> None:
    called("predict", True, False, None)(both, row)


def further_keywords(both: Both, row: Row) -> None:
    ours, theirs = models(both)
    options: dict[str, Any] = {"processing_kwargs": {"text": {"max_length": 20, "truncation": True}}}
    same(ours.predict(list(PAIRS), **options), theirs.predict(list(PAIRS), **options))
    options = {"promt": "question"}
    theirs.predict(list(PAIRS), **options)
    with pytest.raises(TypeError, match="did you mean 'prompt'"):
        ours.predict(list(PAIRS), **options)


def documents(both: Both, row: Row) -> None:
    called("rank", list(TEXTS), tuple(TEXTS))(both, row)


def prompt_with_documents(both: Both, row: Row) -> None:
    called("rank", None, True, False)(both, row)


METHODS: dict[tuple[str, str], Callable[[Both, Row], None]] = {
    ("predict", "inputs"): inputs_of_predict,
    ("predict", "apply_softmax"): softmax,
    ("predict", "convert_to_numpy"): convert,
    ("predict", "convert_to_tensor"): convert,
    ("predict", "kwargs"): further_keywords,
    ("rank", "query"): called("rank", "how do bees find flowers", ""),
    ("rank", "documents"): documents,
    ("rank", "top_k"): called("rank", None, 0, 1, 3, 100, -1),
    ("rank", "return_documents"): called("rank", True, False),
} | {
    (method, name): check
    for method in ("predict", "rank")
    for name, check in {
        "prompt_name": called(method, "ask", None),
        "prompt": called(method, "question what: ", "", None),
        "batch_size": called(method, 1, 3, 32),
        "show_progress_bar": progress(method),
        "activation_fn": activations(method),
        "device": device(method),
        "pool": pool(method),
        "chunk_size": called(method, None, 2),
    }.items()
}


@pytest.mark.parametrize(
    "row", [*rows_of("predict"), *rows_of("rank")], ids=lambda row: f"{row.table} {row.name}"
)
def test_keyword_of_a_method_is_what_its_row_says(row: Row, both: Both) -> None:
    METHODS[row.table, row.name](both, row)


# Attributes.


def test_attribute_table_has_every_public_name_and_no_other(both: Both) -> None:
    import torch

    theirs = both.theirs()
    of_modules = set(dir(torch.nn.Sequential))
    names = {name for name in {*dir(type(theirs)), *vars(theirs)} if not name.startswith("_")}
    listed = {row.name for row in rows_of("Attributes and methods")}
    assert names - of_modules <= listed
    assert listed <= names, "the table names nothing that they do not have"


def test_every_other_name_of_a_module_is_refused(both: Both) -> None:
    import torch

    assert any(row.name == "torch.nn.Module" for row in rows())
    listed, ours = {row.name for row in rows()}, both.ours()
    for name in dir(torch.nn.Sequential):
        if not name.startswith("_") and name not in listed:
            with pytest.raises(AttributeError, match=name):
                getattr(ours, name)


def attribute(both: Both, row: Row) -> None:
    same(getattr(both.ours(), row.name), getattr(both.theirs(), row.name))


def method_of_its_own_table(both: Both, row: Row) -> None:
    assert rows_of(row.name)


def length(both: Both, row: Row) -> None:
    ours, theirs = both.ours(), both.theirs()
    for value in (None, 20):
        if value is not None:
            name = "max_seq_length" if row.name.startswith("get_") else row.name
            setattr(ours, name, value)
            setattr(theirs, name, value)
        read = [getattr(model, row.name) for model in (ours, theirs)]
        read = [value() if callable(value) else value for value in read]
        assert read[0] == read[1]
        same(ours.predict(list(PAIRS)), theirs.predict(list(PAIRS)))


def activation_attribute(both: Both, row: Row) -> None:
    ours, theirs = both.ours(), both.theirs()
    same(getattr(ours, row.name), getattr(theirs, row.name))
    for value in (activation("softplus"), activation("own")):
        ours.activation_fn = theirs.activation_fn = value
        assert getattr(ours, row.name) is getattr(theirs, row.name) is value
        same(ours.predict(list(PAIRS)), theirs.predict(list(PAIRS)))
    ours.activation_fn = None
    same(ours.predict(list(PAIRS)), both.theirs().predict(list(PAIRS)))


def prompts_attribute(both: Both, row: Row) -> None:
    ours, theirs = both.ours(), both.theirs()
    same(getattr(ours, row.name), getattr(theirs, row.name))
    for model in (ours, theirs):
        model.prompts, model.default_prompt_name = dict(PROMPTS), "ask"
    same(ours.predict(list(PAIRS)), theirs.predict(list(PAIRS)))


def device_attribute(both: Both, row: Row) -> None:
    import torch

    ours, theirs = both.ours().device, both.theirs().device
    assert ours == theirs == torch.zeros(1, device=ours).device
    assert theirs == ours
    assert (ours.type, ours.index) == (theirs.type, theirs.index)


def moving(*arguments: Any) -> Callable[[Both, Row], None]:
    def check(both: Both, row: Row) -> None:
        for model in (both.ours(), both.theirs()):
            assert getattr(model, row.name)(*arguments) is model

    return check


def to_a_gpu(both: Both, row: Row) -> None:
    import torch

    if torch.cuda.is_available():
        assert both.ours().cuda().device == both.theirs().cuda().device
    else:
        for model in (both.ours(), both.theirs()):
            with pytest.raises((ValueError, AssertionError, RuntimeError)):
                model.cuda()


def training(both: Both, row: Row) -> None:
    assert both.ours().train(False).predict(PAIRS[0]) > 0
    refused(lambda: both.ours().train(), row.text)


def saving(both: Both, row: Row) -> None:
    import torch

    options: dict[str, Any] = {"prompts": PROMPTS, "default_prompt_name": "ask", "max_length": 20}
    ours = both.ours(**options, activation_fn=torch.nn.Tanh())
    expected, folder = ours.predict(list(PAIRS)), both.folder.parent / f"saved by ours with {row.name}"
    getattr(ours, row.name)(str(folder))
    saved = Both(folder)
    assert saved.ours().prompts == saved.theirs().prompts == PROMPTS
    same(saved.ours().predict(list(PAIRS)), expected)
    same(saved.theirs().predict(list(PAIRS)), expected)
    theirs = both.theirs(**options, activation_fn=torch.nn.Softplus())
    getattr(theirs, row.name)(str(both.folder.parent / f"saved by theirs with {row.name}"))
    saved = Both(both.folder.parent / f"saved by theirs with {row.name}")
    same(saved.ours().predict(list(PAIRS)), theirs.predict(list(PAIRS)))


def own_tokenizer(both: Both, row: Row) -> None:
    ours, theirs = both.ours(), both.theirs()
    ids = theirs.tokenizer([PAIRS[0][0]], [PAIRS[0][1]])["input_ids"][0]
    assert ours.tokenizer.pairs([PAIRS[0]])[0].ids.tolist() == ids
    assert ours.tokenizer.model_max_length == theirs.tokenizer.model_max_length
    ours.tokenizer.model_max_length = theirs.tokenizer.model_max_length = 20
    same(ours.predict(list(PAIRS)), theirs.predict(list(PAIRS)))
    with pytest.raises(AttributeError, match="AutoTokenizer"):
        _ = ours.tokenizer.decode


def own_config(both: Both, row: Row) -> None:
    ours, theirs = both.ours().config, both.theirs().config
    for name in ("hidden_size", "model_type", "id2label", "max_position_embeddings"):
        assert getattr(ours, name) == getattr(theirs, name)
    with pytest.raises(AttributeError, match="cannot be set"):
        ours.hidden_size = 3  # type: ignore[misc]


def own_backend(both: Both, row: Row) -> None:
    given = getattr(both.ours(), row.name)
    assert (given() if callable(given) else given) == "openvino"


def own_card(both: Both, row: Row) -> None:
    model = both.ours()
    model.model_card_data.set_evaluation_metrics(None, {"map": 1.0})
    assert model.model_card_data.results == [{"map": 1.0}]


def evaluating(both: Both, row: Row) -> None:
    def evaluator(model: Any, output_path: object) -> Any:
        return model.predict(PAIRS[0])

    same(both.ours().evaluate(evaluator), both.theirs().evaluate(evaluator))


ATTRIBUTES: dict[str, Callable[[Both, Row], None]] = {
    "predict": method_of_its_own_table,
    "rank": method_of_its_own_table,
    "evaluate": evaluating,
    "num_labels": attribute,
    "max_length": length,
    "max_seq_length": length,
    "get_max_seq_length": length,
    "activation_fn": activation_attribute,
    "default_activation_function": activation_attribute,
    "prompts": prompts_attribute,
    "default_prompt_name": prompts_attribute,
    "device": device_attribute,
    "to": moving("cpu"),
    "cpu": moving(),
    "cuda": to_a_gpu,
    "eval": moving(),
    "train": training,
    "save": saving,
    "save_pretrained": saving,
    "tokenizer": own_tokenizer,
    "config": own_config,
    "backend": own_backend,
    "get_backend": own_backend,
    "model_card_data": own_card,
}


@pytest.mark.parametrize("row", rows_of("Attributes and methods"), ids=lambda row: row.name)
def test_attribute_is_what_its_row_says(row: Row, both: Both) -> None:
    if row.name in ATTRIBUTES:
        ATTRIBUTES[row.name](both, row)
        return
    assert row.verdict == "refused"
    assert not hasattr(both.ours(), row.name)
    refused(lambda: getattr(both.ours(), row.name), row.text)


def test_verdicts_are_those_that_the_page_explains() -> None:
    assert {row.verdict for row in rows()} == {"same", "different", "refused"}
    assert all(row.text for row in rows() if row.verdict != "same")


# What is in no table.


def test_default_prompt_that_they_saved_is_theirs(both: Both, tmp_path: Path) -> None:
    both.theirs(prompts=PROMPTS, default_prompt_name="ask").save_pretrained(str(tmp_path / "saved"))
    saved = Both(tmp_path / "saved")
    same(saved.ours().predict(list(PAIRS)), saved.theirs().predict(list(PAIRS)))
    # Without a list of modules they do not read it.
    (tmp_path / "saved" / "modules.json").unlink()
    assert saved.ours().prompts == saved.theirs().prompts == {}
    same(saved.ours().predict(list(PAIRS)), saved.theirs().predict(list(PAIRS)))


def write_reranker_with_template(folder: Path) -> Path:
    part = "{{ messages | selectattr('role', 'eq', '%s') | map(attribute='content') | first }}"
    template = f"{part % 'system'} what is {part % 'query'} about {part % 'document'}"
    write_reranker(folder)
    (folder / "chat_template.jinja").write_text(template)
    return folder


def test_chat_template_of_a_classifier_is_theirs(tmp_path: Path) -> None:
    folder = write_reranker_with_template(tmp_path / "model")
    both, pairs = Both(folder), [pair for pair in PAIRS if len("".join(pair)) < 150]
    for options in ({}, {"prompts": {"task": "find bread"}, "default_prompt_name": "task"}):
        ours, theirs = both.ours(**options), both.theirs(**options)
        same(ours.predict(pairs), theirs.predict(pairs))
        same(ours.predict(pairs, prompt="find a city"), theirs.predict(pairs, prompt="find a city"))
    ours.save_pretrained(tmp_path / "saved")
    saved = Both(tmp_path / "saved")
    same(saved.ours().predict(pairs), theirs.predict(pairs))
    same(saved.theirs().predict(pairs), theirs.predict(pairs))


def test_int8_copy_of_a_classifier_is_checked_within_its_chat_template(tmp_path: Path) -> None:
    pull_model(write_reranker_with_template(tmp_path / "model"), tmp_path / "copy")
    copy = CrossEncoder(tmp_path / "copy")
    stored = json.loads((tmp_path / "copy" / "crossrank.json").read_text())["probe"]
    np.testing.assert_allclose(
        stored, copy.outputs([(query, text) for query, texts in PROBES for text in texts]), atol=0.05
    )


def test_chat_template_that_leaves_the_pair_out_is_refused_by_both(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    change_json(folder / "tokenizer_config.json", chat_template="{{ messages[0].role == 'user' }}")
    for library in (Both(folder).ours, Both(folder).theirs):
        with pytest.raises(Exception, match="chat template"):
            library().predict(list(PAIRS))


@pytest.mark.parametrize("labels", [2, 3])
def test_several_labels_are_theirs(labels: int, tmp_path: Path) -> None:
    import torch

    names = {str(i): f"LABEL_{i}" for i in range(labels)}
    config = {"id2label": names, "label2id": {name: int(i) for i, name in names.items()}}
    both = Both(write_reranker(tmp_path / "model", labels=labels, config=config))
    ours, theirs = both.ours(), both.theirs()
    assert ours.num_labels == theirs.num_labels == labels
    same(ours.activation_fn, theirs.activation_fn)
    for options in ({}, {"apply_softmax": True}, {"convert_to_tensor": True}, {"convert_to_numpy": False}):
        same(ours.predict(list(PAIRS), **options), theirs.predict(list(PAIRS), **options))
        same(ours.predict(PAIRS[0], **options), theirs.predict(PAIRS[0], **options))
    for function in (torch.nn.Softmax(dim=1), torch.nn.Sigmoid()):
        same(
            ours.predict(list(PAIRS), activation_fn=function),
            theirs.predict(list(PAIRS), activation_fn=function),
        )
    for model in (ours, theirs):
        with pytest.raises(ValueError, match="label"):
            model.rank("who bakes bread", list(TEXTS))


def test_their_evaluators_give_the_same_metrics(both: Both, tmp_path: Path) -> None:
    from sentence_transformers.cross_encoder import evaluation as their

    queries = sorted({query for query, _ in PAIRS})
    samples = [
        {"query": query, "positive": [TEXTS[i]], "documents": list(TEXTS)} for i, query in enumerate(queries)
    ]
    pairs, labels = [list(pair) for pair in PAIRS], [1, 0, 1, 0, 1, 0, 0, 1]
    evaluators = [
        their.CrossEncoderRerankingEvaluator(samples, name="tiny"),
        their.CrossEncoderClassificationEvaluator(pairs, labels, name="tiny"),
        their.CrossEncoderCorrelationEvaluator(pairs, np.linspace(0, 1, len(pairs)).tolist(), name="tiny"),
    ]
    for evaluator in evaluators:
        ours = both.ours()
        metrics = ours.evaluate(evaluator, str(tmp_path / "ours"))
        expected = evaluator(both.theirs())
        assert metrics == pytest.approx(expected, abs=1e-4)
        assert ours.model_card_data.results[0].keys() == expected.keys() - {
            name for name in expected if "base_" in name
        }
    assert len(list((tmp_path / "ours").glob("*.csv"))) == 3


def test_their_classification_evaluator_takes_several_labels(tmp_path: Path) -> None:
    from sentence_transformers.cross_encoder.evaluation import CrossEncoderClassificationEvaluator

    names = {str(i): f"LABEL_{i}" for i in range(3)}
    config = {"id2label": names, "label2id": {name: int(i) for i, name in names.items()}}
    both = Both(write_reranker(tmp_path / "model", labels=3, config=config))
    evaluator = CrossEncoderClassificationEvaluator([list(pair) for pair in PAIRS], [0, 1, 2, 0, 1, 2, 0, 1])
    assert evaluator(both.ours()) == pytest.approx(evaluator(both.theirs()))
