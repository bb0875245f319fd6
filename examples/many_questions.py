"""Answer many questions from a folder of texts at once, without blocking an event loop.

python examples/many_questions.py FOLDER QUESTION...
"""

import asyncio
import sys

from crossrank import Searcher, load_documents, split_documents


async def main(folder: str, questions: list[str]) -> None:
    """Index once, then ask everything."""
    searcher = Searcher(split_documents(load_documents([folder]).documents))
    for ranking in await asyncio.gather(*(searcher.asearch(question, top_n=1) for question in questions)):
        for hit in ranking:
            print(f"{ranking.query}\n  {hit.score:.4f}  {hit.document.id}\n  {hit.text[:200]}")


asyncio.run(main(sys.argv[1], sys.argv[2:]))
