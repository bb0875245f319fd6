"""Train the bundled cross-encoder on lists; goes on from its last checkpoint where it was stopped.

    python recipes/bundled/student.py LISTS OUTPUT [--base FOLDER] [--pairs N] [--rate R] ...

The learning rate rises, stays, and falls over the second half of the pairs (``--pairs`` may be changed until
the fall begins). OUTPUT/log.jsonl holds the loss, OUTPUT/checkpoint.pt what is needed to go on, OUTPUT/model
the weights at the end.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fields import KEPT_OUT
from network import Network

from crossrank.training import memory

WARM_UP, FALL = 0.02, 0.5
CHECKPOINT_SECONDS = 300
# How the two first stages stand to each other to begin with; the training moves both.
EVIDENCE = (10.0, 3.0)
# What first stages say is made this much sharper, to teach by it.
TEACHER_SHARPNESS = 2.0
SUSPICIOUS = 1.5
# In this share of the lists each passage has some of another one's tokens before or after it, as chunks of
# documents do: an answer counts wherever it stands.
SURROUNDED, SURROUNDINGS = 0.2, (20, 120)
# Lists of this many steps are sorted by length, so that little is padded and the order stays random.
SORTED_TOGETHER = LOGGED = 25


@dataclass(frozen=True, slots=True)
class Sample:
    """A question, passages, and what is known of them."""

    query: list[int]
    passages: list[list[int]]
    evidence: list[tuple[float, float]]
    relevant: int
    judged: bool
    teacher: list[float] | None


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lists", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=1e-4, help="learning rate of the encoder")
    parser.add_argument("--head-rate", type=float, default=3e-4)
    parser.add_argument("--width", type=int, default=8, help="passages of a list")
    parser.add_argument("--lists-per-step", type=int, default=16)
    parser.add_argument(
        "--tokens", type=int, default=256, help="of a pair, but for a tenth of the steps: 512"
    )
    parser.add_argument(
        "--joint", type=float, default=0.5, help="share of the loss that is of logit and evidence"
    )
    parser.add_argument(
        "--label",
        type=float,
        nargs=2,
        default=(0.8, 0.5),
        help="share of the label in the target: judged, heading",
    )
    parser.add_argument(
        "--unjudged", type=float, default=0.5, help="share of the lists whose question is a heading"
    )
    parser.add_argument(
        "--frozen", type=int, default=0, help="lowest layers that stay; the word embeddings always do"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=7,
        help="which lists, in which order: another one for a training that goes on",
    )
    parser.add_argument("--stop-at", type=int, help="stop after this many pairs, as if killed")
    Training(parser.parse_args()).run()


class Corpus:
    """All lists, tokenised once."""

    def __init__(self, folder: Path, network: Network) -> None:
        self.judged: list[dict[str, Any]] = []
        self.headings: list[dict[str, Any]] = []
        for file in sorted(folder.glob("*.json.gz")):
            if file.name.removesuffix(".json.gz") in KEPT_OUT:
                continue
            content = json.loads(gzip.decompress(file.read_bytes()))
            passages = network.ids(content["passages"])
            lists = [item for item in content["lists"] if item["relevant"] and len(item["candidates"]) > 4]
            for item, ids in zip(lists, network.ids([item["query"] for item in lists]), strict=True):
                (self.judged if item["judged"] else self.headings).append(
                    {**item, "ids": ids, "passages": passages}
                )

    def sample(self, item: dict[str, Any], width: int, chance: random.Random) -> Sample:
        """A question with one or two right passages and others."""
        relevant = set(item["relevant"])
        right = [place for place, passage in enumerate(item["candidates"]) if passage in relevant]
        wrong = [place for place, passage in enumerate(item["candidates"]) if passage not in relevant]
        right = chance.sample(right, 2 if len(right) > 1 and chance.random() < 0.3 else 1)
        known = list(zip(item["similarity"], item["word_match"], strict=True))
        strength = [EVIDENCE[0] * similarity + EVIDENCE[1] * match for similarity, match in known]
        # A passage that the first stages put far above the right one may well be right, too.
        limit = max(strength[place] for place in right) + SUSPICIOUS
        wrong = [place for place in wrong if strength[place] < limit] or wrong
        chosen = [*right, *chance.sample(wrong, min(len(wrong), width - len(right)))]
        passages = [item["passages"][item["candidates"][place]] for place in chosen]
        if chance.random() < SURROUNDED:
            passages = [surrounded(ids, chance.choice(item["passages"]), chance) for ids in passages]
        return Sample(
            item["ids"],
            passages,
            [known[place] for place in chosen],
            len(right),
            item["judged"],
            [item["teacher"][place] for place in chosen] if "teacher" in item else None,
        )


def surrounded(ids: list[int], other: list[int], chance: random.Random) -> list[int]:
    """A passage's tokens with the first or last ones of another passage."""
    count = chance.randint(*SURROUNDINGS)
    return other[-count:] + ids if chance.random() < 0.5 else ids + other[:count]


