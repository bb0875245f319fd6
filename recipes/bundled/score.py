"""Let a cross-encoder say what it thinks of every list: the teacher of the next one.

    python recipes/bundled/score.py LISTS MODEL OUTPUT [--tokens 256]

Writes OUTPUT/NAME.json.gz, the lists with ``teacher``, a logit for each candidate; goes on where it was
stopped.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import torch
from network import Network

AT_ONCE = 256


def main() -> None:
    """Score all lists."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lists", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--tokens", type=int, default=256)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    network = Network(arguments.model)
    network.model.eval()
    for file in sorted(arguments.lists.glob("*.json.gz")):
        target = arguments.output / file.name
        if target.is_file():
            continue
        content = json.loads(gzip.decompress(file.read_bytes()))
        passages = network.ids(content["passages"])
        for start in range(0, len(content["lists"]), AT_ONCE):
            part = content["lists"][start : start + AT_ONCE]
            asked = network.ids([item["query"] for item in part])
            pairs = [
                (query, passages[place])
                for query, item in zip(asked, part, strict=True)
                for place in item["candidates"]
            ]
            with torch.no_grad():
                logits = iter(network.logits(pairs, arguments.tokens).tolist())
            for item in part:
                item["teacher"] = [round(next(logits), 3) for _ in item["candidates"]]
        partial = target.with_suffix(".partial")
        partial.write_bytes(gzip.compress(json.dumps(content).encode(), compresslevel=3))
        partial.replace(target)
        print(f"{file.name}: {len(content['lists'])} lists", flush=True)


if __name__ == "__main__":
    main()
