"""The same weights as every side wants them, written into a folder of the run."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.engines.cases import (
    ETTIN,
    ETTIN_32M,
    GTE,
    MINILM,
    MXBAI,
    XLM_R,
    make_passages,
    sample_sentences,
)
from benchmarks.engines.environments import PEERS, VARIABLES, PeerError, interpreter, run
from benchmarks.engines.machine import processor_flags
from benchmarks.engines.shapes import deberta, modernbert, write_shape
from benchmarks.reference_case import write_float32
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from crossrank.models.locate import DEFAULT_CROSS_ENCODER, locate_model

# What FlashRank loads under a name that it knows.
_FLASHRANK = ("ms-marco-TinyBERT-L-2-v2", "flashrank-TinyBERT-L-2-v2.onnx")
# As many as the helper takes by default. Random weights gain nothing by it, and take minutes.
_CALIBRATION_PAIRS = {MINILM: 300}
# bge-reranker-base: XLM-RoBERTa-base with one output.
_VOCABULARY, _WIDTH, _INNER, _LAYERS, _POSITIONS = 250_002, 768, 3072, 12, 514
_SHAPES = {
    ETTIN: lambda: modernbert(256, 7, 384, "cls"),
    ETTIN_32M: lambda: modernbert(384, 10, 576, "cls"),
    GTE: lambda: modernbert(768, 22, 1152, "mean"),
    MXBAI: lambda: deberta(384, 12, 1536),
}
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def write_folders(model: str, work: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Write a model's folders.

    Args:
        model: A name of those in cases.py.
        work: Where.

    Returns:
        Each folder by its name in ``Side.folder``, and for those that could not be made, why.
    """
    folders: dict[str, Path] = {"float32": work / "float32"}
    reasons: dict[str, str] = {}
    if model == XLM_R:
        write_xlm_roberta(folders["float32"])
    elif model in _SHAPES:
        config, shapes = _SHAPES[model]()
        write_shape(folders["float32"], config, shapes)
        write_tokenizer(
            folders["float32"], "PreTrainedTokenizerFast", config["max_position_embeddings"], typed=False
        )
    else:
        write_float32(DEFAULT_CROSS_ENCODER, folders["float32"])
    _make_plain(folders["float32"])

    def make(name: str, write: Callable[[Path], Path]) -> None:
        print(f"Writing {model}, {name} ...", file=sys.stderr, flush=True)
        try:
            folders[name] = write(work / name)
        except PeerError as error:
            reasons[name] = str(error)

    make("int8", lambda target: _ours(model, folders["float32"], target))
    make("onnx", lambda target: _export_onnx(model, folders["float32"], target))
    make("openvino", lambda target: _export_openvino(model, folders["float32"], target))
    for kind, file in (("float32", "model.onnx"), ("int8", "model_int8.onnx")):
        if "onnx" in folders:
            folders[f"flashrank-{kind}"] = _for_flashrank(folders["onnx"], file, work / f"flashrank-{kind}")
        else:
            reasons[f"flashrank-{kind}"] = reasons["onnx"]
    return folders, reasons


def _make_plain(folder: Path) -> None:
    """Let nothing in the files make one library compute something else than the others."""
    # Logits from all: without this, sentence-transformers adds a sigmoid.
    _change(
        folder / "config.json", sentence_transformers={"activation_fn": "torch.nn.modules.linear.Identity"}
    )
    # A relic of training that fastembed alone would cut passages to.
    _change(folder / "tokenizer_config.json", max_length=None)


def _change(file: Path, **changes: object) -> None:
    content = json.loads(file.read_text(encoding="utf-8")) | changes
    kept = {key: value for key, value in content.items() if value is not None}
    file.write_text(json.dumps(kept), encoding="utf-8")


def _ours(model: str, float32: Path, target: Path) -> Path:
    if model == MINILM:
        return locate_model(DEFAULT_CROSS_ENCODER)
    run([sys.executable, str(PEERS / "export_int8.py"), str(float32), str(target)])
    return target