class Training:
    """One training: its network, its optimiser, and where it is."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        memory.keep_freed_memory()
        self.network = Network(options.base)
        self.network.model.train()
        self.corpus = Corpus(options.lists, self.network)
        self.evidence = torch.nn.Parameter(torch.tensor(EVIDENCE, device=self.network.device))
        body, head = self.network.body_and_head(options.frozen)
        self.optimiser = torch.optim.AdamW(
            [
                {"params": [p for p in body if p.ndim > 1], "lr": options.rate, "weight_decay": 0.01},
                {"params": [p for p in body if p.ndim == 1], "lr": options.rate, "weight_decay": 0.0},
                {"params": head, "lr": options.head_rate, "weight_decay": 0.01},
                {"params": [self.evidence], "lr": 1e-2, "weight_decay": 0.0},
            ],
            betas=(0.9, 0.98),
        )
        self.rates = [group["lr"] for group in self.optimiser.param_groups]
        self.step = self.pairs = 0
        self.stopped = False
        self.file = options.output / "checkpoint.pt"
        options.output.mkdir(parents=True, exist_ok=True)
        if self.file.is_file():
            state = torch.load(self.file, weights_only=True)
            self.network.model.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.evidence.data.copy_(state["evidence"])
            self.step, self.pairs = state["step"], state["pairs"]
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopped", True))

    def run(self) -> None:
        """Train until all pairs are seen, or a SIGTERM; either way it can be gone on with."""
        saved = logged = time.monotonic()
        losses: list[tuple[float, float]] = []
        counted = self.pairs
        for samples in self.steps():
            losses.append(self.learn(samples))
            self.step += 1
            self.pairs += sum(len(sample.passages) for sample in samples)
            now = time.monotonic()
            if self.step % LOGGED == 0:
                self.log(losses, (self.pairs - counted) / (now - logged))
                losses, counted, logged = [], self.pairs, now
                memory.trim()
            done = self.pairs >= min(self.options.pairs, self.options.stop_at or self.options.pairs)
            if now - saved > CHECKPOINT_SECONDS or self.stopped or done:
                self.save()
                saved = time.monotonic()
            if self.stopped or done:
                break
        if self.pairs >= self.options.pairs:
            self.network.save(self.options.output / "model")

    def steps(self) -> Iterator[list[Sample]]:
        """Lists in steps, the same after a kill as without one; those of a step are about equally long."""
        options = self.options
        for first in itertools.count(0, SORTED_TOGETHER):
            if first + SORTED_TOGETHER <= self.step:
                continue
            chance = random.Random(f"{options.seed} {first}")
            places = []
            for _ in range(SORTED_TOGETHER * options.lists_per_step):
                source = self.corpus.headings if chance.random() < options.unjudged else self.corpus.judged
                places.append(source[chance.randrange(len(source))])
            lists = [self.corpus.sample(place, options.width, chance) for place in places]
            lists.sort(key=lambda sample: sum(min(len(p), options.tokens) for p in sample.passages))
            starts = list(range(0, len(lists), options.lists_per_step))
            chance.shuffle(starts)
            for step, start in enumerate(starts, start=first):
                if step >= self.step:
                    yield lists[start : start + options.lists_per_step]

    def learn(self, samples: list[Sample]) -> tuple[float, float]:
        """One step; the losses of the logit alone and of logit and evidence."""
        tokens = 512 if self.step % 10 == 9 else self.options.tokens
        logits = self.network.logits([(s.query, p) for s in samples for p in s.passages], tokens)
        losses = [
            self.losses(sample, own)
            for sample, own in zip(samples, logits.split([len(s.passages) for s in samples]), strict=True)
        ]
        alone, joint = (torch.stack(column).mean() for column in zip(*losses, strict=True))
        ((1 - self.options.joint) * alone + self.options.joint * joint).backward()
        torch.nn.utils.clip_grad_norm_(self.network.model.parameters(), 1.0)
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * self.scale()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return alone.item(), joint.item()

    def losses(self, sample: Sample, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross-entropy against the label, and what the first stages say where the label may not be all."""
        known = torch.tensor(sample.evidence, device=logits.device) @ self.evidence
        if sample.teacher is None:
            taught = TEACHER_SHARPNESS * known.detach()
        else:
            taught = torch.tensor(sample.teacher, device=logits.device)
        label = torch.zeros_like(logits)
        label[: sample.relevant] = 1 / sample.relevant
        share = self.options.label[0 if sample.judged else 1]
        target = share * label + (1 - share) * taught.softmax(0)
        return -(target * logits.log_softmax(0)).sum(), -(target * (logits + known).log_softmax(0)).sum()

    def scale(self) -> float:
        """What the learning rates are multiplied by: rises, stays at 1, falls."""
        part = self.pairs / self.options.pairs
        return min(1.0, (part + 1e-4) / WARM_UP, max(0.0, 1 - part) / FALL)

    def log(self, losses: list[tuple[float, float]], speed: float) -> None:
        """Add a line to OUTPUT/log.jsonl."""
        alone, joint = (sum(column) / len(losses) for column in zip(*losses, strict=True))
        line = {
            "step": self.step, "pairs": self.pairs, "alone": round(alone, 4), "joint": round(joint, 4),
            "evidence": [round(value, 2) for value in self.evidence.tolist()],
            "pairs_per_second": round(speed, 1),
        }  # fmt: skip
        with (self.options.output / "log.jsonl").open("a") as stream:
            stream.write(json.dumps(line) + "\n")

    def save(self) -> None:
        """Write what is needed to go on."""
        state = {
            "network": self.network.model.state_dict(), "optimiser": self.optimiser.state_dict(),
            "evidence": self.evidence.data, "step": self.step, "pairs": self.pairs,
        }  # fmt: skip
        partial = self.file.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.file)


if __name__ == "__main__":
    main()
