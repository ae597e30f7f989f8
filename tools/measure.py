#!/usr/bin/env python3
"""Runs one program of a benchmark and appends a JSON line about it: wall time, peak memory as the system counts it
for every program alike, and what the program itself printed as JSON."""

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import time


def parse(text):
    """The JSON document on standard output: all of it, or its last line."""
    for candidate in (text, (text.strip().splitlines() or [""])[-1]):
        try:
            return json.loads(candidate)
        except json.JSONDecodeError:
            continue
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the JSON lines to append to")
    parser.add_argument("--label", required=True)
    parser.add_argument("--round", type=int, default=1)
    parser.add_argument("--medtune-run", type=pathlib.Path, help="the run folder that `medtune train` wrote")
    parser.add_argument("--base", help="the base model of that run, to count what was learned")
    parser.add_argument("--warmup", type=int, default=1, help="steps of that run that do not count")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- program arguments…")
    args = parser.parse_args()
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    print(f"round {args.round}: {args.label}", file=sys.stderr, flush=True)
    started = time.perf_counter()
    # Standard error goes to the log beside the records.
    with open(args.out.with_suffix(".log"), "ab") as log:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log)
    wall = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
    result = parse(done.stdout.decode(errors="replace"))
    if done.returncode == 0 and args.medtune_run:
        import medtune_run

        result = medtune_run.figures(args.medtune_run, args.base, args.warmup)
    record = {
        "round": args.round,
        "label": args.label,
        "exit": done.returncode,
        "wall_s": wall,
        "peak_rss_mb": peak,
        "result": result,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with open(args.out, "a", encoding="utf-8") as out:
        out.write(json.dumps(record) + "\n")
    if done.returncode != 0 or result is None:
        print(f"  failed with {done.returncode}; see {args.out.with_suffix('.log')}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
