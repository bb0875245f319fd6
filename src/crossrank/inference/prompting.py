"""Rerankers that read a pair within a template: language models, and classifiers with a chat template.

A chat template has the roles ``query`` and ``document``. Of language models two descriptions are understood:
sentence-transformers' own (a LogitScore module that names the tokens, and a chat template), and the family's
prompt, where a folder has neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from crossrank.errors import MissingExtraError, ModelError
from crossrank.families.family import Prompt
from crossrank.families.model import Model
from crossrank.inference.chains import is_language_model, scoring_chain
from crossrank.inference.tokenizer import Tokenizer, Tokens
from crossrank.models.damage import refuses_damage
from crossrank.models.folder import ModelFolder

# The length from the model card; the models support more, but few passages need it.
_USUAL_TOKENS = 8192
# What stands for the two texts while a chat template is read.
_QUERY, _DOCUMENT = "crossrankquery", "crossrankdocument"


@dataclass(frozen=True, slots=True)
class Answers:
    """The tokens with which a language model answers.

    Attributes:
        yes: The token for relevant.
        no: The token for not relevant; None if only ``yes`` is scored.
    """

    yes: int
    no: int | None


@refuses_damage
def is_asked_by_template(model: ModelFolder) -> bool:
    """Whether a model reads pairs within a template, by sentence-transformers' rules."""
    modalities = model.json("sentence_bert_config.json").get("modality_config")
    by_messages = not model.modules if modalities is None else "message" in modalities
    return is_language_model(model) or (by_messages and _chat_template(model) is not None)


def _chat_template(model: ModelFolder) -> str | None:
    file = model.path / "chat_template.jinja"
    saved = model.json("tokenizer_config.json").get("chat_template")
    template = file.read_text(encoding="utf-8") if file.is_file() else saved
    return template if isinstance(template, str) else None


@refuses_damage
def saved_prompts(model: ModelFolder) -> tuple[dict[str, str], str | None]:
    """The prompts that were saved with a model, by name, and the name of the default prompt.

    Like sentence-transformers, reads them only from a folder with a modules.json.

    Raises:
        ModelError: A prompt is not a string, or the default prompt does not exist.
    """
    if not model.modules:
        return {}, None
    saved = model.json("config_sentence_transformers.json")
    prompts, default = dict(saved.get("prompts") or {}), saved.get("default_prompt_name")
    if not all(isinstance(text, str) for text in prompts.values()) or default not in [None, *prompts]:
        raise ModelError(
            f"{model.name}: config_sentence_transformers.json must have prompts, strings by their names, and "
            f"default_prompt_name, one of these names; it has {prompts!r:.60} and {default!r:.40}"
        )
    return prompts, default


