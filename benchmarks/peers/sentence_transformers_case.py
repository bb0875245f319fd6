"""The reference case on the usual stack.

Arguments: question, file, bi-encoder's folder, cross-encoder's folder.
"""

import sys
from pathlib import Path

import faiss
from langchain_text_splitters import RecursiveCharacterTextSplitter
from sentence_transformers import CrossEncoder, SentenceTransformer

question, file, bi_encoder, cross_encoder = sys.argv[1:]
splitter = RecursiveCharacterTextSplitter(chunk_size=500, chunk_overlap=100)
passages = splitter.split_text(Path(file).read_text(encoding="utf-8"))
embedder = SentenceTransformer(bi_encoder, device="cpu")
vectors = embedder.encode(passages)
index = faiss.IndexFlatIP(vectors.shape[1])
index.add(vectors)
_, found = index.search(embedder.encode([question]), 20)
candidates = [passages[i] for i in found[0]]
for hit in CrossEncoder(cross_encoder, device="cpu").rank(question, candidates, top_k=3):
    print(hit["score"], candidates[hit["corpus_id"]][:80])
