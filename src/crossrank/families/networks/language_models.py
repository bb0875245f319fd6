"""Language models that answer with a token: their body, and of their vocabulary the answers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers

from crossrank.errors import ModelError
from crossrank.families.model import Model
from crossrank.families.networks.attention import IMPLEMENTATION
from crossrank.families.networks.classifiers import padded_batch
from crossrank.families.networks.loading import load_network, read_config
from crossrank.families.networks.network import Network, on_device
from crossrank.families.networks.pack import Pack

if TYPE_CHECKING:
    from torch import Tensor


def load_language_model(
    model: Model, yes: int, no: int | None, device: torch.device, dtype: torch.dtype
) -> Network:
    """A reranker that is saved as ...ForCausalLM.

    Args:
        model: The folder.
        yes: The token that says relevant.
        no: The one that says not; None where only ``yes`` counts.
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
    rows = head.weight[[yes] if no is None else [yes, no]].float()
    # One product instead of one for every word: the difference of two logits is the logit of a difference.
    weight = rows[0] if no is None else rows[0] - rows[1]
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
        """The logits; see :class:`crossrank.families.networks.network.Network`."""
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
