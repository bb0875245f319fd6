"""The PyTorch engine against transformers itself, one pair at a time in float32, and against OpenVINO."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file
from support.modern_models import write_modern_embedder, write_modern_reranker
from support.processes import run_python
from support.tiny_models import FAMILIES, PAIRS, TEXTS, change_json, save, write_embedder, write_reranker
from support.torch_models import DEBERTA, DECODER, MODERNBERT, write_classifier

import crossrank.families
from crossrank.errors import InputError, ModelError
from crossrank.families import family_of
from crossrank.families.model import open_model
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.engines import Engine
from crossrank.inference.loading import load_torch_engine
from crossrank.inference.task import Classification
from crossrank.inference.tokenizer import Tokenizer
from crossrank.models.locate import DEFAULT_CROSS_ENCODER
from crossrank.models.modules import PLAIN_CLASSIFIER

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]


@pytest.fixture(autouse=True)
def no_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch runs ModernBERT on the processor, too."""
    without = replace(family_of("modernbert"), graph=None)
    monkeypatch.setattr(crossrank.families, "_registered", {"modernbert": without})


NEAR = 2e-5
# Float32's own error here, by the order of its sums alone.
SAME = 5e-6
WRITERS: dict[str, Callable[[Path], Path]] = {
    "modernbert": lambda folder: write_classifier(folder, "modernbert", MODERNBERT),
    "modernbert, mean": lambda folder: write_classifier(
        folder, "modernbert", MODERNBERT | {"classifier_pooling": "mean"}
    ),
    "deberta-v2": lambda folder: write_classifier(folder, "deberta-v2", DEBERTA),
    "deberta-v2, old": lambda folder: write_modern_reranker(folder, "deberta-v2-old"),
    "deberta-v2, one term": lambda folder: write_classifier(
        folder, "deberta-v2", DEBERTA | {"pos_att_type": ["c2p"]}
    ),
    "deberta-v2, convolution": lambda folder: write_classifier(
        folder, "deberta-v2", DEBERTA | {"conv_kernel_size": 3}
    ),
    "gte": lambda folder: write_modern_reranker(folder, "gte"),
    "nomic_bert": lambda folder: write_modern_reranker(folder, "nomic_bert"),
    **{
        family: lambda folder, family=family: write_reranker(folder, family)  # type: ignore[misc]
        for family in FAMILIES
    },
}


def some_pairs(number: int) -> list[tuple[str, str]]:
    words = " ".join(TEXTS).split()
    dice = random.Random(7)
    return [
        ("who bakes bread", f"{i} " + " ".join(dice.choices(words, k=dice.choice([0, 2, 9, 9, 20, 90]))))
        for i in range(number)
    ]


def torch_engine(folder: Path | str) -> tuple[Engine, Tokenizer]:
    """The engine on the processor, also for families that OpenVINO runs there."""
    model = open_model(folder)
    tokenizer = Tokenizer(model)
    task = Classification(PLAIN_CLASSIFIER)
    loaded = load_torch_engine(model, task, tokenizer, device="cpu", threads=2, width=1)
    return loaded.engine, tokenizer


def theirs(folder: Path, pairs: list[tuple[str, str]]) -> NDArray[np.float32]:
    """Logits of transformers, each pair alone."""
    import torch
    from transformers import AutoModelForSequenceClassification

    network = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    typed = getattr(network.config, "type_vocab_size", 0) > 1
    logits = []
    with torch.inference_mode():
        for tokens in Tokenizer(open_model(folder)).pairs(pairs):
            ids = torch.from_numpy(tokens.ids).long()[None]
            options = {"token_type_ids": torch.from_numpy(tokens.types).long()[None]} if typed else {}
            logits.append(network(ids, attention_mask=torch.ones_like(ids), **options).logits[0, 0].item())
    return np.array(logits, np.float32)


