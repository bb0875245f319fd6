"""The loss over lists, against sentence-transformers' and against what it is meant to do."""

from __future__ import annotations

from typing import Any

import pytest
from support.tiny_models import write_reranker

from crossrank.training.losses import list_loss

pytestmark = pytest.mark.parity

_QUERIES = ["what does the fox eat", "how long does the owl sleep"]
_DOCUMENTS = [["Foxes eat mice.", "Owls sleep."], ["All day.", "The owl sleeps by day.", "A fox."]]
_TARGETS = [[2.0, -1.0], [0.5, 3.0, -2.0]]
_EVIDENCE = [[1.0, 4.0], [0.0, 0.5, 0.2]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from sentence_transformers import CrossEncoder

    folder = tmp_path_factory.mktemp("loss") / "model"
    write_reranker(folder)
    return CrossEncoder(str(folder), num_labels=1).eval()


def loss(model: Any, joint: float, relevant: list[int]) -> Any:
    import torch

    targets = [torch.tensor(row) for row in _TARGETS]
    return list_loss(model, joint)((_QUERIES, _DOCUMENTS, _EVIDENCE, relevant), targets)


def test_alone_it_is_the_loss_of_sentence_transformers(model: Any) -> None:
    import torch
    from sentence_transformers.cross_encoder.losses import ListNetLoss

    theirs = ListNetLoss(model)([_QUERIES, _DOCUMENTS], [torch.tensor(row) for row in _TARGETS])
    assert loss(model, 0.0, [1, 1]).item() == pytest.approx(theirs.item(), abs=1e-5)


def test_together_the_sum_of_logit_and_evidence_is_held_against_the_judgement(model: Any) -> None:
    import torch

    total = 0.0
    for query, texts, targets, evidence in zip(_QUERIES, _DOCUMENTS, _TARGETS, _EVIDENCE, strict=True):
        logits = torch.tensor(
            model.predict([(query, text) for text in texts], activation_fn=torch.nn.Identity())
        )
        alone = -(torch.tensor(targets).softmax(0) * logits.log_softmax(0)).sum()
        together = -(logits + torch.tensor(evidence)).log_softmax(0)[0]
        total += (0.75 * alone + 0.25 * together).item() / 2
    assert loss(model, 0.25, [1, 1]).item() == pytest.approx(total, abs=1e-4)


def test_a_list_that_nobody_judged_has_the_first_part_only(model: Any) -> None:
    assert loss(model, 0.25, [0, 0]).item() == pytest.approx(loss(model, 0.0, [0, 0]).item())
    assert loss(model, 0.25, [0, 1]).item() != pytest.approx(loss(model, 0.0, [0, 1]).item())
