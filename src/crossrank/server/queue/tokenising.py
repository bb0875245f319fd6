"""The pairs of a request as the model is to read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crossrank.inference.pairs import Pair
from crossrank.server.queue.job import Cut

if TYPE_CHECKING:
    from crossrank.inference.cross_encoder import CrossEncoder

# No text needs more characters than this for each token that the model reads.
_CHARACTERS_READ_A_TOKEN = 256


def shortened(
    model: CrossEncoder, pairs: Sequence[Pair], cut: Cut, characters_a_token: float
) -> tuple[list[Pair], list[int]]:
    """Cut pairs before they are tokenised, where the request or their length asks for it.

    Args:
        model: The model.
        pairs: The pairs.
        cut: How they are cut.
        characters_a_token: To estimate the tokens of what is not tokenised.

    Returns:
        The pairs, and how many tokens this cuts off each passage.
    """
    limit = model.tokenizer.max_tokens
    bounded = [_bounded(pair, limit, characters_a_token, keep_end=cut.keep_end) for pair in pairs]
    kept, removed = [pair for pair, _ in bounded], [tokens for _, tokens in bounded]
    limits = (cut.document_tokens, cut.pair_tokens)
    if cut.keep_end or any(tokens is not None and tokens < limit for tokens in limits):
        shorter = model.shortened(
            kept, passage_tokens=cut.document_tokens, pair_tokens=cut.pair_tokens, keep_end=cut.keep_end
        )
        kept = [pair for pair, _ in shorter]
        removed = [gone + more for gone, (_, more) in zip(removed, shorter, strict=True)]
    return kept, removed


def _bounded(pair: Pair, limit: int, characters_a_token: float, *, keep_end: bool) -> tuple[Pair, int]:
    """The pair without what is far beyond the model's limit, and about how many tokens that is.

    The whole of a text of 50 MB would take a minute to tokenise.
    """
    most = _CHARACTERS_READ_A_TOKEN * limit
    query, passage = pair
    if len(query) <= most and len(passage) <= most:
        return pair, 0
    gone = round(max(0, len(passage) - most) / characters_a_token)
    return (query[:most], passage[-most:] if keep_end else passage[:most]), gone
