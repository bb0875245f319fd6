"""sentence-transformers' modules in PyTorch, over packed rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import nn

from crossrank.families.model import Model
from crossrank.families.networks.bodies import load_body
from crossrank.families.networks.classifiers import load_classifier
from crossrank.families.networks.language_models import Answers, load_language_model
from crossrank.families.networks.network import Network
from crossrank.families.networks.pack import Pack
from crossrank.models.modules import Chain, Dense, LayerNorm, LogitScore, Module, Normalize, Pooling
from crossrank.models.weights import Weights

if TYPE_CHECKING:
    from torch import Tensor

Apply: TypeAlias = Callable[["Tensor", "Tensor"], "Tensor"]
"""A module: what it reads, and where each input begins in a row of tokens [n + 1], to what it writes."""


class ModularNetwork:
    """A transformer and the modules after it.

    Args:
        transformer: Gives the vectors of all tokens, or those of each input's first, or outputs.
        padded: Whether the transformer's batches are padded.
        chain: The modules.
        applied: Them, in the same order, on the device.
    """

    def __init__(
        self, transformer: Callable[[Pack], Tensor], padded: bool, chain: Chain, applied: list[Apply]
    ) -> None:
        self.padded = padded
        self._transformer, self._chain, self._applied = transformer, chain, applied

    def __call__(self, pack: Pack) -> Tensor:
        """The last feature; see :class:`crossrank.families.networks.network.Network`."""
        given = self._transformer(pack)
        bounds = torch.from_numpy(pack.bounds).to(given.device, torch.long, non_blocking=True)
        if len(given) == len(pack.lengths):  # one row for each input already
            bounds = torch.arange(len(given) + 1, device=given.device)
        features, last = {self._chain.feature: given}, self._chain.feature
        for module, apply in zip(self._chain.modules, self._applied, strict=True):
            last = module.target
            features[last] = apply(features[module.source], bounds)
        return features[last].float()


def load_chain(model: Model, chain: Chain, device: torch.device, dtype: torch.dtype) -> Network:
    """A transformer with the modules after it.

    Args:
        model: The folder.
        chain: Its modules.
        device: Where it runs.
        dtype: Of the transformer; the modules compute in float32.

    Raises:
        ModelError: transformers does not know the family, or the weights do not fit it.
    """
    answers = None
    transformer: Callable[[Pack], Tensor]
    if chain.task == "sequence-classification":
        network = load_classifier(model, device, dtype)
        if not chain.modules:
            return network
        transformer, padded = network, network.padded
    else:
        if chain.answer is not None:
            body, answers = load_language_model(model, chain.answer, device, dtype)
        else:
            body = load_body(model, device, dtype)
        transformer, padded = partial(body, only_first=chain.reads_first_token), body.padded
    weights = chain.weights(model)
    applied = [_module(module, weights.get(module.name), device, answers) for module in chain.modules]
    return ModularNetwork(transformer, padded, chain, applied)


def _module(module: Module, weights: Weights | None, device: torch.device, answers: Answers | None) -> Apply:
    if isinstance(module, Pooling):
        return partial(_pooled, module)
    if isinstance(module, Normalize):
        return lambda x, bounds: nn.functional.normalize(x.float(), dim=-1)
    if isinstance(module, LogitScore):
        assert answers is not None, "the caller loads the head where there is such a module"
        return partial(_answered, answers)
    assert weights is not None, f"{module.name} has weights"
    tensors = {name: torch.tensor(weights.float32(name), device=device) for name in weights.names()}
    if isinstance(module, LayerNorm):
        shape, gain, bias = (module.width,), tensors["norm.weight"], tensors["norm.bias"]
        return lambda x, bounds: nn.functional.layer_norm(x.float(), shape, gain, bias)
    return partial(_dense, module, tensors, getattr(nn, module.activation)())


def _dense(
    module: Dense, tensors: Mapping[str, Tensor], activation: nn.Module, x: Tensor, bounds: Tensor
) -> Tensor:
    x = x.float()
    output: Tensor = activation(nn.functional.linear(x, tensors["linear.weight"], tensors.get("linear.bias")))
    if not module.residual:
        return output
    return output + (
        nn.functional.linear(x, tensors["residual.weight"]) if "residual.weight" in tensors else x
    )


def _answered(answers: Answers, x: Tensor, bounds: Tensor) -> Tensor:
    return answers(x[bounds[1:] - 1])


def _pooled(module: Pooling, x: Tensor, bounds: Tensor) -> Tensor:
    """Token vectors [tokens, d] of inputs end to end to text vectors [n, d]."""
    x, lengths = x.float(), bounds.diff()
    pooled = []
    for mode in module.modes:
        if mode == "cls":
            pooled.append(x[bounds[:-1]])
        elif mode == "lasttoken":
            pooled.append(x[bounds[1:] - 1])
        elif mode == "weightedmean":  # by the number of the token, from 1
            numbers = torch.arange(len(x), device=x.device) - bounds[:-1].repeat_interleave(lengths) + 1
            total = torch.segment_reduce(x * numbers[:, None], "sum", lengths=lengths, axis=0)
            pooled.append(total / (lengths * (lengths + 1) / 2)[:, None])
        elif mode == "mean_sqrt_len_tokens":
            total = torch.segment_reduce(x, "sum", lengths=lengths, axis=0)
            pooled.append(total / lengths.sqrt()[:, None])
        else:
            pooled.append(torch.segment_reduce(x, mode, lengths=lengths, axis=0))
    return pooled[0] if len(pooled) == 1 else torch.cat(pooled, dim=-1)
