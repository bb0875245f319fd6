"""Score the pairs of a training step, in batches of similar length and with bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from sentence_transformers import CrossEncoder

# Tokens per batch: few on a CPU, where padding costs time, and many on a GPU, where launches do.
_PART_ON_CPU, _PART_ON_GPU = 2_048, 16_384
# Memory for the backward pass, in bytes per token, layer and hidden dimension.
_BYTES_KEPT = 128
_MEMORY = 4 * 1024**3
# On CPUs, plain attention is up to twice as fast as fused attention for short pairs; for long pairs it is
# slower and needs more memory.
_PLAIN_ATTENTION = 256


def parts_by_length(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Split positions into parts of at most ``tokens`` tokens including padding, the longest pairs first.

    Example:
        >>> parts_by_length([3, 9, 4, 8], tokens=16)
        [[1], [3, 2], [0]]
    """
    parts: list[list[int]] = []
    room = 0
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if not room:
            parts.append([])
            room = max(1, tokens // max(1, lengths[place]))
        parts[-1].append(place)
        room -= 1
    return parts


def score_pairs(model: CrossEncoder, pairs: Sequence[tuple[str, str]]) -> torch.Tensor:
    """Compute the logits of a step's pairs, with gradients.

    Padding all pairs to the longest would take about twice the time with texts of mixed lengths. The
    activations for the backward pass may exceed the memory with long pairs: beyond 4 GB, gradient
    checkpointing is used, which gives the same gradient in a third more time. (The network must not have
    dropout.)

    Args:
        model: The cross-encoder.
        pairs: (query, document) tuples.

    Returns:
        float32 [pairs].

    Source:
        Gradient checkpointing: Chen et al. (2016), Training Deep Nets with Sublinear Memory Cost,
        https://arxiv.org/abs/1604.06174.
    """
    import torch
    from torch.utils.checkpoint import checkpoint

    network = model[0].auto_model
    on_cpu = model.device.type == "cpu"
    features = model.preprocess(list(pairs))
    tensors = {name: value for name, value in features.items() if isinstance(value, torch.Tensor)}
    lengths = features["attention_mask"].sum(1).tolist()

    def run(places: torch.Tensor, longest: int) -> torch.Tensor:
        if on_cpu and network._supports_sdpa:
            network.set_attn_implementation("eager" if longest <= _PLAIN_ATTENTION else "sdpa")
        part = {name: value[places, :longest].to(model.device) for name, value in tensors.items()}
        return model({**features, **part})["scores"].view(-1).float()

    affordable = _MEMORY // (_BYTES_KEPT * network.config.num_hidden_layers * network.config.hidden_size)
    order, scores = [], []
    for part in parts_by_length(lengths, _PART_ON_CPU if on_cpu else _PART_ON_GPU):
        places, longest = torch.tensor(part), lengths[part[0]]
        affordable -= len(part) * longest
        if affordable < 0 and torch.is_grad_enabled():
            scores.append(checkpoint(run, places, longest, use_reentrant=False, preserve_rng_state=False))
        else:
            scores.append(run(places, longest))
        order += part
    return torch.cat(scores)[torch.tensor(order, device=model.device).argsort()]