def _export_onnx(model: str, float32: Path, target: Path) -> Path:
    python = interpreter("sentence-transformers-onnx")
    # Large cases leave the optimised file out, and it takes a minute to make.
    more = ["O3"] if model == MINILM else []
    command = [python, str(PEERS / "export_onnx.py"), str(float32), str(target), _kind(), *more]
    run(command, variables=VARIABLES)
    return target


def _kind() -> str:
    """What sentence-transformers calls this processor, when it makes int8 for it."""
    if platform.machine() in {"aarch64", "arm64"}:
        return "arm64"
    flags = processor_flags()
    return "avx512_vnni" if "avx512_vnni" in flags else "avx512" if "avx512f" in flags else "avx2"


def _export_openvino(model: str, float32: Path, target: Path) -> Path:
    python = interpreter("sentence-transformers-openvino")
    passages, _ = make_passages(_CALIBRATION_PAIRS.get(model, 50), "mixed")
    questions = [sentence for sentence in sample_sentences() if len(sentence) < 80]
    pairs = target.with_name("calibration")
    pairs.mkdir()
    with (pairs / "train.jsonl").open("w", encoding="utf-8") as lines:
        for number, passage in enumerate(passages):
            lines.write(json.dumps({"pair": [questions[number % len(questions)], passage]}) + "\n")
    run(
        [python, str(PEERS / "export_openvino.py"), str(float32), str(target), str(pairs)],
        variables=VARIABLES,
    )
    return target


def _for_flashrank(onnx: Path, file: str, target: Path) -> Path:
    name, model = _FLASHRANK
    (target / name).mkdir(parents=True)
    for part in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(onnx / part, target / name / part)
    (target / name / model).hardlink_to(onnx / "onnx" / file)
    return target


def write_xlm_roberta(folder: Path) -> None:
    """XLM-RoBERTa-base with random weights."""
    config = {
        "model_type": "xlm-roberta",
        "architectures": ["XLMRobertaForSequenceClassification"],
        "vocab_size": _VOCABULARY,
        "hidden_size": _WIDTH,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": 12,
        "intermediate_size": _INNER,
        "hidden_act": "gelu",
        "max_position_embeddings": _POSITIONS,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "dtype": "float32",
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
    }
    write_shape(folder, config, _xlm_roberta_shapes())
    write_tokenizer(folder, "XLMRobertaTokenizer", 512)


def _xlm_roberta_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "roberta.embeddings.word_embeddings.weight": (_VOCABULARY, _WIDTH),
        "roberta.embeddings.position_embeddings.weight": (_POSITIONS, _WIDTH),
        "roberta.embeddings.token_type_embeddings.weight": (1, _WIDTH),
    }
    linear = {"classifier.dense": (_WIDTH, _WIDTH), "classifier.out_proj": (1, _WIDTH)}
    norms = ["roberta.embeddings.LayerNorm"]
    for number in range(_LAYERS):
        layer = f"roberta.encoder.layer.{number}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear[f"{layer}.attention.{part}"] = (_WIDTH, _WIDTH)
        linear[f"{layer}.intermediate.dense"] = (_INNER, _WIDTH)
        linear[f"{layer}.output.dense"] = (_WIDTH, _INNER)
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name, (rows, columns) in linear.items():
        shapes |= {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}
    for name in norms:
        shapes |= {f"{name}.weight": (_WIDTH,), f"{name}.bias": (_WIDTH,)}
    return shapes


def write_tokenizer(folder: Path, class_name: str, longest: int, *, typed: bool = True) -> None:
    """A small tokenizer of XLM-RoBERTa's kind, learnt from the sample texts."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=4000, special_tokens=list(_SPECIAL), unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(sample_sentences(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in _SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings: dict[str, object] = {
        "tokenizer_class": class_name,
        "model_max_length": longest,
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
    }
    if not typed:
        settings["model_input_names"] = ["input_ids", "attention_mask"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