class PromptTokenizer(Tokenizer):
    """Puts query and passage into the model's template, and tokenises the result.

    Args:
        model: The model's folder.
        max_tokens: Maximum number of tokens per input; 8192 by default, and at most the model's limit.
        prompt: The instruction; None for the template's own.

    Attributes:
        answers: The answer tokens of a language model; None for a classifier.

    Raises:
        ModelError: The model's template or its answer tokens are not known.
        InputError: ``max_tokens`` leaves no room for a query and a passage.
    """

    __slots__ = ("_around", "_fixed", "_own", "_template_length", "_write", "answers")

    def __init__(self, model: Model, *, max_tokens: int | None = None, prompt: str | None = None) -> None:
        self.answers: Answers | None = None
        self._own: Prompt | None = None
        self._fixed: tuple[list[int], ...] = ([], [], [])
        self._write: Callable[[str | None], tuple[str, str, str]] = partial(_saved_template, model)
        self._template_length = 0
        super().__init__(model, max_tokens=_USUAL_TOKENS if max_tokens is None else max_tokens)
        chain = scoring_chain(model)
        if chain.answer is not None:
            self.answers = Answers(chain.answer.yes, chain.answer.no)
        elif chain.task == "text-generation":
            own = model.family.prompt
            name = Path(model.name).name.lower()
            if own is None or not any(part in name for part in own.models):
                raise ModelError(
                    f"{model.name} is a language model, and nothing says how it scores: a LogitScore module "
                    "of sentence-transformers (modules.json), or the name of a model that is known, such as "
                    "Qwen3-Reranker, mxbai-rerank-base-v2 and bge-reranker-v2-gemma"
                )
            self.answers = Answers(
                self._known(model, own.yes), None if own.no is None else self._known(model, own.no)
            )
            self._own = own
        self._ask(prompt)
        self.max_tokens = self.max_tokens  # checks that the template leaves room

    def _ask(self, prompt: str | None) -> None:
        super()._ask(prompt)
        if self._own is None:
            self._around = self._write(prompt)
        else:
            own = self._own.filled(prompt)
            if not own.is_whole:
                self._around = own.query, own.passage, ""
                self._fixed = tuple(
                    [token for ids in self._encode(part) for token in ids]
                    for part in (own.start, own.between, own.end)
                )
                # As if the texts around were alone; the first word may join what is before it.
                self._template_length = sum(map(len, (*self._fixed, *self._encode(self._around))))
                return
            before, between = "".join(own.start) + own.query, "".join(own.between) + own.passage
            self._around = before, between, "".join(own.end)
        self._template_length = len(self._encode(["".join(self._around)])[0])

    @property
    def _taken(self) -> int:
        return self._template_length

    def _prompted(self, query: str) -> str:
        return query  # the prompt is in the template

    def _known(self, model: ModelFolder, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ModelError(f"{model.name} has no token {token!r} to answer with")
        return int(found)

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Tokens]:
        """Tokenise pairs within the template, truncated to ``max_tokens``; see :meth:`Tokenizer.pairs`.

        The end of the passage is cut off; the template is never truncated. If the query takes more than half
        of the room, its end is cut off as well, as far as the passage needs the room.
        """
        if any(self._fixed):
            return self._in_pieces(pairs)
        # The text is tokenised as a whole, since a token may span the border between a text and the template,
        # such as a question mark with the line break after it.
        before, between, after = self._around
        texts = [before + query + between + passage + after for query, passage in pairs]
        return [
            _tokens(ids) if len(ids) <= self.max_tokens else self._shortened(*pair)
            for ids, pair in zip(self._encode(texts), pairs, strict=True)
        ]

    def _in_pieces(self, pairs: Sequence[tuple[str, str]]) -> list[Tokens]:
        """Pairs whose query and passage are tokenised alone, each with what stands before it."""
        before, passage_before, _ = self._around
        start, between, end = self._fixed
        queries = self._encode([before + query for query, _ in pairs])
        passages = self._encode([passage_before + passage for _, passage in pairs])
        room = self.max_tokens - len(start) - len(between) - len(end)
        tokens = []
        for asked, read in zip(queries, passages, strict=True):
            query = asked[: max(room // 2, room - len(read))]
            passage = read[: room - len(query)]
            ids = [*start, *query, *between, *passage, *end]
            tokens.append(_tokens(ids, truncated=len(read) - len(passage)))
        return tokens

    def _shortened(self, query: str, passage: str) -> Tokens:
        asked, read = (self._tokenizer.encode(text, add_special_tokens=False) for text in (query, passage))
        room = self.max_tokens - self._template_length
        kept = max(room // 2, room - len(read.ids))
        if len(asked.ids) > kept:
            query = query[: asked.offsets[kept - 1][1]]
        before, between, after = self._around
        start = before + query + between + passage
        encoding = self._tokenizer.encode(start + after, add_special_tokens=False)
        end = sum(offset[1] > len(start) for offset in encoding.offsets)
        ids = encoding.ids[: self.max_tokens - end] + encoding.ids[len(encoding.ids) - end :]
        return _tokens(ids, truncated=len(encoding.ids) - len(ids))


def _tokens(ids: Sequence[int], truncated: int = 0) -> Tokens:
    return Tokens(np.array(ids, np.int32), np.zeros(len(ids), np.int32), truncated)


def _saved_template(model: ModelFolder, prompt: str | None) -> tuple[str, str, str]:
    """The text of a chat template before the query, between query and passage, and after the passage."""
    template, saved = _chat_template(model), model.json("tokenizer_config.json")
    if template is None:
        raise ModelError(f"{model.name} has no chat template, so nothing says what it is asked")
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
        raise MissingExtraError(f"{model.name}, which is asked by a chat template,", "torch") from error
    try:
        # Rendered in Jinja's sandbox, which transformers has for untrusted templates.
        rendered, _ = render_jinja_template([messages], chat_template=template, **options)
    except Exception as error:  # whatever the template does
        raise ModelError(f"{model.name}: its chat template fails: {str(error)[:200]}") from error
    return str(rendered[0])
