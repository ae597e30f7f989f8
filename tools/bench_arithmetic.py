#!/usr/bin/env python3
"""One multiple-choice task in f32, bf16 and 8-bit integers: seconds, items with another answer, and how far
log-likelihoods move.

    bench_arithmetic.py target/release/medtune models/base --data MIRAGE_MEDQA --rounds 3

Runs `medtune eval` in each arithmetic in turn, round after round, so that a slow hour is slow for all. Seconds are those
of the whole process, alone on the machine. A processor without bf16 products leaves `--bf16` out. Needs nothing but
Python.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ARITHMETICS = {"f32": [], "bf16": ["--bf16"], "8-bit integers": ["--fast"]}


def evaluate(args, flags, out):
    """Seconds of one run, and its items by id; None where the processor has no such products."""
    command = [args.medtune, "eval", "--model", args.model, "--tasks", args.tasks, "--limit", args.limit, "--out", out]
    command += ["--data", args.data] if args.data else []
    start = time.perf_counter()
    done = subprocess.run([str(part) for part in command + flags], capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        if "no products of bf16" in done.stderr:
            return None
        sys.exit(done.stderr)
    items = map(json.loads, (out / "items.jsonl").read_text().splitlines())
    return seconds, {item["id"]: item["choice"] for item in items}


def difference(exact, other):
    """Items whose answer is another one, and the largest difference of a log-likelihood."""
    assert exact.keys() == other.keys(), "the same items are asked in every arithmetic"
    changed, largest = [], 0.0
    for name, choice in exact.items():
        pairs = zip(choice["rated"], other[name]["rated"], strict=True)
        largest = max([largest] + [abs(a["log_likelihood"] - b["log_likelihood"]) for a, b in pairs])
        if choice["picked"] != other[name]["picked"]:
            changed.append(name)
    return changed, largest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("medtune")
    parser.add_argument("model")
    parser.add_argument("--tasks", default="medqa_4options")
    parser.add_argument("--data", type=pathlib.Path, help="the folder with the files of the tasks")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    seconds, items = {}, {}
    with tempfile.TemporaryDirectory() as work:
        for number in range(args.rounds):
            for name, flags in ARITHMETICS.items():
                run = evaluate(args, flags, pathlib.Path(work) / name)
                if run is None:
                    continue
                seconds.setdefault(name, []).append(run[0])
                assert items.setdefault(name, run[1]) == run[1], f"{name}: round {number} gives other bits"
    exact = items["f32"]
    right = sum(choice["picked"] == choice["gold"] for choice in exact.values())
    print(f"{args.tasks}: {len(exact)} items, {right} right in f32; {args.rounds} alternating rounds")
    for name, times in seconds.items():
        changed, largest = difference(exact, items[name])
        print(
            f"{name:<15} {min(times):6.1f} s at best, {statistics.median(times):6.1f} s in the median; "
            f"{len(changed)} with another answer {changed[:5] or ''}; log-likelihoods within {largest:.2g}"
        )


if __name__ == "__main__":
    main()
