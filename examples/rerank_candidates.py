"""Rerank the candidates of a first stage that you already have, and see every number that led to a place.

python examples/rerank_candidates.py
"""

from crossrank import Document, Reranker

question = "How is a city's budget decided?"
candidates = [  # in the order of the first stage
    Document(id="a", text="The city has a budget.", metadata={"source": "note.txt"}),
    Document(id="b", text="The council debates the budget in spring and votes on it in June."),
    Document(id="c", text="Budget hotels in the city start at forty euros a night."),
]
ranking = Reranker().rank(question, candidates, first_stage_scores=[12.1, 11.7, 10.9])
for hit in ranking:
    print(f"{hit.rank}. {hit.score:.4f} (logit {hit.logit:+.2f}, was {hit.first_stage_rank}) {hit.text}")
