"""Language models that answer with a token: their body, and of their vocabulary the answers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers

from crossrank.errors import ModelError
from crossrank.inference.networks.attention import IMPLEMENTATION
from crossrank.inference.networks.base import Network, on_device
from crossrank.inference.networks.classifiers import padded_batch
from crossrank.inference.networks.loading import load_network, read_config
from crossrank.inference.packing import Pack
from crossrank.inference.prompting import Answers
from crossrank.models.folder import ModelFolder

if TYPE_CHECKING:
    from torch import Tensor

# Those whose every layer goes through the attention that is handed to it, with positions as they are given.
_PACKED = frozenset({"llama", "qwen2", "qwen3"})


def load_language_model(
    model: ModelFolder, answers: Answers, device: torch.device, dtype: torch.dtype
) -> Network:
    """A reranker that is saved as ...ForCausalLM.

    Args:
        model: The folder.
        answers: The tokens that answer.
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
    packed = model.architecture in _PACKED
    network = load_network(model, config, network_class, dtype, attention=IMPLEMENTATION if packed else None)
    head = network.get_output_embeddings()
    rows = head.weight[[answers.yes] if answers.no is None else [answers.yes, answers.no]].float()
    # One product instead of one for every word: the difference of two logits is the logit of a difference.
    weight = rows[0] if answers.no is None else rows[0] - rows[1]
    return LanguageModel(network.base_model.to(dtype).to(device), weight.detach().to(device), device, packed)


class LanguageModel:
    """The logit of *yes* less that of *no* at each input's last token.

    Args:
        body: transformers' network without its head, on its device.
        weight: What the last token's vector is multiplied by, float32 [hidden], on the device.
        device: The device.
        packed: Whether the body takes inputs end to end.
    """

    def __init__(self, body: Any, weight: Tensor, device: torch.device, packed: bool) -> None:
        self._body, self._weight, self._device = body, weight, device
        self.padded = not packed

    def __call__(self, pack: Pack) -> Tensor:
        """The logits; see :class:`crossrank.inference.networks.base.Network`."""
        last = self._padded(pack) if self.padded else self._packed(pack)
        return (last.float() @ self._weight)[:, None]

    def _packed(self, pack: Pack) -> Tensor:
        row = on_device(pack, self._device)
        x = self._body(
            input_ids=row.ids, position_ids=row.positions, packing=row.packing, use_cache=False
        ).last_hidden_state[0]
        last: Tensor = x[row.packing.bounds[1:] - 1]
        return last

    def _padded(self, pack: Pack) -> Tensor:
        # Padding comes after the last token, which does not see it.
        batch = padded_batch(pack, self._body.config.pad_token_id or 0, self._device)
        del batch["token_type_ids"]
        x = self._body(**batch, use_cache=False).last_hidden_state
        lengths = batch["attention_mask"].sum(dim=1)
        last: Tensor = x[torch.arange(len(x), device=x.device), lengths - 1]
        return last