@pytest.mark.parametrize("kind", WRITERS)
def test_scores_are_those_of_transformers_for_each_pair_alone(kind: str, tmp_path: Path) -> None:
    folder = WRITERS[kind](tmp_path / "model")
    pairs = [*PAIRS, *some_pairs(40)]
    engine, tokenizer = torch_engine(folder)
    assert engine._network.padded == (kind == "deberta-v2, convolution")  # type: ignore[attr-defined]
    outputs = engine.run(tokenizer.pairs(pairs))
    assert (outputs.shape, outputs.dtype) == ((len(pairs), 1), np.float32)
    assert outputs.std() > 0.1
    np.testing.assert_allclose(outputs[:, 0], theirs(folder, pairs), rtol=0, atol=NEAR)


def test_network_with_code_of_its_own_runs_by_transformers(tmp_path: Path) -> None:
    """NTK's way to stretch positions, which the repository's code has, in the words of transformers."""
    folder = write_modern_reranker(tmp_path / "model", "new")
    pairs = [*PAIRS, *some_pairs(20)]
    engine, tokenizer = torch_engine(folder)
    expected = CrossEncoder(folder).logits(pairs)[0]
    np.testing.assert_allclose(engine.run(tokenizer.pairs(pairs))[:, 0], expected, rtol=0, atol=NEAR)


@pytest.mark.parametrize(
    "kind",
    ["deberta-v2", "deberta-v2-old", "distilbert", "gte", "mpnet", "new", "nomic_bert", "nomic_bert-own"],
)
def test_body_without_padding_gives_the_vectors_of_its_graph(kind: str, tmp_path: Path) -> None:
    import torch

    from crossrank.families.networks.bodies import load_body
    from crossrank.inference.bi_encoder import BiEncoder
    from crossrank.inference.packing import pack

    if kind in FAMILIES:
        folder = write_embedder(tmp_path / "model", kind, pooling="cls", normalize=False)
    else:
        folder = write_modern_embedder(tmp_path / "model", kind, pooling="cls")
    inputs = sorted(Tokenizer(open_model(folder)).texts(TEXTS), key=lambda tokens: -len(tokens.ids))
    body = load_body(open_model(folder), torch.device("cpu"), torch.float32)
    assert not body.padded
    with torch.inference_mode():
        given = body(pack(inputs), only_first=True).numpy()
    expected = BiEncoder(folder).encode_documents(TEXTS)
    lengths = [len(tokens.ids) for tokens in Tokenizer(open_model(folder)).texts(TEXTS)]
    order = sorted(range(len(TEXTS)), key=lambda place: -lengths[place])
    np.testing.assert_allclose(given, expected[order], rtol=0, atol=NEAR)


@pytest.mark.parametrize("kind", ["modernbert", "deberta-v2", "bert", "xlm-roberta"])
def test_scores_do_not_depend_on_company_or_order(kind: str, tmp_path: Path) -> None:
    engine, tokenizer = torch_engine(WRITERS[kind](tmp_path / "model"))
    inputs = tokenizer.pairs(some_pairs(30))
    together = engine.run(inputs)
    alone = np.concatenate([engine.run([tokens]) for tokens in inputs])
    np.testing.assert_allclose(together, alone, rtol=0, atol=SAME)
    np.testing.assert_allclose(engine.run(inputs[::-1])[::-1], alone, rtol=0, atol=SAME)


