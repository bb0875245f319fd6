"""Rerankers that are language models: what they are asked, and which tokens answer.

Two descriptions are understood: sentence-transformers' own (a LogitScore module that names the tokens, and a
chat template with the roles ``query`` and ``document``), and the family's prompt, where a folder has neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossrank.errors import InputError, MissingExtraError, ModelError
from crossrank.families.model import Model
from crossrank.inference.tokenizer import Tokenizer, Tokens
from crossrank.models.damage import refuses_damage
from crossrank.models.folder import ModelFolder

# The card's length; the models could read more, as few passages need.
_USUAL_TOKENS = 8192
# What stands for the two texts while a chat template is read.
_QUERY, _DOCUMENT = "crossrankquery", "crossrankdocument"


@dataclass(frozen=True, slots=True)
class Answers:
    """The tokens by which a language model answers.

    Attributes:
        yes: The token that says relevant.
        no: The one that says not; None where only ``yes`` counts.
    """

    yes: int
    no: int | None


@refuses_damage
def is_language_model(model: ModelFolder) -> bool:
    """Whether a model was saved to generate text, without a classifier."""
    return any(str(name).endswith("ForCausalLM") for name in model.config.get("architectures") or ())


class PromptTokenizer(Tokenizer):
    """Pairs as a language model is asked about them: the template around query and passage.

    Args:
        model: The model's folder.
        max_tokens: Cut inputs to so many tokens; 8192 by default, and at most the model's limit.

    Attributes:
        answers: The tokens that answer.

    Raises:
        ModelError: Nothing says what the model is asked, or which tokens answer.
        InputError: ``max_tokens`` leaves no room for a query and a passage.
    """

    def __init__(self, model: Model, *, max_tokens: int | None = None) -> None:
        super().__init__(model, max_tokens=_USUAL_TOKENS if max_tokens is None else max_tokens)
        described = next((m for m in model.modules if str(m.get("type")).endswith(".LogitScore")), None)
        if described is not None:
            settings = model.json(f"{described.get('path')}/config.json")
            self.answers = _saved_answers(model, settings)
            self._before, self._between, self._after = _saved_template(model)
        elif (prompt := model.family.prompt) and "reranker" in Path(model.name).name.lower():
            self.answers = Answers(self._known(model, prompt.yes), self._known(model, prompt.no))
            self._before = prompt.before.format(instruction=prompt.instruction)
            self._between, self._after = prompt.between, prompt.after
        else:
            raise ModelError(
                f"{model.name} is a language model, and nothing says how it scores: a LogitScore module of "
                "sentence-transformers (modules.json), or qwen3 as model_type and 'reranker' in its name"
            )
        template = self._encode([self._before + self._between + self._after])[0]
        self._room = self.max_tokens - len(template)
        if self._room < 2:
            raise InputError(
                f"max_length must leave room for a query and a passage, at least {len(template) + 2} tokens; "
                f"it is {self.max_tokens}"
            )

    def _known(self, model: ModelFolder, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ModelError(f"{model.name} has no token {token!r} to answer with")
        return int(found)

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Tokens]:
        """Queries with passages in the template, cut to ``max_tokens``; see :meth:`Tokenizer.pairs`.

        The passage loses its end, the template never anything. A query that takes more than half of the
        room loses its end too, as far as the passage needs the room.
        """
        # All at once, since tokens may reach from a text into the template, such as a question mark with
        # the line break after it.
        texts = [self._before + query + self._between + passage + self._after for query, passage in pairs]
        return [
            _tokens(ids) if len(ids) <= self.max_tokens else self._shortened(*pair)
            for ids, pair in zip(self._encode(texts), pairs, strict=True)
        ]

    def _shortened(self, query: str, passage: str) -> Tokens:
        asked, read = (self._tokenizer.encode(text, add_special_tokens=False) for text in (query, passage))
        kept = max(self._room // 2, self._room - len(read.ids))
        if len(asked.ids) > kept:
            query = query[: asked.offsets[kept - 1][1]]
        start = self._before + query + self._between + passage
        encoding = self._tokenizer.encode(start + self._after, add_special_tokens=False)
        end = sum(offset[1] > len(start) for offset in encoding.offsets)
        ids = encoding.ids[: self.max_tokens - end] + encoding.ids[len(encoding.ids) - end :]
        return _tokens(ids, truncated=len(encoding.ids) - len(ids))


def _tokens(ids: Sequence[int], truncated: int = 0) -> Tokens:
    return Tokens(np.array(ids, np.int32), np.zeros(len(ids), np.int32), truncated)


def _saved_answers(model: ModelFolder, settings: dict[str, Any]) -> Answers:
    yes, no = settings.get("true_token_id"), settings.get("false_token_id")
    if not isinstance(yes, int) or not isinstance(no, int | None):
        raise ModelError(f"{model.name}: its LogitScore names no token that says relevant: {settings!r:.100}")
    return Answers(yes, no)


def _saved_template(model: ModelFolder) -> tuple[str, str, str]:
    """What a chat template puts before the query, between the two, and after the passage."""
    file = model.path / "chat_template.jinja"
    saved = model.json("tokenizer_config.json")
    template = file.read_text(encoding="utf-8") if file.is_file() else saved.get("chat_template")
    if not isinstance(template, str):
        raise ModelError(f"{model.name} has no chat template, so nothing says what it is asked")
    extra = model.json("config_sentence_transformers.json")
    prompt = (extra.get("prompts") or {}).get(extra.get("default_prompt_name"))
    messages = [{"role": "system", "content": prompt}] if prompt else []
    messages += [{"role": "query", "content": _QUERY}, {"role": "document", "content": _DOCUMENT}]
    options = (model.json("sentence_bert_config.json").get("processing_kwargs") or {}).get(
        "chat_template", {}
    )
    names = {key: value for key, value in saved.items() if key.endswith("_token") and isinstance(value, str)}
    text = _rendered(model, template, messages, {**names, **options})
    before, found, rest = text.partition(_QUERY)
    between, also_found, after = rest.partition(_DOCUMENT)
    if not found or not also_found or _QUERY in after or _DOCUMENT in after + before:
        raise ModelError(
            f"{model.name}: its chat template does not show the messages 'query' and 'document' once each, "
            "in this order"
        )
    return before, between, after


def _rendered(
    model: ModelFolder, template: str, messages: list[dict[str, str]], options: dict[str, Any]
) -> str:
    try:
        from transformers.utils.chat_template_utils import render_jinja_template
    except ImportError as error:
        raise MissingExtraError("A reranker that is a language model", "torch") from error
    try:
        # In Jinja's sandbox, which transformers keeps for templates of strangers.
        rendered, _ = render_jinja_template([messages], chat_template=template, **options)
    except Exception as error:  # whatever the template does
        raise ModelError(f"{model.name}: its chat template fails: {str(error)[:200]}") from error
    return str(rendered[0])
