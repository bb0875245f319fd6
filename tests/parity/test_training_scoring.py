"""A step's pairs through the network in parts: the logits and gradients of all at once, in less memory."""

from __future__ import annotations

from typing import Any

import pytest
from support.modern_models import write_modern_reranker
from support.tiny_models import FAMILIES, write_reranker

from crossrank.training import scoring
from crossrank.training.scoring import score_pairs

pytestmark = pytest.mark.parity

# 10 to 64 tokens, out of order.
_PAIRS = [("who bakes bread", "the baker bakes bread at night. " * number) for number in (3, 5, 1, 2, 9, 1)]


@pytest.fixture(params=[*sorted(FAMILIES), "deberta-v2", "modernbert"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    import torch
    from sentence_transformers import CrossEncoder

    write = write_reranker if request.param in FAMILIES else write_modern_reranker
    folder = write(tmp_path_factory.mktemp("scoring") / "model", request.param)
    found = CrossEncoder(
        str(folder), num_labels=1, max_length=64, model_kwargs={"attn_implementation": "eager"}
    )
    for module in found.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return found.train()


def learnt(model: Any, scores: Any) -> dict[str, Any]:
    """Gradients of a loss that counts every pair differently."""
    model.zero_grad()
    (scores * scores.new_tensor(range(1, len(scores) + 1))).sum().backward()
    return {name: value.grad for name, value in model.named_parameters() if value.grad is not None}


def test_parts_have_the_logits_and_gradients_of_all_at_once(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    at_once = model(model.preprocess(_PAIRS))["scores"].view(-1)
    wanted = learnt(model, at_once)
    monkeypatch.setattr(scoring, "_PART_ON_CPU", 64)
    monkeypatch.setattr(scoring, "_PLAIN_ATTENTION", 30)  # both forms of attention are used
    for memory in (scoring._MEMORY, 0):  # nothing is run again, and everything
        monkeypatch.setattr(scoring, "_MEMORY", memory)
        scores = score_pairs(model, _PAIRS)
        torch.testing.assert_close(scores, at_once, rtol=1e-4, atol=1e-5)
        found = learnt(model, scores)
        assert found.keys() == wanted.keys()
        for name, gradient in wanted.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("model", ["bert"], indirect=True)
def test_only_what_is_too_much_is_run_again(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[tuple[int, int]] = []
    model[0].register_forward_pre_hook(lambda _, inputs: rows.append(tuple(inputs[0]["input_ids"].shape)))
    monkeypatch.setattr(scoring, "_PART_ON_CPU", 64)
    config = model[0].auto_model.config
    token = scoring._BYTES_KEPT * config.num_hidden_layers * config.hidden_size
    monkeypatch.setattr(scoring, "_MEMORY", 100 * token)
    scores = score_pairs(model, _PAIRS)
    forward, rows[:] = list(rows), []
    assert sum(pairs for pairs, _ in forward) == len(_PAIRS)
    assert all(pairs == 1 or pairs * longest <= 64 for pairs, longest in forward)
    scores.sum().backward()
    kept = forward[: len(forward) - len(rows)]
    assert sorted(rows) == sorted(forward[len(kept) :])
    assert kept
    assert rows
    assert sum(pairs * longest for pairs, longest in kept) <= 100
