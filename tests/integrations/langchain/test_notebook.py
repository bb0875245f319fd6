"""The cross-encoder reranker notebook, its imports changed and nothing else, offline; and the guide to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crossrank.models.locate import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER, locate_model

IMPORTS = """
from crossrank.integrations.langchain import (
    FAISS, ContextualCompressionRetriever, CrossEncoderReranker, HuggingFaceCrossEncoder,
    HuggingFaceEmbeddings, RecursiveCharacterTextSplitter, TextLoader,
)
"""
NOTEBOOK = """
def pretty_print_docs(docs):
    print(
        f"\\n{'-' * 100}\\n".join(
            [f"Document {i+1}:\\n\\n" + d.page_content for i, d in enumerate(docs)]
        )
    )

documents = TextLoader("../../modules/state_of_the_union.txt").load()
text_splitter = RecursiveCharacterTextSplitter(chunk_size=500, chunk_overlap=100)
texts = text_splitter.split_documents(documents)
embeddingsModel = HuggingFaceEmbeddings(
    model_name="sentence-transformers/msmarco-distilbert-dot-v5"
)
retriever = FAISS.from_documents(texts, embeddingsModel).as_retriever(
    search_kwargs={"k": 20}
)

query = "What is the plan for the economy?"
docs = retriever.invoke(query)
pretty_print_docs(docs)

model = HuggingFaceCrossEncoder(model_name="BAAI/bge-reranker-base")
compressor = CrossEncoderReranker(model=model, top_n=3)
compression_retriever = ContextualCompressionRetriever(
    base_compressor=compressor, base_retriever=retriever
)

compressed_docs = compression_retriever.invoke("What is the plan for the economy?")
pretty_print_docs(compressed_docs)
"""
TEXT = "\n\n".join(
    [
        *(f"Paragraph {i} is about the weather at sea, and the harbour. " * 6 for i in range(12)),
        "My plan for the economy is to build more at home, to lower your costs and the deficit. " * 4,
        *(f"Paragraph {i} is about the birds in the garden, and their songs. " * 6 for i in range(12)),
    ]
)
ROOT = Path(__file__).parents[3]


def test_the_notebook_runs_with_only_its_imports_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "docs" / "notebooks"
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "state_of_the_union.txt").write_text(TEXT)
    # The notebook's two models by name: a folder of that name is found before the Hub is asked.
    for name, bundled in {
        "sentence-transformers/msmarco-distilbert-dot-v5": DEFAULT_BI_ENCODER,
        "BAAI/bge-reranker-base": DEFAULT_CROSS_ENCODER,
    }.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).symlink_to(locate_model(bundled), target_is_directory=True)
    monkeypatch.chdir(here)
    monkeypatch.setenv("CROSSRANK_OFFLINE", "1")
    scope: dict[str, object] = {}
    exec(IMPORTS + NOTEBOOK, scope)
    found, ranked = scope["docs"], scope["compressed_docs"]
    assert isinstance(found, list)
    assert isinstance(ranked, list)
    assert len(found) == 20
    assert len(ranked) == 3
    assert "plan for the economy" in ranked[0].page_content
    scores = [document.metadata["relevance_score"] for document in ranked]
    assert scores == sorted(scores, reverse=True)
    assert ranked[0].metadata["source"] == "../../modules/state_of_the_union.txt"
    assert capsys.readouterr().out.count("Document 1:\n") == 2


def test_the_python_of_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "speech.txt").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    guide = (ROOT / "docs" / "langchain.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    assert len(blocks) >= 3
    scope: dict[str, object] = {}
    for block in blocks:
        exec(block, scope)
