"""The notebook's flow on a real text: its logits are those that transformers computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossrank.integrations.langchain import (
    FAISS,
    ContextualCompressionRetriever,
    CrossEncoderReranker,
    HuggingFaceCrossEncoder,
    HuggingFaceEmbeddings,
    RecursiveCharacterTextSplitter,
    TextLoader,
)

SHARED = Path(__file__).parents[2].parent / "shared"
SPEECH = SHARED / "data" / "state_of_the_union.txt"
MODEL = SHARED / "models" / "bootstrap-cross-encoder"
QUESTION = "What is the plan for the economy?"

pytestmark = [
    pytest.mark.parity,
    pytest.mark.shared,
    pytest.mark.skipif(not (SPEECH.is_file() and MODEL.is_dir()), reason="needs the speech and the model"),
]


def test_logits_of_the_flow_are_those_of_transformers() -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    documents = TextLoader(SPEECH).load()
    splitter = RecursiveCharacterTextSplitter(chunk_size=500, chunk_overlap=100)
    store = FAISS.from_documents(splitter.split_documents(documents), HuggingFaceEmbeddings())
    exact = HuggingFaceCrossEncoder(model_name=str(MODEL), model_kwargs={"precision": "float32"})
    reranker = CrossEncoderReranker(model=exact, top_n=20)
    retriever = ContextualCompressionRetriever(
        base_compressor=reranker, base_retriever=store.as_retriever(search_kwargs={"k": 20})
    )
    found = retriever.invoke(QUESTION)
    assert len(found) == 20

    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = AutoModelForSequenceClassification.from_pretrained(MODEL, dtype=torch.float32).eval()
    pairs = [[QUESTION, document.page_content] for document in found]
    with torch.inference_mode():
        inputs = tokenizer(pairs, padding=True, truncation=True, max_length=512, return_tensors="pt")
        expected = model(**inputs).logits[:, 0].numpy()
    np.testing.assert_allclose(
        [document.metadata["relevance_logit"] for document in found], expected, atol=1e-4
    )
