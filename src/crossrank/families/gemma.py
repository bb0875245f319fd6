"""Gemma (Gemma Team 2024), and how bge-reranker-v2-gemma is asked.

The prompt is of the model's card, https://huggingface.co/BAAI/bge-reranker-v2-gemma: the logit of Yes is the
score.
"""

from __future__ import annotations

from crossrank.families.family import Family, Prompt

_PROMPT = Prompt(
    models=("bge-reranker-v2-gemma",),
    start=("<bos>",),
    query="A: ",
    between=("\n",),
    passage="B: ",
    end=("\n", "{instruction}"),
    instruction=(
        "Given a query A and a passage B, determine whether the passage contains an answer to the query by "
        "providing a prediction of either 'Yes' or 'No'."
    ),
    yes="Yes",
    no=None,
)

FAMILY = Family(names=("gemma",), packs_language_model=True, prompt=_PROMPT)
