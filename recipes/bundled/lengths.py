"""How the questions of the fields that are kept out are ranked when pairs are read to this or that length.

    python recipes/bundled/lengths.py LISTS MODEL [TOKENS ...]

LISTS are the lists of candidates.py. What a model gains from a passage's later part, or loses because it
learnt from short ones, shows where passages are long. Prints JSON: ranking to nDCG@10, overall and by
collection; "and evidence" is the logit with similarity and words, as the model's crossrank.json weighs them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from evidence import kept_out

from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.training.calibration import combined
from crossrank.training.figures import Figures, logits


def main() -> None:
    """Rank at each length, and print."""
    folder, model, *lengths = sys.argv[1:]
    lists = kept_out(Path(folder))
    figures = Figures(lists)
    for tokens in lengths or ("128", "256", "512"):
        encoder = CrossEncoder(model, max_length=int(tokens))
        own = logits(encoder, lists, lambda *_: None)
        figures.add(tokens, own)
        if encoder.interpolation is not None:
            weights = encoder.interpolation.weights[-1]
            figures.add(f"{tokens} and evidence", combined(weights, lists, own))
        print(f"{tokens} tokens: done", file=sys.stderr)
    found = figures.as_dict()
    print(json.dumps({"mean": found["mean"], "nDCG@10": found["by_collection"]["nDCG@10"]}, indent=1))


if __name__ == "__main__":
    main()
