"""The model card: training data, evaluation, and how to reproduce the model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from crossrank import __version__
from crossrank.models.folder import ModelFolder
from crossrank.training.figures import Figures
from crossrank.training.settings import TrainingSettings

_TEMPLATE = """\
---
{base_model}language: en
pipeline_tag: text-ranking
library_name: sentence-transformers
tags:
- cross-encoder
- reranker
---

# {name}

A cross-encoder: it reads a question and a passage together and gives one logit; its sigmoid is the score.
Trained by crossrank {version} from {base}, on {pairs:,} pairs.

```python
from sentence_transformers import CrossEncoder

model = CrossEncoder("{name}")  # this folder
model.predict([("a question", "a passage")])
```

With crossrank, `crossrank search --model {name}/int8 ...` uses the copy with int8 weights.

## Training data

| collection | split | at most | licence |
|---|---|---|---|
{data}

Fill in the licences: a model can be given away only as its texts and judgements allow.

## Figures

Questions that were kept out of the training, {questions} of them, each with up to 30 passages: those judged
relevant, and what the bi-encoder and BM25 find, in turn. How much similarity and words count ("with ...") was
fitted on these same questions. nDCG@10:

| collection | {names} |
|---|{rules}|
{rows}

After against {reference}: {gain}

## Recipe

`crossrank train` with these settings (training.jsonl is the log, training.png the curve):

```toml
{settings}
```

Loss: ListNet over lists of a relevant passage, where one is judged, and {negatives} others. Each target is
{teacher_scale:g} times a passage's similarity by the bi-encoder plus {word_scale:g} times its BM25 as a share
of the question's highest; the relevant one's is at least {lift:g} above the best other's.{joint}

## Limits

Figures on questions like those it learnt from say little about other texts: measure on your own
(`crossrank eval`). Scores are calibrated on the same questions, relevant and not relevant weighing the same.
"""

_JOINT = """
Where a passage is judged, {share:.0%} of the loss is of the logit and these two summed, as in a search."""


def write_card(
    folder: Path, base: ModelFolder, settings: TrainingSettings, figures: Figures, pairs: int
) -> None:
    """Write README.md into a trained model's folder."""
    reference = "before" if "before" in figures.evaluations else "bi-encoder"
    gain = figures.gain(reference, "after")
    low, high = gain.interval
    names = list(figures.evaluations)
    by_source = figures.by_source("nDCG@10")
    by_source["**all questions**"] = {name: e.means["nDCG@10"] for name, e in figures.evaluations.items()}
    on_hub = "/" in base.name and not Path(base.name).exists()
    text = _TEMPLATE.format(
        name=folder.parent.name.removesuffix(".training"),
        version=__version__,
        base=Path(base.name).name,
        base_model=f"base_model: {base.name}\n" if on_hub else "",
        pairs=pairs,
        data="\n".join(
            f"| {data.folder.name} | {data.split} | {data.limit or 'all'} | |" for data in settings.data
        ),
        questions=len(figures.lists),
        names=" | ".join(names),
        rules="---|" * (len(names) - 1) + "---",
        rows="\n".join(
            f"| {source} | " + " | ".join(f"{values[name]:.4f}" for name in names) + " |"
            for source, values in by_source.items()
        ),
        reference=reference,
        gain=f"{gain.difference:+.4f} (95% {low:+.4f} to {high:+.4f}, p = {gain.p_value:.4f}).",
        settings=_toml(settings),
        negatives=settings.negatives,
        teacher_scale=settings.teacher_scale,
        word_scale=settings.word_scale,
        lift=settings.lift,
        joint=_JOINT.format(share=settings.joint) if settings.joint else "",
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _toml(settings: TrainingSettings) -> str:
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    tables = values.pop("data")
    values = {name: value for name, value in values.items() if value is not None}
    lines = [_line(name, value) for name, value in values.items()]
    for data in tables:
        lines += ["", "[[data]]", _line("folder", data.folder.name)]
        lines += [_line(n, v) for n in ("split", "limit", "pool") if (v := getattr(data, n)) is not None]
    return "\n".join(lines)


def _line(name: str, value: object) -> str:
    # A string of JSON is one of TOML, too.
    return f"{name} = {json.dumps(value)}"
