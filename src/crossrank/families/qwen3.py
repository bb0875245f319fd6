"""Qwen3 (Yang et al. 2025), and how its rerankers are asked.

The prompt is of Qwen3-Reranker's card, whose folder has none: Zhang et al. 2025, Qwen3 Embedding,
https://huggingface.co/Qwen/Qwen3-Reranker-0.6B
"""

from __future__ import annotations

from crossrank.families.family import Family, Prompt

_PROMPT = Prompt(
    models=("reranker",),
    query=(
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the "
        'Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
        "<Instruct>: {instruction}\n<Query>: "
    ),
    passage="\n<Document>: ",
    end=("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",),
    is_whole=True,
    instruction="Given a web search query, retrieve relevant passages that answer the query",
    yes="yes",
    no="no",
)

FAMILY = Family(names=("qwen3",), packs_language_model=True, prompt=_PROMPT)