@pytest.mark.parametrize("kind", ["modernbert", "deberta-v2", "bert"])
def test_many_small_batches_give_what_one_gives(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crossrank.inference.engines import pytorch

    folder, pairs = WRITERS[kind](tmp_path / "model"), some_pairs(50)
    engine, tokenizer = torch_engine(folder)
    expected = engine.run(tokenizer.pairs(pairs))
    monkeypatch.setattr(pytorch, "_CPU_BUDGET", 100)
    engine, _ = torch_engine(folder)
    done: list[int] = []
    np.testing.assert_allclose(engine.run(tokenizer.pairs(pairs), done.append), expected, rtol=0, atol=SAME)
    assert len(done) > 10
    assert sum(done) == len(pairs)


def test_cross_encoder_runs_what_openvino_has_no_graph_for(tmp_path: Path) -> None:
    folder = WRITERS["modernbert"](tmp_path / "model")
    model = CrossEncoder(folder)
    logits, truncated = model.logits(list(PAIRS))
    np.testing.assert_allclose(logits, theirs(folder, list(PAIRS)), rtol=0, atol=NEAR)
    assert truncated[0] == 0 < truncated[3]
    assert model.predict([]).shape == (0,)  # type: ignore[union-attr]
    assert CrossEncoder(folder, max_length=16).logits([PAIRS[1]])[1][0] > truncated[1]


def test_labels_and_saved_activation_count_as_elsewhere(tmp_path: Path) -> None:
    folder = WRITERS["modernbert"](tmp_path / "model")
    change_json(
        folder / "config_sentence_transformers.json", activation_fn="torch.nn.modules.linear.Identity"
    )
    model = CrossEncoder(folder)
    np.testing.assert_array_equal(model.predict(list(PAIRS)), model.logits(list(PAIRS))[0])
    change_json(folder / "config.json", id2label={str(i): str(i) for i in range(3)}, label2id=None)
    with pytest.raises(ModelError, match="cannot be loaded by transformers"):
        CrossEncoder(folder)


def test_int8_weights_give_what_openvino_gives_in_float32(tmp_path: Path) -> None:
    folder = shutil.copytree(open_model(DEFAULT_CROSS_ENCODER).path, tmp_path / "model")
    model = CrossEncoder(folder, precision="float32")
    engine, tokenizer = torch_engine(folder)
    pairs = [*PAIRS, *some_pairs(20)]
    np.testing.assert_allclose(
        engine.run(tokenizer.pairs(pairs))[:, 0], model.logits(pairs)[0], rtol=0, atol=1e-4
    )


def test_weights_stored_in_less_than_float32_are_read(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    save(folder, {name: values.astype(np.float16) for name, values in tensors.items()})
    engine, tokenizer = torch_engine(folder)
    expected = CrossEncoder(folder).logits(list(PAIRS))[0]
    np.testing.assert_allclose(engine.run(tokenizer.pairs(PAIRS))[:, 0], expected, rtol=0, atol=NEAR)


@pytest.mark.parametrize(
    "kind",
    [
        *("bert", "electra", "modernbert", "modernbert, mean", "deberta-v2", "distilbert", "gte", "mpnet"),
        "nomic_bert",
    ],
)
def test_body_computes_in_bfloat16_and_head_in_float32(kind: str, tmp_path: Path) -> None:
    """What a GPU does, on the processor: no part meets numbers of another type than its own."""
    import torch

    from crossrank.families.networks.classifiers import load_classifier
    from crossrank.inference.packing import pack

    folder = WRITERS[kind](tmp_path / "model")
    inputs = sorted(Tokenizer(open_model(folder)).pairs(PAIRS), key=lambda tokens: -len(tokens.ids))
    cpu = torch.device("cpu")
    with torch.inference_mode():
        expected = load_classifier(open_model(folder), cpu, torch.float32)(pack(inputs))
        logits = load_classifier(open_model(folder), cpu, torch.bfloat16)(pack(inputs))
    assert logits.dtype is torch.float32
    error = (logits - expected).abs().max()
    assert 0 < error < 0.2 * expected.std()


def test_head_gets_all_that_is_stored_of_it(tmp_path: Path) -> None:
    import torch

    from crossrank.families.networks.classifiers import load_classifier

    folder = write_reranker(tmp_path / "model", config={"torch_dtype": "float16"})
    network: Any = load_classifier(open_model(folder), torch.device("cpu"), torch.bfloat16)
    stored = load_file(folder / "model.safetensors")["classifier.weight"]
    np.testing.assert_array_equal(network._head[-1].weight.detach().numpy(), stored)


def test_batch_that_does_not_fit_is_halved(tmp_path: Path) -> None:
    import torch

    engine, tokenizer = torch_engine(WRITERS["modernbert"](tmp_path / "model"))
    inputs = tokenizer.pairs(some_pairs(30))
    expected = engine.run(inputs)
    network, sizes = engine._network, []  # type: ignore[attr-defined]

    class Small:
        padded = False

        def __call__(self, pack: Any) -> Any:
            if len(pack.ids) > 300:
                raise torch.OutOfMemoryError("CUDA out of memory")
            sizes.append(len(pack.ids))
            return network(pack)

    engine._network = Small()  # type: ignore[attr-defined]
    np.testing.assert_allclose(engine.run(inputs), expected, rtol=0, atol=SAME)
    assert 100 < max(sizes) <= 300


def test_pair_that_does_not_fit_alone_is_an_error(tmp_path: Path) -> None:
    import torch

    engine, tokenizer = torch_engine(WRITERS["modernbert"](tmp_path / "model"))

    class Full:
        padded = False

        def __call__(self, pack: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

    engine._network = Full()  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match=r"one pair of \d+ tokens does not fit into the memory of cpu"):
        engine.run(tokenizer.pairs(PAIRS))


def test_threads_that_share_a_model_get_the_scores_of_one(tmp_path: Path) -> None:
    model = CrossEncoder(WRITERS["modernbert"](tmp_path / "model"))
    pairs = some_pairs(24)
    expected = model.logits(pairs)[0]
    with ThreadPoolExecutor(6) as pool:
        for logits, _ in pool.map(lambda _: model.logits(pairs), range(12)):
            np.testing.assert_allclose(logits, expected, rtol=0, atol=SAME)


def test_texts_tokenised_on_another_thread_have_the_same_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crossrank.inference import cross_encoder

    model = CrossEncoder(WRITERS["modernbert"](tmp_path / "model"))
    pairs = [*some_pairs(30), *some_pairs(5)]
    expected = model.logits(pairs)[0]
    monkeypatch.setattr(cross_encoder, "_FIRST_CHUNK", 4)
    monkeypatch.setattr(cross_encoder, "_CHUNK", 8)
    model._engine.on_gpu = True
    done: list[int] = []
    np.testing.assert_allclose(model.logits(pairs, progress=done.append)[0], expected, rtol=0, atol=SAME)
    assert sum(done) == len(pairs)


FORK = """
    import os, sys
    from dataclasses import replace
    from pathlib import Path
    from crossrank.errors import ModelError
    from crossrank.families import family_of, register
    from crossrank.inference.cross_encoder import CrossEncoder

    register(replace(family_of("modernbert"), graph=None))
    model = CrossEncoder(Path(sys.argv[1]))
    pairs = [("who bakes bread", "a baker, and baker " * n) for n in range(1, 9)] * 8
    expected = model.logits(pairs)[0]
    if sys.argv[2] == "gpu":
        import torch
        model._engine._device = torch.device("cuda:0")
    child = os.fork()
    if child == 0:
        try:
            same = abs(model.logits(pairs)[0] - expected).max() < 5e-6
            os._exit(0 if same else 1)
        except ModelError as error:
            print(error, flush=True)
            os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_forked_child_scores_on_the_processor(tmp_path: Path) -> None:
    folder = WRITERS["modernbert"](tmp_path / "model")
    assert run_python(FORK, str(folder), "cpu").split() == ["0"]


def test_forked_child_is_told_that_it_cannot_use_a_gpu(tmp_path: Path) -> None:
    folder = WRITERS["modernbert"](tmp_path / "model")
    output = run_python(FORK, str(folder), "gpu")
    assert "is on cuda:0, which a forked process cannot use" in output
    assert output.split()[-1] == "7"


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "mps"])
def test_device_that_is_not_there_is_an_error(device: str) -> None:
    import torch

    if device != "cuda:7" and (torch.cuda.is_available() or torch.backends.mps.is_available()):
        pytest.skip("it is there")
    with pytest.raises(InputError, match=f"there is no device {device} here: PyTorch"):
        CrossEncoder(device=device)


def test_folder_without_a_head_is_refused(tmp_path: Path) -> None:
    folder = WRITERS["modernbert"](tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    save(folder, {name: values for name, values in tensors.items() if not name.startswith("classifier")})
    with pytest.raises(ModelError, match=r"has no tensor 'classifier\.bias', which a ModernBertForSequence"):
        CrossEncoder(folder)


def test_embedder_is_refused(tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "model")
    model = open_model(folder)
    with pytest.raises(ModelError, match=r"has no tensor 'classifier\.bias'"):
        load_torch_engine(
            model, Classification(PLAIN_CLASSIFIER), Tokenizer(model), device="cpu", threads=None, width=1
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "strange"}, "strange model, which transformers .* cannot read"),
        ({"hidden_size": 30}, "cannot be loaded by transformers"),
        ({"num_hidden_layers": 6}, "cannot read: .*layer_types"),
        ({"num_hidden_layers": 6, "layer_types": None}, "has no tensor 'model.layers.4"),
    ],
)
def test_folder_that_transformers_cannot_load_is_refused(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    folder = WRITERS["modernbert"](tmp_path / "model")
    change_json(folder / "config.json", **changes)
    with pytest.raises(ModelError, match=message):
        CrossEncoder(folder)


def test_damaged_weights_are_refused_at_load(tmp_path: Path) -> None:
    folder = WRITERS["modernbert"](tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.Wo.weight"][3] = np.nan
    save(folder, tensors)
    with pytest.raises(ModelError, match="its weights are damaged"):
        CrossEncoder(folder)
    (folder / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ModelError, match="damaged or no safetensors file"):
        CrossEncoder(folder)


def test_nothing_but_scores_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = WRITERS["modernbert"](tmp_path / "model")
    capfd.readouterr()
    CrossEncoder(folder).predict(list(PAIRS))
    assert capfd.readouterr() == ("", "")


def test_network_that_wants_more_than_tokens_is_refused(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "model", "qwen3", {**DECODER, "pad_token_id": None})
    with pytest.raises(ModelError, match="cannot be run by transformers: Cannot handle batch sizes > 1"):
        CrossEncoder(folder)


@pytest.mark.parametrize("window", [(-1, -1), (-1, 0), (7, 7), (7, 0), (0, 0)])
@pytest.mark.parametrize("key_heads", [1, 2, 4])
def test_flash_attention_is_asked_for_what_the_processor_computes(
    window: tuple[int, int], key_heads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no GPU here: by its documentation, PyTorch's function computes this."""
    import torch
    from torch.nn.attention import varlen

    from crossrank.families.networks import attention

    def documented(
        query: Any, key: Any, value: Any, cu_seq_q: Any, cu_seq_k: Any, max_q: int, max_k: int, **options: Any
    ) -> Any:
        assert cu_seq_q.dtype is cu_seq_k.dtype is torch.int32
        assert options["enable_gqa"] or key.shape[1] == query.shape[1]
        assert (max_q, max_k) == (int(cu_seq_q.diff().max()), int(cu_seq_k.diff().max()))
        left, right = options["window_size"]
        rows = []
        for (q0, q1), (k0, k1) in zip(pairwise(cu_seq_q), pairwise(cu_seq_k), strict=True):
            k, v = (x[k0:k1].repeat_interleave(query.shape[1] // key.shape[1], 1) for x in (key, value))
            scores = torch.einsum("qhd,khd->hqk", query[q0:q1], k) * options["scale"]
            distance = torch.arange(q1 - q0)[:, None] - torch.arange(k1 - k0)
            unseen = ((distance > left) & (left >= 0)) | ((distance < -right) & (right >= 0))
            rows.append(torch.einsum("hqk,khd->qhd", scores.masked_fill(unseen, -torch.inf).softmax(-1), v))
        return torch.cat(rows)

    monkeypatch.setattr(varlen, "varlen_attn", documented)
    torch.manual_seed(7)
    lengths = [20, 9, 9, 2, 1]
    packing = attention.Packing(lengths, torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32))
    q, k, v = (torch.randn(sum(lengths), heads, 8) for heads in (4, key_heads, key_heads))
    expected = attention.attend_within(q, k, v, packing, 0.3, window)
    torch.testing.assert_close(attention._flash(q, k, v, packing, 0.3, window), expected)
    if window == (-1, -1):
        first = q[packing.bounds[:-1]]
        torch.testing.assert_close(
            attention._flash(first, k, v, packing, 0.3, window), expected[packing.bounds[:-1]]
        )
