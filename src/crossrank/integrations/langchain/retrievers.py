"""LangChain retrievers: contextual compression, and a retriever over a crossrank searcher."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.retrievers import BaseRetriever, RetrieverLike
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from pydantic import ConfigDict, Field, SerializeAsAny

from crossrank import documents as values
from crossrank.integrations.notices import log_notices
from crossrank.search import DEFAULT_TOP_N, Searcher

logger = logging.getLogger(__name__)


class ContextualCompressionRetriever(BaseRetriever):
    """Passes the documents of a retriever to a compressor, such as :class:`CrossEncoderReranker`.

    In traces and callbacks, both are child runs of this one; the compressor's run has its class name.

    Args:
        base_compressor: Reranks, filters or shortens documents.
        base_retriever: A runnable from a question to documents.

    Example:
        >>> from langchain_core.runnables import RunnableLambda
        >>> from crossrank.integrations.langchain import CrossEncoderReranker, HuggingFaceCrossEncoder
        >>> found = [Document("A tide table."), Document("Bakers bake bread.")]
        >>> retriever = ContextualCompressionRetriever(
        ...     base_compressor=CrossEncoderReranker(model=HuggingFaceCrossEncoder(), top_n=1),
        ...     base_retriever=RunnableLambda(lambda query: found),
        ... )
        >>> retriever.invoke("Who bakes bread?")[0].page_content
        'Bakers bake bread.'
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    base_compressor: SerializeAsAny[BaseDocumentCompressor]
    base_retriever: RetrieverLike

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        found = self.base_retriever.invoke(query, config={"callbacks": run_manager.get_child()}, **kwargs)
        if not found:
            return []
        return list(self._compressing(query).invoke(found, config={"callbacks": run_manager.get_child()}))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        found = await self.base_retriever.ainvoke(
            query, config={"callbacks": run_manager.get_child()}, **kwargs
        )
        if not found:
            return []
        step = self._compressing(query)
        return list(await step.ainvoke(found, config={"callbacks": run_manager.get_child()}))

    def _compressing(self, query: str) -> Runnable[Sequence[Document], Sequence[Document]]:
        """The compressor as a runnable, so that it appears as a run."""
        compressor = self.base_compressor

        def compress(documents: Sequence[Document], config: RunnableConfig) -> Sequence[Document]:
            return compressor.compress_documents(documents, query, callbacks=config.get("callbacks"))

        async def acompress(documents: Sequence[Document], config: RunnableConfig) -> Sequence[Document]:
            return await compressor.acompress_documents(documents, query, callbacks=config.get("callbacks"))

        return RunnableLambda(compress, acompress, name=type(compressor).__name__)


class CrossrankRetriever(BaseRetriever):
    """A retriever over a :class:`crossrank.Searcher`: both stages, with all scores in the metadata.

    ``relevance_score``, ``relevance_logit``, ``relevance_probability``, ``first_stage_rank`` and
    ``first_stage_score`` are added to the metadata of the documents; with ``explain`` also
    ``relevance_spans``, as by :class:`CrossEncoderReranker`. What :attr:`crossrank.Ranking.notices` has is
    logged as a warning. ``invoke`` takes all options of :meth:`crossrank.Searcher.search`, such as
    ``filters`` and ``long_documents``.

    Args:
        searcher: The searcher.
        top_n: How many documents to return; None for all candidates. ``invoke(query, top_n=1)`` overrides it.
        candidates: How many documents the first stage passes to the reranker; also for ``invoke``.
        score_threshold: Return only documents with at least this ``relevance_score``; also for ``invoke``.
        min_probability: Return only documents of at least this probability; none if nothing is relevant. See
            :meth:`crossrank.Reranker.rank`. Also for ``invoke``.

    Example:
        >>> retriever = CrossrankRetriever.from_documents(
        ...     [Document("A tide table."), Document("Bakers bake bread.")], top_n=1
        ... )
        >>> retriever.invoke("Who bakes bread?")[0].page_content
        'Bakers bake bread.'
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    searcher: Searcher
    top_n: int | None = Field(default=DEFAULT_TOP_N, ge=1)
    candidates: int = Field(default=20, ge=1)
    score_threshold: float | None = Field(default=None, allow_inf_nan=False)
    min_probability: float | None = Field(default=None, ge=0, le=1)

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Document],
        *,
        top_n: int | None = 3,
        candidates: int = 20,
        score_threshold: float | None = None,
        min_probability: float | None = None,
        **options: Any,
    ) -> Self:
        """Create a retriever over LangChain documents in memory.

        Args:
            documents: The documents to search; one without an id gets its position as its id.
            top_n: See the class.
            candidates: See the class.
            score_threshold: See the class.
            min_probability: See the class.
            options: Options of :class:`crossrank.Searcher`: ``retrieval``, ``embedder``, ``model``.

        Raises:
            InputError: There are no documents.
            ModelError: A model cannot be loaded.
        """
        passages = [
            values.Document(
                str(position) if document.id is None else document.id,
                document.page_content,
                metadata=document.metadata,
            )
            for position, document in enumerate(documents)
        ]
        searcher = Searcher(passages, **options)
        return cls(
            searcher=searcher,
            top_n=top_n,
            candidates=candidates,
            score_threshold=score_threshold,
            min_probability=min_probability,
        )

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        numbers, threshold = self._options(kwargs)
        return self._found(self.searcher.search(query, **numbers), threshold)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        numbers, threshold = self._options(kwargs)
        return self._found(await self.searcher.asearch(query, **numbers), threshold)

    def _options(self, given: dict[str, Any]) -> tuple[dict[str, Any], float | None]:
        own = {"top_n": self.top_n, "candidates": self.candidates, "min_probability": self.min_probability}
        options = {**own, **given}
        return options, options.pop("score_threshold", self.score_threshold)

    def _found(self, ranking: values.Ranking, threshold: float | None) -> list[Document]:
        log_notices(logger, self.searcher.reranker.model, [ranking])
        return [
            _document(hit)
            for hit in ranking
            if threshold is None or (hit.score is not None and hit.score >= threshold)
        ]


def _document(hit: values.Hit) -> Document:
    title = {"title": hit.document.title} if hit.document.title else {}
    numbers: dict[str, Any] = {
        "relevance_score": hit.score,
        "relevance_logit": hit.logit,
        "relevance_probability": hit.probability,
        "first_stage_rank": hit.candidate.rank,
        "first_stage_score": hit.candidate.score,
    }
    if hit.spans:
        numbers["relevance_spans"] = [span.to_dict() for span in hit.spans]
    return Document(hit.text, id=hit.document.id, metadata={**title, **hit.document.metadata, **numbers})
