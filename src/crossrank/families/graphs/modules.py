"""sentence-transformers' modules as OpenVINO operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from crossrank.families.graphs.openvino_library import op
from crossrank.families.graphs.operations import Operations, Tensor, constant
from crossrank.models.modules import Chain, Dense, LayerNorm, Module, Normalize, Pooling, PoolingMode
from crossrank.models.weights import Weights

# torch.nn.LayerNorm's; the module does not keep it.
_EPSILON = 1e-5
# torch.nn.SELU's (Klambauer et al. 2017).
_SELU = 1.6732632423543772, 1.0507009873554805


def _float(value: float) -> Tensor:
    return constant(value, np.float32)


_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "CELU": lambda x: op.elu(x, 1.0),
    "ELU": lambda x: op.elu(x, 1.0),
    "GELU": lambda x: op.gelu(x, "erf"),
    "Hardsigmoid": lambda x: op.hsigmoid(x),
    "Hardswish": lambda x: op.hswish(x),
    "Hardtanh": lambda x: op.clamp(x, -1.0, 1.0),
    "Identity": lambda x: x,
    "LeakyReLU": lambda x: op.prelu(x, _float(0.01)),
    "Mish": lambda x: op.mish(x),
    "ReLU": op.relu,
    "ReLU6": lambda x: op.clamp(x, 0.0, 6.0),
    "SELU": lambda x: op.selu(x, _float(_SELU[0]), _float(_SELU[1])),
    "SiLU": op.swish,
    "Sigmoid": op.sigmoid,
    "Softplus": lambda x: op.softplus(x),
    "Softsign": lambda x: op.softsign(x),
    "Tanh": op.tanh,
    "Tanhshrink": lambda x: op.subtract(x, op.tanh(x)),
}


def apply_modules(chain: Chain, weights: Mapping[str, Weights], given: Tensor, mask: Tensor) -> Tensor:
    """The last feature that a chain of modules writes.

    Args:
        chain: The modules.
        weights: The tensors of each module that has some, by its name.
        given: What the transformer gives, such as token vectors [batch, length, d].
        mask: Which tokens are no padding, [batch, length].

    Returns:
        The feature, such as vectors or scores [batch, d].
    """
    features = {chain.feature: given}
    last = chain.feature
    for module in chain.modules:
        features[module.target] = _apply(module, weights.get(module.name), features[module.source], mask)
        last = module.target
    return features[last]


def _apply(module: Module, weights: Weights | None, x: Tensor, mask: Tensor) -> Tensor:
    if isinstance(module, Pooling):
        pooled = [pool(x, mask, mode) for mode in module.modes]
        return pooled[0] if len(pooled) == 1 else op.concat(pooled, -1)
    if isinstance(module, Normalize):
        return op.normalize_l2(x, constant([-1]), 1e-24, "max")
    assert weights is not None, f"{module.name} has weights"
    ops = Operations(weights, "")
    if isinstance(module, LayerNorm):
        return ops.layer_norm(x, "norm", _EPSILON)
    assert isinstance(module, Dense), f"{module.name} is for PyTorch"
    dense = _ACTIVATIONS[module.activation](ops.linear(x, "linear"))
    if not module.residual:
        return dense
    return op.add(dense, x if module.inputs == module.outputs else ops.linear(x, "residual"))


def pool(hidden: Tensor, mask: Tensor, mode: PoolingMode) -> Tensor:
    """Pool token vectors [batch, length, d] with a mask [batch, length] to text vectors [batch, d]."""
    if mode == "cls":
        first = op.slice(hidden, constant([0]), constant([1]), constant([1]), constant([1]))
        return op.squeeze(first, constant(1))
    if mode == "lasttoken":  # padding comes after the text
        count = op.reduce_sum(op.convert(mask, "i64"), constant([1]))
        return op.gather(hidden, op.subtract(count, constant(1)), constant(1), 1)
    weights = op.unsqueeze(op.convert(mask, "f32"), constant(2))
    if mode == "max":
        low = op.multiply(op.subtract(_float(1), weights), _float(1e9))
        return op.reduce_max(op.subtract(op.multiply(hidden, weights), low), constant([1]))
    if mode == "weightedmean":  # by the number of the token, from 1
        weights = op.multiply(weights, op.cum_sum(weights, constant(1)))
    total = op.reduce_sum(op.multiply(hidden, weights), constant([1]))
    count = op.maximum(op.reduce_sum(weights, constant([1])), _float(1e-9))
    return op.divide(total, op.sqrt(count) if mode == "mean_sqrt_len_tokens" else count)
