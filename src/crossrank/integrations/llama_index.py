"""LlamaIndex: a node postprocessor that reranks (extra ``llama-index``)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from crossrank.errors import InputError, MissingExtraError
from crossrank.inference.activations import ActivationName
from crossrank.inference.scorer import PairScorer
from crossrank.inference.truncation import OnTruncation
from crossrank.integrations.notices import log_notices
from crossrank.keywords import checked_keywords
from crossrank.models.locate import DEFAULT_CROSS_ENCODER
from crossrank.ranking.long_documents import LongDocuments
from crossrank.ranking.reranker import Reranker

try:
    from llama_index.core.bridge.pydantic import Field, PrivateAttr
    from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
    from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
    from llama_index_instrumentation import get_dispatcher
except ImportError as error:
    raise MissingExtraError("crossrank.integrations.llama_index", "llama-index") from error

logger = logging.getLogger(__name__)
_dispatcher = get_dispatcher(__name__)
_RETRIEVAL_SCORE = "retrieval_score"


class CrossrankRerank(BaseNodePostprocessor):
    """Reranks nodes with a cross-encoder.

    The model reads the text that LlamaIndex would embed: a node's text with the metadata that is not excluded
    from embedding. Nodes are copied, not changed. A node's score is replaced by the relevance score; it is
    None if the model cannot read the node, which is then ranked after the others. To leave out nodes below a
    score, add LlamaIndex's ``SimilarityPostprocessor`` after this one. What
    :attr:`crossrank.Ranking.notices` has is logged as a warning. ``apostprocess_nodes`` runs in another
    thread, without blocking the event loop.

    Args:
        model: The name or folder of a cross-encoder, or a loaded one, to share it.
        top_n: How many nodes to return.
        keep_retrieval_score: Keep the original score of a node as ``metadata["retrieval_score"]``, excluded
            from the text for embeddings and language models.
        activation: From logit to score; the model's own by default, ``"none"`` for logits.
        min_probability: Return only nodes of at least this probability, none if nothing is relevant; see
            :meth:`crossrank.Reranker.rank`, and so are the next two.
        long_documents: How to read texts that are longer than the model reads.
        on_truncation: What to do if the end of a text was not read: ``warn``, ``error`` or ``ignore``.
        callback_manager: LlamaIndex's callback manager.

    Raises:
        ModelError: The model cannot be loaded, or is not a reranker.
        ValueError: ``top_n`` is below 1.
        UnknownKeywordError: A keyword argument is unknown. Options of the model, such as ``device``, are
            passed to the model: ``CrossrankRerank(CrossEncoder(device="cuda"))``.

    Example:
        >>> from llama_index.core.schema import NodeWithScore, TextNode
        >>> texts = ["A tide table.", "Bakers bake bread."]
        >>> nodes = [NodeWithScore(node=TextNode(text=text), score=0.5) for text in texts]
        >>> rerank = CrossrankRerank(top_n=1, keep_retrieval_score=True)
        >>> [node] = rerank.postprocess_nodes(nodes, query_str="Who bakes bread?")
        >>> node.text, node.metadata
        ('Bakers bake bread.', {'retrieval_score': 0.5})
    """

    model: str = Field(description="Name or folder of the cross-encoder.")
    top_n: int = Field(ge=1, description="Number of nodes to return, best first.")
    keep_retrieval_score: bool = Field(description="Whether to keep the retrieval score in metadata.")
    activation: ActivationName | None = Field(description="From logit to score; the model's own if None.")
    min_probability: float | None = Field(
        default=None, ge=0, le=1, description="Least probability of a node."
    )
    long_documents: LongDocuments = Field(default="truncate", description="How to read long texts.")
    on_truncation: OnTruncation = Field(default="warn", description="What to do if texts are cut.")
    _reranker: Reranker = PrivateAttr()

    @checked_keywords()
    def __init__(
        self,
        model: str | Path | PairScorer = DEFAULT_CROSS_ENCODER,
        top_n: int = 2,
        keep_retrieval_score: bool = False,
        activation: ActivationName | None = None,
        min_probability: float | None = None,
        long_documents: LongDocuments = "truncate",
        on_truncation: OnTruncation = "warn",
        callback_manager: CallbackManager | None = None,
    ) -> None:
        fields: dict[str, Any] = {
            "model": model.name if isinstance(model, PairScorer) else str(model),
            "top_n": top_n,
            "keep_retrieval_score": keep_retrieval_score,
            "activation": activation,
            "min_probability": min_probability,
            "long_documents": long_documents,
            "on_truncation": on_truncation,
        }
        super().__init__(**fields, callback_manager=callback_manager or CallbackManager([]))
        self._reranker = Reranker(model)

    @classmethod
    def class_name(cls) -> str:
        """The name of this class in traces and in ``to_dict``."""
        return "CrossrankRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if not nodes:
            return []
        if query_bundle is None:
            raise InputError("there is no question to rank nodes for; give query_str or query_bundle")
        question = query_bundle.query_str
        texts = [node.node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]
        _dispatcher.event(
            ReRankStartEvent(query=query_bundle, nodes=nodes, top_n=self.top_n, model_name=self.model)
        )
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: self.model,
            EventPayload.QUERY_STR: question,
            EventPayload.TOP_K: self.top_n,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            ranking = self._reranker.rank(
                question,
                texts,
                top_n=self.top_n,
                activation=self.activation,
                min_probability=self.min_probability,
                long_documents=self.long_documents,
                on_truncation=self.on_truncation,
            )
            log_notices(logger, self._reranker.model, [ranking])
            reranked = [self._copy(nodes[hit.candidate.rank - 1], hit.score) for hit in ranking]
            event.on_end(payload={EventPayload.NODES: reranked})
        _dispatcher.event(ReRankEndEvent(nodes=reranked))
        return reranked

    def _copy(self, found: NodeWithScore, score: float | None) -> NodeWithScore:
        node = found.node
        changes: dict[str, Any] = {"metadata": dict(node.metadata)}
        if self.keep_retrieval_score:
            changes["metadata"][_RETRIEVAL_SCORE] = found.score
            for field in ("excluded_embed_metadata_keys", "excluded_llm_metadata_keys"):
                excluded = getattr(node, field)
                changes[field] = [*excluded, *({_RETRIEVAL_SCORE} - set(excluded))]
        return found.model_copy(update={"node": node.model_copy(update=changes), "score": score})
