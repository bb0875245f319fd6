"""LangChain's usual way from passages to a searchable store, once.

Arguments: passages (JSON Lines with ``text``), the embedder's folder. Prints JSON: seconds, without imports
and loading.
"""

import json
import sys
import time
import warnings

warnings.simplefilter("ignore")  # langchain-community says that it is no longer maintained
from langchain_community.vectorstores import FAISS  # noqa: E402
from langchain_core.documents import Document  # noqa: E402
from langchain_huggingface import HuggingFaceEmbeddings  # noqa: E402

passages, folder = sys.argv[1:]
with open(passages, encoding="utf-8") as lines:  # noqa: PTH123
    documents = [Document(page_content=json.loads(line)["text"]) for line in lines]
embeddings = HuggingFaceEmbeddings(model_name=folder)
embeddings.embed_query("warm")
started = time.perf_counter()
FAISS.from_documents(documents, embeddings)
print(json.dumps({"passages": len(documents), "seconds": time.perf_counter() - started}))
