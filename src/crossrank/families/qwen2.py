"""Qwen2 (Yang et al. 2024), and how mxbai-rerank-v2 is asked.

The prompt is of Mixedbread's library, since the model's folder has none: mxbai_rerank_v2.py in
https://github.com/mixedbread-ai/mxbai-rerank (Apache-2.0). It asks for a digit.
"""

from __future__ import annotations

from crossrank.families.family import Family, Prompt

_PROMPT = Prompt(
    models=("mxbai-rerank-",),
    start=(
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n",
    ),
    query="{instruction}query: ",
    between=("\n",),
    passage="document: ",
    end=(
        "\n",
        "You are a search relevance expert who evaluates how well documents match search queries. For each "
        "query-document pair, carefully analyze the semantic relationship between them, then provide your "
        "binary relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:",
        "<|im_end|>\n<|im_start|>assistant\n",
    ),
    instructed="instruction: {}\n",
    yes="1",
    no="0",
)

FAMILY = Family(names=("qwen2",), packs_language_model=True, prompt=_PROMPT)
