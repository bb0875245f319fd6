"""Answer questions from files with LangChain: a language model reads the best passages.

python examples/chat_over_documents.py FOLDER QUESTION...

A stand-in takes the place of the language model, so that this runs offline: it repeats the best passage.
Put in your chat model, and it answers in its own words.
"""

import sys
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough

from crossrank.integrations.langchain import CrossrankRetriever, RecursiveCharacterTextSplitter, TextLoader

PROMPT = ChatPromptTemplate.from_template(
    "Answer from these passages alone, and name the one that you use.\n\n{passages}\n\n{question}"
)


def numbered(documents: list[Document]) -> str:
    """The passages as the model reads them; a score is left out of the prompt."""
    return "\n\n".join(f"[{n}] {document.page_content}" for n, document in enumerate(documents, start=1))


def repeat_first_passage(prompt: object) -> str:
    """A language model's stand-in."""
    return str(prompt.to_string()).split("\n\n")[1]  # type: ignore[attr-defined]


def main(folder: str, questions: list[str]) -> None:
    """Index the folder once, then answer each question."""
    files = sorted(Path(folder).glob("*.txt"))
    documents = [document for file in files for document in TextLoader(str(file)).load()]
    splitter = RecursiveCharacterTextSplitter(chunk_size=500, chunk_overlap=100)
    retriever = CrossrankRetriever.from_documents(splitter.split_documents(documents), top_n=3, candidates=20)
    passages = retriever | numbered
    chain = (
        {"passages": passages, "question": RunnablePassthrough()}
        | PROMPT
        | RunnableLambda(repeat_first_passage)
    )
    for question in questions:
        print(f"{question}\n{chain.invoke(question)}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
