"""Rerank the candidates of a first stage that you already have, and see every number that led to a place.

python examples/rerank_candidates.py
"""

from crossrank import Candidate, Document, Reranker

question = "How is a city's budget decided?"
documents = [
    Document(id="a", text="The city has a budget.", metadata={"source": "note.txt"}),
    Document(id="b", text="The council debates the budget in spring and votes on it in June."),
    Document(id="c", text="Budget hotels in the city start at forty euros a night."),
]
candidates = [  # in the order of the first stage, with its scores
    Candidate(documents[0], rank=1, score=12.1),
    Candidate(documents[1], rank=2, score=11.7),
    Candidate(documents[2], rank=3, score=10.9),
]
ranking = Reranker().rank(question, candidates)
for hit in ranking:
    print(f"{hit.rank}. {hit.score:.4f} (logit {hit.logit:+.2f}, was {hit.candidate.rank}) {hit.text}")
