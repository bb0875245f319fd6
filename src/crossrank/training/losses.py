"""The training loss: ListNet on the logit, and on the sum of logit and evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from crossrank.training.scoring import score_pairs

if TYPE_CHECKING:
    import torch
    from sentence_transformers import CrossEncoder


def list_loss(model: CrossEncoder, joint: float) -> torch.nn.Module:
    """The listwise loss for sentence-transformers' trainer.

    The first part is the cross-entropy between the softmax of a list's logits and the softmax of its targets.
    For the second part, logit and evidence are added, as in a search (where they are weighted), and compared
    with the judgement: if the evidence is right and confident, there is little to learn; otherwise the logit
    learns the correction. A list without a judged passage has only the first part.

    Args:
        model: The cross-encoder that scores the pairs.
        joint: Weight of the second part, from 0 to below 1.

    Source:
        ListNet: Cao et al. (2007), Learning to Rank: From Pairwise Approach to Listwise Approach.
        A cross-encoder trained for its sum with a first stage's score: Gao et al. (2021), Complement Lexical
        Retrieval Model with Semantic Residual Embeddings, which does so for a bi-encoder and BM25.
    """
    import torch

    class ListLoss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(
            self,
            inputs: tuple[Sequence[str], Sequence[Sequence[str]], Sequence[Sequence[float]], Sequence[int]],
            labels: Sequence[torch.Tensor],
            **_: Any,
        ) -> torch.Tensor:
            """The mean loss over lists, given queries, documents, evidence and relevant counts; targets."""
            queries, lists, evidence, relevant = inputs
            pairs = [(query, text) for query, texts in zip(queries, lists, strict=True) for text in texts]
            logits = score_pairs(self.model, pairs)
            losses = []
            for own, targets, known, judged in zip(
                logits.split([len(texts) for texts in lists]), labels, evidence, relevant, strict=True
            ):
                wanted = targets.to(own).softmax(0)
                loss = -(wanted * own.log_softmax(0)).sum()
                if joint and judged:
                    together = own + torch.tensor(known).to(own)
                    loss = (1 - joint) * loss - joint * together.log_softmax(0)[:judged].mean()
                losses.append(loss)
            return torch.stack(losses).mean()

        def get_config_dict(self) -> dict[str, float]:
            """The values for the model card that the trainer writes."""
            return {"joint": joint}

    return ListLoss()
