"""Tokenisation: queries and passages are tokenised once each, and then combined to pairs."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError, ModelError
from crossrank.families.model import Model


@dataclass(frozen=True, slots=True)
class Tokens:
    """One input of a model, without padding.

    Attributes:
        ids: Token ids, special tokens included, int32 [length].
        types: Token types, int32 [length].
        truncated: How many tokens of the passage were cut off.
    """

    ids: NDArray[np.int32]
    types: NDArray[np.int32]
    truncated: int = 0


@dataclass(frozen=True, slots=True)
class _Template:
    """The special tokens before, between and after the texts, and the token type of each part."""

    ids: tuple[list[int], ...]
    types: tuple[list[int], ...]
    text_types: tuple[int, ...]

    @property
    def special_tokens(self) -> int:
        return sum(len(part) for part in self.ids)

    def fill(self, texts: Sequence[Sequence[int]], truncated: int) -> Tokens:
        ids, types = list(self.ids[0]), list(self.types[0])
        for number, text in enumerate(texts):
            ids += text
            ids += self.ids[number + 1]
            types += [self.text_types[number]] * len(text)
            types += self.types[number + 1]
        return Tokens(np.array(ids, np.int32), np.array(types, np.int32), truncated)


class Tokenizer:
    """A model's tokenizer.

    Args:
        model: The model's folder.
        max_tokens: Maximum number of tokens per input; by default, and at most, the model's limit.

    Attributes:
        limit: The maximum number of tokens that the model supports.
        prompt: The text put before each query; None for no prompt.
        pad_id: The id of the padding token.

    Raises:
        ModelError: The tokenizer is missing or cannot be read.
        InputError: ``max_tokens`` leaves no room for a query and a passage.
    """

    # Slots, so that assigning to an unknown attribute is an error.
    __slots__ = (
        "_max_tokens",
        "_pair",
        "_reads_words",
        "_single",
        "_tokenizer",
        "_unknown",
        "limit",
        "pad_id",
        "prompt",
    )

    def __init__(self, model: Model, *, max_tokens: int | None = None) -> None:
        import tokenizers

        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(model.tokenizer_file))
        except ModelError:
            raise
        except Exception as error:  # the library raises plain Exception for whatever is wrong with the file
            raise ModelError(f"{model.name}: tokenizer.json cannot be read: {error}") from error
        # The saved settings would truncate and pad the texts before they are combined.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        if model.json("sentence_bert_config.json").get("do_lower_case"):
            own = self._tokenizer.normalizer
            both = [tokenizers.normalizers.Lowercase(), *([own] if own else [])]
            self._tokenizer.normalizer = tokenizers.normalizers.Sequence(both)
        self.limit = model.max_tokens
        self.prompt: str | None = None
        self.pad_id = model.pad_token_id
        self._unknown = self._unknown_id(model)
        # Static models read words alone, and perhaps none.
        self._reads_words = model.is_static
        self._single = _Template(([], []), ([], []), (0,)) if model.is_static else self._template("a")
        self._pair = self._template("a", "b")
        least = self._taken + 2
        if self.limit < least:
            raise ModelError(
                f"{model.name} reads {self.limit} tokens; a query with a passage has {least} at least"
            )
        self.max_tokens = max_tokens
        largest = self.words
        rows = model.config.get("vocab_size", largest)
        if isinstance(rows, int) and largest > rows:
            raise ModelError(
                f"{model.name}: the tokenizer has {largest} tokens and the model only {rows}; "
                "they do not belong together"
            )

    @property
    def max_tokens(self) -> int:
        """The maximum number of tokens per input; at most ``limit``, which None sets.

        Raises:
            InputError: The value leaves no room for a query and a passage.
        """
        return self._max_tokens

    @max_tokens.setter
    def max_tokens(self, value: int | None) -> None:
        value = self.limit if value is None else min(value, self.limit)
        if value < self._taken + 2:
            raise InputError(
                f"max_length must leave room for a query and a passage, at least {self._taken + 2} tokens; "
                f"it is {value}"
            )
        self._max_tokens = value

    model_max_length = max_tokens
    """transformers' name for ``max_tokens``."""

    @property
    def _taken(self) -> int:
        """The number of tokens in an input that belong neither to the query nor to the passage."""
        return self._pair.special_tokens

    def adjusted(self, *, prompt: str | None, max_tokens: int | None = None) -> Self:
        """A copy of this tokenizer with another prompt or maximum length.

        Raises:
            InputError: ``max_tokens`` leaves no room for a query and a passage.
        """
        if prompt == self.prompt and max_tokens is None:
            return self
        other = copy(self)
        other._ask(prompt)
        other.max_tokens = self.max_tokens if max_tokens is None else max_tokens
        return other

    def _ask(self, prompt: str | None) -> None:
        self.prompt = prompt

    def _prompted(self, query: str) -> str:
        return (self.prompt or "") + query

    def passage_room(self, query: str) -> int:
        """How many tokens of a passage fit next to a query."""
        room = self.max_tokens - self._taken
        return max(room - len(self._encode([self._prompted(query)])[0]), room // 2)

    def offsets(self, texts: Sequence[str]) -> list[NDArray[np.intp]]:
        """Where the tokens of each text begin and end, in characters, [tokens, 2].

        Raises:
            InputError: A text is not a string, or contains lone surrogates.
        """
        encodings = self._encode_with_offsets(texts)
        return [np.array(encoding.offsets, np.intp).reshape(-1, 2) for encoding in encodings]

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"crossrank's tokenizer has no {name!r}; transformers' own is "
            "AutoTokenizer.from_pretrained(model.path), and model.max_length sets the length"
        )

    @property
    def words(self) -> int:
        """The size of the vocabulary."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def _unknown_id(self, model: Model) -> int | None:
        token = model.json("tokenizer_config.json").get("unk_token")
        content = token.get("content") if isinstance(token, dict) else token
        if not isinstance(content, str):
            return None
        # The library does not accept lone surrogates, which can occur as JSON escapes.
        found = self._tokenizer.token_to_id(content.encode(errors="replace").decode())
        return int(found) if found is not None else None

    def _template(self, *texts: str) -> _Template:
        """Find out from an example where the tokenizer puts its special tokens."""
        encoding = self._tokenizer.encode(texts[0], texts[1] if len(texts) > 1 else None)
        ids: list[list[int]] = [[] for _ in range(len(texts) + 1)]
        types: list[list[int]] = [[] for _ in range(len(texts) + 1)]
        text_types = [0] * len(texts)
        seen = 0
        for token, kind, sequence in zip(encoding.ids, encoding.type_ids, encoding.sequence_ids, strict=True):
            if sequence is None:
                ids[seen].append(token)
                types[seen].append(kind)
            else:
                seen, text_types[sequence] = sequence + 1, kind
        template = _Template(tuple(ids), tuple(types), tuple(text_types))
        parts = [self._tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        if template.fill(parts, 0).ids.tolist() != encoding.ids:
            raise ModelError("the tokenizer arranges its texts in a way that crossrank does not know")
        return template

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Tokens]:
        """Tokenise pairs, truncated to ``max_tokens`` like transformers' ``longest_first``.

        If the query takes no more than half of the room, only the end of the passage is cut off.

        Args:
            pairs: (query, passage) tuples. Duplicate texts are tokenised once.

        Returns:
            One input per pair, in order.

        Raises:
            InputError: A text is not a string, or contains lone surrogates.
        """
        if self.prompt:
            pairs = [(self._prompted(query), passage) for query, passage in pairs]
        unique = list(dict.fromkeys(text for pair in pairs for text in pair))
        ids = dict(zip(unique, self._encode(unique), strict=True))
        room = self.max_tokens - self._pair.special_tokens
        return [self._cut(ids[query], ids[passage], room) for query, passage in pairs]

    def _cut(self, query: list[int], passage: list[int], room: int) -> Tokens:
        kept_query, kept_passage = _kept(len(query), len(passage), room)
        return self._pair.fill((query[:kept_query], passage[:kept_passage]), len(passage) - kept_passage)

    def shortened(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        passage_tokens: int | None = None,
        pair_tokens: int | None = None,
        keep_end: bool = False,
    ) -> list[tuple[tuple[str, str], int]]:
        """Shorter pairs, for callers that set a limit to passages or pairs, or want the end to be kept.

        Args:
            pairs: (query, passage) tuples.
            passage_tokens: The number of tokens that is kept of a passage; by default as many as fit.
            pair_tokens: The number of tokens that an input may have, with its special tokens; the query is
                cut, too, if it takes more than half of them.
            keep_end: Cut off the beginning of a passage, so that :meth:`pairs` cuts nothing off its end.

        Returns:
            The pair, and the number of tokens that were cut off its passage.

        Raises:
            InputError: A text is not a string, or contains lone surrogates, or ``pair_tokens`` leaves no room
                for a query and a passage.
        """
        unique = list(dict.fromkeys(text for pair in pairs for text in pair))
        encoded = dict(zip(unique, self._encode_with_offsets(unique), strict=True))
        room = min(pair_tokens or self.max_tokens, self.max_tokens) - self._taken
        if room < 2:
            raise InputError(
                f"a query with a passage has at least {self._taken + 2} tokens; the limit is {pair_tokens}"
            )
        results = []
        for query, passage in pairs:
            offsets: list[tuple[int, int]] = encoded[passage].offsets
            kept = len(offsets) if passage_tokens is None else min(passage_tokens, len(offsets))
            asking: list[tuple[int, int]] = encoded[query].offsets
            if keep_end or pair_tokens:
                kept_query, kept = _kept(len(asking), kept, room)
                if pair_tokens and kept_query < len(asking):
                    query = query[: asking[kept_query - 1][1]]
            if len(offsets) > kept:
                start = offsets[len(offsets) - kept][0] if keep_end else 0
                end = len(passage) if keep_end else offsets[kept - 1][1]
                results.append(((query, passage[start:end]), len(offsets) - kept))
            else:
                results.append(((query, passage), 0))
        return results

    def texts(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenise single texts, truncated to ``max_tokens``."""
        room = self.max_tokens - self._single.special_tokens
        if not self._single.special_tokens and not self._reads_words:
            # No network reads nothing.
            return [
                self._single.fill((ids[:room] or [self.pad_id],), max(0, len(ids) - room))
                for ids in self._encode(texts)
            ]
        return [self._single.fill((ids[:room],), max(0, len(ids) - room)) for ids in self._encode(texts)]

    def unknown_share(self, text: str) -> float:
        """The share of a text's tokens that are not in the vocabulary, from 0 to 1."""
        ids = self._encode([text])[0]
        return ids.count(self._unknown) / len(ids) if ids and self._unknown is not None else 0.0

    def _encode_with_offsets(self, texts: Sequence[str]) -> list[Any]:
        try:
            return list(self._tokenizer.encode_batch(list(texts), add_special_tokens=False))
        except (TypeError, UnicodeEncodeError) as error:
            raise InputError(_what_is_wrong(texts)) from error

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        try:
            encodings: list[Any] = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        except (TypeError, UnicodeEncodeError) as error:
            raise InputError(_what_is_wrong(texts)) from error
        return [encoding.ids for encoding in encodings]


def _kept(query: int, passage: int, room: int) -> tuple[int, int]:
    """How many tokens of a query and its passage are read, as transformers' ``longest_first`` has it."""
    if query + passage <= room:
        return query, passage
    shorter = min(query, passage)
    if 2 * shorter > room:  # both are longer than half of the room: each gets half
        shorter = room // 2
    longer = room - shorter
    # With an odd number of tokens, transformers gives the extra token to the longer text, or to the passage
    # if both have the same length.
    return (longer, shorter) if query > passage else (shorter, longer)


def _what_is_wrong(texts: Sequence[object]) -> str:
    for text in texts:
        if not isinstance(text, str):
            return f"queries and passages must be strings; found {type(text).__name__}: {text!r:.60}"
    return (
        "a text holds lone surrogates (halves of a character), which are not valid Unicode; "
        "repair it with text.encode('utf-8', 'replace').decode()"
    )
