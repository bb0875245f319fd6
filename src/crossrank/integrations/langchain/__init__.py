"""LangChain integration, with the class names of LangChain's cross-encoder reranker notebook.

Needs only langchain-core.

Example:
    >>> from crossrank.integrations.langchain import (
    ...     FAISS, ContextualCompressionRetriever, CrossEncoderReranker, HuggingFaceCrossEncoder,
    ...     HuggingFaceEmbeddings,
    ... )
    >>> texts = ["A tide table.", "Bakers bake bread.", "Trains run at night."]
    >>> store = FAISS.from_texts(texts, HuggingFaceEmbeddings())
    >>> retriever = ContextualCompressionRetriever(
    ...     base_compressor=CrossEncoderReranker(model=HuggingFaceCrossEncoder(), top_n=1),
    ...     base_retriever=store.as_retriever(search_kwargs={"k": 20}),
    ... )
    >>> [document.page_content for document in retriever.invoke("Who bakes bread?")]
    ['Bakers bake bread.']
"""

from crossrank.errors import MissingExtraError

try:
    # The module itself, since langchain_text_splitters offers more than is needed and takes longer to import.
    from langchain_text_splitters.character import RecursiveCharacterTextSplitter

    from crossrank.integrations.langchain.cross_encoder import HuggingFaceCrossEncoder
    from crossrank.integrations.langchain.embeddings import HuggingFaceEmbeddings
    from crossrank.integrations.langchain.reranker import CrossEncoderReranker
    from crossrank.integrations.langchain.retrievers import ContextualCompressionRetriever, CrossrankRetriever
    from crossrank.integrations.langchain.sagemaker_endpoint import (
        CrossEncoderContentHandler,
        SagemakerEndpointCrossEncoder,
    )
    from crossrank.integrations.langchain.text_loader import TextLoader
    from crossrank.integrations.langchain.vector_store import FAISS
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("langchain_"):
        raise
    raise MissingExtraError("crossrank.integrations.langchain", "langchain") from error

__all__ = [
    "FAISS",
    "ContextualCompressionRetriever",
    "CrossEncoderContentHandler",
    "CrossEncoderReranker",
    "CrossrankRetriever",
    "HuggingFaceCrossEncoder",
    "HuggingFaceEmbeddings",
    "RecursiveCharacterTextSplitter",
    "SagemakerEndpointCrossEncoder",
    "TextLoader",
]
