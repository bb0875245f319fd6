"""Whether a model gives the results of float32 in a faster arithmetic."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import ModelError
from crossrank.families.model import Model
from crossrank.inference.arithmetic import Arithmetic
from crossrank.inference.engines import Engine
from crossrank.inference.fingerprint import add_weights
from crossrank.inference.machine_cache import remember, remembered
from crossrank.inference.sample_texts import Candidates, sample_candidates
from crossrank.inference.spearman import spearman
from crossrank.inference.task import Task
from crossrank.inference.timing import machine_key
from crossrank.inference.tokenizer import Tokenizer, Tokens

# Run at every load. A model with damaged weights returns NaN here.
PROBES: tuple[Candidates, ...] = (
    (
        "how do bees find flowers",
        (
            "Bees follow scent and colour to flowers, and tell each other the way by dancing.",
            "The night train leaves at ten and arrives in the capital at breakfast.",
        ),
    ),
    (
        "what is the plan for the economy",
        ("The plan is to lower costs for families and to build more at home.", "Yes."),
    ),
)
# The largest accepted difference between int8 and float32 outputs on these texts, in standard deviations of
# the float32 outputs; a larger one means broken arithmetic. It is 0.05 for the 4 outputs of the bundled
# reranker, and 0.4 for the 3,072 outputs of the bundled embedder.
_BROKEN = 0.5
# The sample texts that a float32 model is tried on before anything faster is taken, and the rank correlation
# that it has to keep.
_QUESTIONS, _PASSAGES, _CHARACTERS = 4, 10, 200
_LOWEST_SPEARMAN = 0.999


@dataclass(frozen=True, slots=True)
class Difference:
    """How far a faster arithmetic is from float32 on sample texts.

    Attributes:
        spearman: Rank correlation of all logits (a cross-encoder) or similarities (a bi-encoder).
        largest: The largest difference of two.
    """

    spearman: float
    largest: float

    @property
    def keeps_order(self) -> bool:
        """Whether the faster arithmetic may stand in for float32."""
        return self.spearman >= _LOWEST_SPEARMAN

    def notice(self, arithmetic: Arithmetic) -> str:
        """One sentence for the user."""
        return (
            f"runs in {arithmetic}: on {_QUESTIONS * _PASSAGES} sample passages at most {self.largest:.4f} "
            'from float32, in the same order; precision="float32" is exact.'
        )


class Agreement:
    """Compares one model's outputs with those in float32.

    Args:
        model: The model.
        task: What it is loaded for.
        tokenizer: The model's tokenizer.
        exact: Makes the engine in float32; called only if its outputs are not known yet.
    """

    def __init__(self, model: Model, task: Task, tokenizer: Tokenizer, exact: Callable[[], Engine]) -> None:
        self._model, self._task, self._tokenizer, self._make_exact = model, task, tokenizer, exact

    @cached_property
    def _exact(self) -> Engine:
        return self._make_exact()

    def outputs(self, engine: Engine) -> NDArray[np.float32]:
        """The outputs for the probes, [probes, d]; a faster arithmetic's may be no finite numbers."""
        return engine.run(self._task.inputs(self._tokenizer, PROBES))

    def probe(self, engine: Engine) -> NDArray[np.float32]:
        """The outputs for the probes, [probes, d]; see :func:`probe`."""
        return _finite(self._model, self.outputs(engine))

    def is_broken(self, outputs: NDArray[np.float32], arithmetic: Arithmetic) -> bool:
        """Whether outputs for the probes are so far off that the arithmetic must be wrong (kept).

        int8 products overflow on some processors, and some releases of OpenVINO compute bfloat16 wrongly.
        """
        stored = self._stored_probe
        reference = np.array(stored, np.float32) if stored else self.probe(self._exact)
        spread = float(reference.std()) or 1.0
        # Written so that NaN is too far, too.
        if outputs.shape == reference.shape and np.abs(outputs - reference).max() <= _BROKEN * spread:
            return False
        remember("broken", self._broken_key(arithmetic), True)
        return True

    def is_known_to_be_broken(self, arithmetic: Arithmetic) -> bool:
        """Whether :meth:`is_broken` found this before: then it need not be compiled again."""
        return remembered("broken", self._broken_key(arithmetic)) is True

    def is_known_to_differ(self, arithmetic: Arithmetic) -> bool:
        """Whether an earlier comparison found another order."""
        known = self._known(arithmetic)
        return known is not None and not known.keeps_order

    def difference(self, engine: Engine, arithmetic: Arithmetic) -> Difference:
        """Compare on sample texts; once for each model, processor and release of OpenVINO."""
        if known := self._known(arithmetic):
            return known
        found = Difference(spearman=-1.0, largest=math.inf)
        outputs = self._on_samples(engine)
        if np.isfinite(outputs).all():
            exact, faster = self._in_float32, self._task.ranked_by(outputs)
            found = Difference(spearman(exact, faster), float(np.abs(exact - faster).max()))
        remember("differences", self._difference_key(arithmetic), dataclasses.asdict(found))
        return found

    @cached_property
    def _in_float32(self) -> NDArray[np.float32]:
        return self._task.ranked_by(_finite(self._model, self._on_samples(self._exact)))

    def _on_samples(self, engine: Engine) -> NDArray[np.float32]:
        samples = [
            (query, tuple(text[:_CHARACTERS] for text in texts[:_PASSAGES]))
            for query, texts in sample_candidates()[:_QUESTIONS]
        ]
        return engine.run(self._task.inputs(self._tokenizer, samples))

    def _known(self, arithmetic: Arithmetic) -> Difference | None:
        known = remembered("differences", self._difference_key(arithmetic))
        fits = isinstance(known, dict) and known.keys() == {"spearman", "largest"}
        return Difference(**known) if fits else None

    @property
    def _stored_probe(self) -> Any:
        return self._model.json("crossrank.json").get("probe")

    def _broken_key(self, arithmetic: Arithmetic) -> str:
        # The stored probe tells models apart, too, and need not be computed at every load.
        return self._key(arithmetic, self._stored_probe or self._weights)

    def _difference_key(self, arithmetic: Arithmetic) -> str:
        return self._key(arithmetic, self._weights)

    def _key(self, arithmetic: Arithmetic, model: object) -> str:
        return f"{machine_key()}, {model}, {type(self._task).__name__}, {arithmetic}"

    @cached_property
    def _weights(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        add_weights(digest, self._model, *self._task.chain.weights(self._model).values())
        return digest.hexdigest()


def probe(model: Model, engine: Engine, inputs: Sequence[Tokens]) -> NDArray[np.float32]:
    """Run inputs of ordinary text.

    Raises:
        ModelError: An output is not a finite number.
    """
    return _finite(model, engine.run(inputs))


def _finite(model: Model, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(outputs).all():
        raise ModelError(
            f"{model.name} gives values that are not numbers on an ordinary text; its weights are damaged"
        )
    return outputs
