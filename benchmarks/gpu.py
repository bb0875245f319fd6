"""Pairs per second on a GPU, compared with sentence-transformers, and the share of the chip's matrix rate.

    python benchmarks/gpu.py MODEL ... [--device cuda] [--pairs 20000] [--rounds 5] [--json FILE]

Needs crossrank[torch] and sentence-transformers. The pairs are questions of the sample collection with
passages of 5 to 350 words, short ones more often. sentence-transformers runs in float16 and in bfloat16, each
with the batch size of its best trial; then all run in turn, and the table has the median.

The share is that of the multiplications that the model has by its configuration (matrices and attention,
without padding) in the rate of one large product on the same chip. It counts the same for both, also where
one leaves some out.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crossrank import CrossEncoder
from crossrank.conversion.quantise import write_float32
from crossrank.families.model import Model, open_model
from crossrank.inference.sample_texts import sample_candidates

BATCH_SIZES = (32, 64, 128, 256, 512, 1024)
# Of the pairs, for the choice of a batch size.
TRIAL = 0.2


def mixed_pairs(number: int) -> list[tuple[str, str]]:
    """Different pairs of mixed lengths, the same at every call."""
    dice = random.Random(13)
    samples = sample_candidates()
    words = " ".join(text for _, texts in samples for text in texts).split()
    pairs = []
    for i in range(number):
        length = min(350, 5 + int(dice.expovariate(1 / 90)))
        start = dice.randrange(len(words) - length)
        pairs.append((samples[i % len(samples)][0], f"{i} {' '.join(words[start : start + length])}"))
    return pairs


def multiplications(model: Model, lengths: list[int]) -> float:
    """Floating-point operations that the model's matrices and attention take for inputs of these lengths."""
    matrices = sum(
        model.weights.stored(name).size
        for name in model.weights.names()
        if name.endswith(".weight") and not any(part in name.lower() for part in ("embed", "lm_head"))
        if model.weights.stored(name).ndim == 2
    )
    layers, hidden = model.config["num_hidden_layers"], model.config["hidden_size"]
    return sum(2.0 * matrices * length + 4.0 * layers * hidden * length**2 for length in lengths)


def matrix_rate(device: str, dtype: Any) -> float:
    """Operations a second of one large product, which is the most that the chip does in practice."""
    import torch

    size = 8192 if device != "cpu" else 512
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        wait(device)
        started = time.perf_counter()
        a @ b
        wait(device)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def seconds(run: Callable[[], object]) -> float:
    """How long it takes; the runs give numbers back, so that the device has ended when they do."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def their_runs(folder: Path, device: str, pairs: list[tuple[str, str]]) -> dict[str, Callable[[], object]]:
    """sentence-transformers in both types, each with its best batch size."""
    import torch
    from sentence_transformers import CrossEncoder as Theirs

    runs: dict[str, Callable[[], object]] = {}
    trial = pairs[: max(1, int(len(pairs) * TRIAL))]
    for dtype in (torch.float16, torch.bfloat16):
        model = Theirs(str(folder), device=device, local_files_only=True, model_kwargs={"dtype": dtype})
        # As many tokens as ours, also where nothing but the number of positions says how many.
        model.max_seq_length = open_model(folder).max_tokens

        def run(size: int, on: list[tuple[str, str]], model: Any = model) -> object:
            return model.predict([list(pair) for pair in on], batch_size=size, show_progress_bar=False)

        times: dict[int, float] = {}
        for size in BATCH_SIZES:
            try:
                run(size, trial[: 2 * size])  # warm
                times[size] = seconds(lambda size=size: run(size, trial))  # type: ignore[misc]
            except torch.OutOfMemoryError:
                break
        best = min(times, key=lambda size: times[size])
        name = f"sentence-transformers, {str(dtype).removeprefix('torch.')}, batches of {best}"
        runs[name] = lambda best=best, run=run: run(best, pairs)  # type: ignore[misc]
    return runs


def measure(name: str, device: str, number: int, rounds: int) -> dict[str, Any]:
    """One model's figures."""
    import torch

    with tempfile.TemporaryDirectory() as temporary:
        model = open_model(name, safetensors=True)
        if model.weights.is_int8:  # which others cannot read
            write_float32(model, Path(temporary) / "float32")
            model = open_model(Path(temporary) / "float32")
        pairs = mixed_pairs(number)
        ours = CrossEncoder(model.path, device=device)
        lengths = [len(tokens.ids) for tokens in ours.tokenizer.pairs(pairs)]
        runs: dict[str, Callable[[], object]] = {"crossrank": lambda: ours.logits(pairs)}
        runs |= their_runs(model.path, device, pairs)
        for run in runs.values():
            run()
        times: dict[str, list[float]] = {run: [] for run in runs}
        for _ in range(rounds):
            for run, taken in times.items():
                taken.append(seconds(runs[run]))
    work = multiplications(model, lengths)
    rate = matrix_rate(device, torch.float32 if device == "cpu" else torch.bfloat16)
    rows = {
        run: {
            "pairs_per_second": number / statistics.median(taken),
            "least": number / max(taken),
            "most": number / min(taken),
            "share_of_matrix_rate": work / statistics.median(taken) / rate,
        }
        for run, taken in times.items()
    }
    best = max(row["pairs_per_second"] for run, row in rows.items() if run != "crossrank")
    return {
        "model": Path(name).name,
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "torch": torch.__version__,
        "pairs": number,
        "tokens": sum(lengths),
        "longest": max(lengths),
        "matrix_rate": rate,
        "runs": rows,
        "ratio": rows["crossrank"]["pairs_per_second"] / best,
    }


def show(report: dict[str, Any]) -> None:
    """A table of one model."""
    print(
        f"\n{report['model']} on {report['device']}, PyTorch {report['torch']}: {report['pairs']:,} pairs, "
        f"{report['tokens'] / report['pairs']:.0f} tokens on average, {report['longest']} at most; "
        f"one large product: {report['matrix_rate'] / 1e12:.3g} T a second\n"
    )
    print("| | pairs a second, median (least to most) | share of the matrix rate |\n|---|---|---|")
    for run, row in report["runs"].items():
        print(
            f"| {run} | {row['pairs_per_second']:,.0f} ({row['least']:,.0f} to {row['most']:,.0f}) "
            f"| {row['share_of_matrix_rate']:.1%} |"
        )
    print(f"\nRatio to the better of theirs: {report['ratio']:.2f}")


def main() -> None:
    """Run the models."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    reports = [
        measure(model, arguments.device, arguments.pairs, arguments.rounds) for model in arguments.models
    ]
    for report in reports:
        show(report)
    if arguments.json:
        arguments.json.write_text(json.dumps(reports, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
