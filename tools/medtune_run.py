#!/usr/bin/env python3
"""Figures of a `medtune train` run folder in the words of bench_trl.py.

`metrics.jsonl` counts all tokens of a step (`tokens`), not those that are learned; the run's number of examples is in
`stats.json`. So the learned tokens are: tokens of the run - its examples * mean tokens of a prompt, with the mean
taken over the run's own data/train.jsonl by the base's tokenizer and template. Prompts vary little in length, which
makes this closer than a share of all tokens would be.
"""

import argparse
import json
import pathlib

import common


def encoded(base, conversations, max_length):
    """(tokens, learned tokens) of each conversation that fits."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    counts = []
    for messages in conversations:
        out = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
        if len(out["input_ids"]) <= max_length:
            counts.append((len(out["input_ids"]), sum(out["assistant_masks"])))
    return counts


def figures(run, base, warmup, max_length=1024):
    stats = json.loads((run / "stats.json").read_text())
    lines = (run / "metrics.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if "loss" in row]
    counts = encoded(base, common.read_rows(run / "data" / "train.jsonl"), max_length)
    prompt = sum(tokens - learned for tokens, learned in counts) / len(counts)
    examples = stats["train_samples_per_second"] * stats["train_runtime"]
    share = 1 - examples * prompt / rows[-1]["tokens"]
    before = rows[warmup - 1] if warmup else {"tokens": 0, "elapsed_s": 0.0}
    real = rows[-1]["tokens"] - before["tokens"]
    seconds = rows[-1]["elapsed_s"] - before["elapsed_s"]
    return {
        "program": "medtune",
        "rows": len(counts),
        "loss_step0": rows[0]["loss"],
        "steps": len(rows) - warmup,
        "seconds": seconds,
        "useful_tokens": share * real,
        "useful_share": share,
        "useful_share_of_data": sum(c[1] for c in counts) / sum(c[0] for c in counts),
        "real_tokens": real,
        "padded_tokens": real,
        "useful_tokens_per_second": share * real / seconds,
        "real_tokens_per_second": real / seconds,
        "padded_tokens_per_second": real / seconds,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--base", required=True)
    parser.add_argument("--warmup", type=int, default=1)
    args = parser.parse_args()
    print(json.dumps(figures(args.run, args.base, args.warmup)))


if __name__ == "__main__":
    main()
