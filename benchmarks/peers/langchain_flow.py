"""The reranker notebook's flow, once: the code is the same for both stacks, only the imports are not.

Arguments: crossrank or langchain, question, another question, file, embedder, cross-encoder; the last two are
folders, or names of bundled models. Prints JSON: seconds per stage, the best passages, versions.
"""

import json
import sys
import time
import warnings
from importlib.metadata import version

warnings.simplefilter("ignore")  # langchain-community says that it is no longer maintained
stack, question, another, file, embedder, cross_encoder = sys.argv[1:]
seconds: dict[str, float] = {}
last = time.perf_counter()


def stop(stage: str) -> None:
    """End a stage."""
    global last
    now = time.perf_counter()
    seconds[stage], last = now - last, now


# Each side also imports what it would import when first used, so that no other stage has a share in it;
# crossrank has imported OpenVINO already.
if stack == "crossrank":
    import faiss

    from crossrank.integrations.langchain import (
        FAISS,
        ContextualCompressionRetriever,
        CrossEncoderReranker,
        HuggingFaceCrossEncoder,
        HuggingFaceEmbeddings,
        RecursiveCharacterTextSplitter,
        TextLoader,
    )

    packages = ["crossrank", "langchain-core", "openvino"]
else:
    import faiss  # noqa: F401
    import sentence_transformers  # noqa: F401
    from langchain_classic.retrievers import ContextualCompressionRetriever
    from langchain_classic.retrievers.document_compressors import CrossEncoderReranker
    from langchain_community.cross_encoders import HuggingFaceCrossEncoder
    from langchain_community.document_loaders import TextLoader
    from langchain_community.vectorstores import FAISS
    from langchain_huggingface import HuggingFaceEmbeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    packages = [
        "langchain-core", "langchain-classic", "langchain-community", "langchain-huggingface",
        "sentence-transformers", "torch",
    ]  # fmt: skip
stop("import")
documents = TextLoader(file).load()
texts = RecursiveCharacterTextSplitter(chunk_size=500, chunk_overlap=100).split_documents(documents)
stop("load and split")
embeddings = HuggingFaceEmbeddings(model_name=embedder)
stop("load embedder")
retriever = FAISS.from_documents(texts, embeddings).as_retriever(search_kwargs={"k": 20})
stop("embed and index")
found = retriever.invoke(question)
stop("first stage")
model = HuggingFaceCrossEncoder(model_name=cross_encoder)
stop("load reranker")
compressor = CrossEncoderReranker(model=model, top_n=3)
best = compressor.compress_documents(found, question)
stop("rerank 20 to 3")
reranking = ContextualCompressionRetriever(base_compressor=compressor, base_retriever=retriever)
reranking.invoke(another)
stop("another question, both stages")
print(
    json.dumps(
        {
            "seconds": seconds,
            "best": [document.page_content for document in best],
            "versions": [f"{name} {version(name)}" for name in packages],
        }
    )
)
