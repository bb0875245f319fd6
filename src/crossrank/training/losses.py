"""What a training minimises: ListNet, of the logit alone and of logit and evidence together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from crossrank.training.scoring import score_pairs

if TYPE_CHECKING:
    import torch
    from sentence_transformers import CrossEncoder


def list_loss(model: CrossEncoder, joint: float) -> torch.nn.Module:
    """The loss over lists, as sentence-transformers' trainer calls it.

    Alone, a list's loss is the cross-entropy of its logits' softmax against that of its targets. Together,
    logit and evidence are summed, as in a search (which weighs them), and the cross-entropy is against the
    judgement: where the evidence is right and sure there is little to learn, and elsewhere the logit learns
    what to correct. A list without a judged passage has only the first part.

    Args:
        model: Scores the pairs.
        joint: How much the second part counts, from 0 to below 1.

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
            """Mean over lists: of queries, documents, evidence and numbers of relevant ones; of targets."""
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
            """What the trainer notes in the model's card."""
            return {"joint": joint}

    return ListLoss()
