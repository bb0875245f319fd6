"""Time a model's layers on this processor in each kind of arithmetic."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Sequence
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crossrank.families.model import Model
from crossrank.inference.arithmetic import Arithmetic
from crossrank.inference.engines import Engine
from crossrank.inference.engines.threads import available_threads
from crossrank.inference.machine_cache import measuring, remember, remembered
from crossrank.inference.sample_texts import sample_candidates
from crossrank.inference.tokenizer import Tokenizer, Tokens

if TYPE_CHECKING:
    from crossrank.families.graphs.graph import Graph
    from crossrank.families.graphs.openvino_library import ov

# All layers of a model have one shape.
_LAYERS = 2
_LENGTHS = (48, 256)
# Floating-point operations for each length: about 25 ms in float32 on two ordinary cores.
_WORK = 2.5e9
# In turn, so that a busy moment does not fall on one of them alone; at most this many, in this many seconds.
_ROUNDS, _SECONDS = 6, 0.12
# Time of the processors for this process: on a busy machine, what it waits for says nothing about the model.
# Windows counts that in steps of 16 ms, which are too long.
_clock = time.process_time if time.get_clock_info("process_time").resolution < 1e-4 else time.perf_counter
_KIND = "tokens_per_processor_second"


def layer_speeds(
    model: Model, arithmetics: Sequence[Arithmetic], tokenizer: Tokenizer
) -> dict[Arithmetic, float]:
    """How fast the first layers of a model run in each arithmetic, in tokens for each second of a processor.

    Timed once for each processor, OpenVINO version and shape of model; kept in the user's cache folder. All
    threads are timed, whatever number the model is loaded with: its scores shall not depend on that number.

    Args:
        model: A model with a graph.
        arithmetics: What to time.
        tokenizer: The model's tokenizer.

    Returns:
        The speeds in the given order, without those that this processor cannot run.
    """
    key = _key(model)
    with measuring():
        known = remembered(_KIND, key)
        known = known if isinstance(known, dict) else {}
        if not all(isinstance(known.get(str(each)), int | float) for each in arithmetics):
            timed = _timed(model, arithmetics, tokenizer)
            known |= {str(each): 0.0 for each in arithmetics} | timed
            remember(_KIND, key, known)
    return {each: float(known[str(each)]) for each in arithmetics if known[str(each)] > 0}


def _timed(model: Model, arithmetics: Sequence[Arithmetic], tokenizer: Tokenizer) -> dict[str, float]:
    inputs = _inputs(model, tokenizer)
    engines: dict[str, Engine] = {}
    best: dict[str, float] = {}
    for arithmetic in arithmetics:
        # What a processor cannot run is refused when it is compiled, or when it is first run.
        try:
            engine = _engine(model, arithmetic, tokenizer)
            for texts in inputs:
                engine.run(texts)
        except RuntimeError:
            continue
        engines[str(arithmetic)] = engine
        best[str(arithmetic)] = float("inf")
    began = time.perf_counter()
    for number in range(_ROUNDS):
        for name, engine in engines.items():
            start = _clock()
            for texts in inputs:
                engine.run(texts)
            best[name] = min(best[name], _clock() - start)
        if number and time.perf_counter() - began > _SECONDS:
            break
    tokens = sum(len(text.ids) for texts in inputs for text in texts)
    return {name: round(tokens / seconds, 1) for name, seconds in best.items()}


def _engine(model: Model, arithmetic: Arithmetic, tokenizer: Tokenizer) -> Engine:
    from crossrank.inference.engines.openvino import OpenVinoEngine

    build = partial(_first_layers, model, arithmetic)
    return OpenVinoEngine(build, tokenizer, activations=arithmetic.activations)


def _first_layers(model: Model, arithmetic: Arithmetic) -> ov.Model:
    from crossrank.families.graphs.encoder import first_position
    from crossrank.families.graphs.openvino_library import op, ov
    from crossrank.families.graphs.operations import constant

    graph: Graph = model.graph(products=arithmetic.products, layers=_LAYERS)
    first = first_position(graph.hidden_states())
    return ov.Model([op.squeeze(first, constant(1))], list(graph.inputs.values()))


def _inputs(model: Model, tokenizer: Tokenizer) -> list[list[Tokens]]:
    """For each length, texts that make the same work, at least one for each thread."""
    # A layer of width h has about 12 h x h weights, each of which is one multiplication and one addition.
    a_token = 2 * 12 * int(model.config.get("hidden_size") or model.config.get("dim") or 768) ** 2 * _LAYERS
    [text] = tokenizer.texts([sample_candidates()[0][1][-1]])
    return [
        [Tokens(np.resize(text.ids, length), np.resize(text.types, length))]
        * max(available_threads(), round(_WORK / a_token / length))
        for length in sorted({min(length, tokenizer.limit) for length in _LENGTHS})
    ]


def _key(model: Model) -> str:
    shape = {
        "family": model.architecture,
        "heads": model.config.get("num_attention_heads") or model.config.get("n_heads"),
        "matrices": sorted(model.weights.matrices),
        "ranges": model.weights.has_input_ranges,
    }
    digest = hashlib.blake2b(json.dumps(shape, sort_keys=True).encode(), digest_size=8).hexdigest()
    return f"{machine_key()}, {model.architecture} {digest}"


@cache
def machine_key() -> str:
    """The processor and the release of OpenVINO, as far as speed and rounding depend on them."""
    name, flags = platform.processor() or platform.machine(), ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        fields = {}
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").split("\n\n")[0].splitlines():
            field, _, value = line.partition(":")
            fields[field.strip()] = value.strip()
        name, flags = fields.get("model name", name), fields.get("flags", fields.get("Features", ""))
    known = " ".join([*sorted(flags.split()), _held_to()])
    digest = hashlib.blake2b(known.encode(), digest_size=4).hexdigest()
    return f"{name} {digest}, OpenVINO {version('openvino')}"


def has_amx() -> bool:
    """Whether the processor multiplies bfloat16 in tiles, far faster than anything else that it does."""
    cpuinfo = Path("/proc/cpuinfo")
    return (
        not _held_to()
        and cpuinfo.is_file()
        and " amx_bf16" in cpuinfo.read_text(encoding="utf-8", errors="replace")
    )


def _held_to() -> str:
    """The instructions that oneDNN, which OpenVINO calls, is held to by its environment variables."""
    return os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or ""
