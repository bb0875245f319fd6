"""Language models that answer with a token: their body, and of their vocabulary the answers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import transformers

from crossrank.errors import ModelError
from crossrank.families.model import Model
from crossrank.families.networks.attention import IMPLEMENTATION
from crossrank.families.networks.bodies import Body, body_of
from crossrank.families.networks.loading import load_network, read_config
from crossrank.models.modules import LogitScore

if TYPE_CHECKING:
    from torch import Tensor


class Answers:
    """The logit of one token less that of another.

    Args:
        rows: Their rows of the vocabulary's matrix, float32 [1 or 2, hidden].
        limit: The logits are squeezed between this and its negative (Gemma 2); None if they are not.
        divisor: What the logits are divided by.
    """

    def __init__(self, rows: Tensor, limit: float | None, divisor: float) -> None:
        self._rows, self._limit, self._divisor = rows, limit, divisor

    def __call__(self, last: Tensor) -> Tensor:
        """Each input's last vector [n, hidden] to its score [n, 1]."""
        logits = last.float() @ self._rows.T / self._divisor
        if self._limit is not None:
            logits = torch.tanh(logits / self._limit) * self._limit
        return logits[:, :1] if len(self._rows) == 1 else logits[:, :1] - logits[:, 1:]


def load_language_model(
    model: Model, answer: LogitScore, device: torch.device, dtype: torch.dtype
) -> tuple[Body, Answers]:
    """A reranker that is saved as ...ForCausalLM, without the words that it does not answer with.

    Args:
        model: The folder.
        answer: The tokens that it answers with.
        device: Where it runs.
        dtype: Of the body; the logits of the answers are in float32.

    Raises:
        ModelError: transformers has no language model for the family, or the weights do not fit it.
    """
    config = read_config(model)
    network_class = transformers.MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    if network_class is None:
        raise ModelError(
            f"{model.name} is a {model.architecture} model, for which transformers has no language model"
        )
    packed = model.family.packs_language_model
    network = load_network(model, config, network_class, dtype, attention=IMPLEMENTATION if packed else None)
    head = network.get_output_embeddings()
    tokens = [answer.yes] if answer.no is None else [answer.yes, answer.no]
    if max(tokens) >= len(head.weight):
        raise ModelError(
            f"{model.name}: LogitScore names the token {max(tokens)}, and the model has {len(head.weight)}"
        )
    answers = Answers(
        head.weight[tokens].detach().float().to(device),
        getattr(config, "final_logit_softcapping", None),
        float(getattr(config, "logits_scaling", None) or 1),
    )
    body = network.base_model.to(dtype).to(device)
    return body_of(model, body, device, packed=packed), answers
