"""predict and rank of the cross-encoder do not cut silently."""

from __future__ import annotations

import warnings

import pytest

from crossrank import CrossEncoder, InputError, TruncationWarning

LONG = "Trains run along the coast in summer. " * 100
PAIRS = [("Who bakes bread?", LONG), ("Who bakes bread?", "Bakers."), ("Where do trains run?", LONG)]


def test_predict_and_rank_warn_once_a_call(bundled: CrossEncoder) -> None:
    for call, count in (
        (lambda: bundled.predict(PAIRS), "2 of 3 passages are longer"),
        (lambda: bundled.rank("Who bakes bread?", [LONG, "Bakers."]), "1 of 2 passages is longer"),
    ):
        with pytest.warns(TruncationWarning, match=count) as caught:
            call()
        assert len(caught) == 1
        assert caught[0].filename == __file__, "it names the line that called"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bundled.predict(PAIRS[1:2])


def test_predict_and_rank_refuse_or_ignore_it(bundled: CrossEncoder) -> None:
    with pytest.raises(InputError, match=r"tokens were not read\. crossrank\.Reranker reads long documents"):
        bundled.predict(PAIRS, on_truncation="error")
    with pytest.raises(InputError, match="tokens were not read"):
        bundled.rank("Who bakes bread?", [LONG], on_truncation="error")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bundled.predict(PAIRS, on_truncation="ignore").shape == (3,)
        assert len(bundled.rank("Who bakes bread?", [LONG], on_truncation="ignore")) == 1
    with pytest.raises(InputError, match="on_truncation must be one of warn, error, ignore"):
        bundled.predict(PAIRS, on_truncation="raise")  # type: ignore[arg-type]
