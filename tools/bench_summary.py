#!/usr/bin/env python3
"""A Markdown table of the records that bench_train.sh or bench_medquad.sh wrote.

Ratios are medians of the ratios within a round, so that a slow hour of the machine does not count. 1.5 = one and a
half times as fast; memory: a share of the other's."""

import argparse
import collections
import json

import common


def speeds(result):
    """(tokens per second, the best of them) of one run."""
    if "useful_tokens_per_second" in result:
        speed = result["useful_tokens_per_second"]
        return speed, speed
    speed = result["tokens_per_second"]
    if isinstance(speed, dict):
        return speed["median"], speed["best"]
    return speed, result["tokens_per_second_best"]


def milliseconds(result):
    """(median, best) of a step."""
    step = result.get("step_ms")
    if isinstance(step, dict):
        return step["median"], step["best"]
    return result.get("median_ms"), result.get("best_ms")


def ratio(runs, a, b, value):
    """Median over the rounds that have both."""
    pairs = [(runs[a][r], runs[b][r]) for r in runs[a] if r in runs.get(b, {})]
    return common.median([value(x) / value(y) for x, y in pairs])


def number(value, form):
    return "-" if value is None else format(value, form)


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def training(runs, peers):
    head = ["program", "rounds", "ms/step", "best", "tokens/s", "best", "peak MB", "loss at 0"]
    head += [f"speed / {peer}" for peer in peers] + [f"memory / {peer}" for peer in peers]
    rows = []
    for name, rounds in runs.items():
        results = [record["result"] for record in rounds.values()]
        ms, speed = [milliseconds(r) for r in results], [speeds(r) for r in results]
        loss = results[0].get("loss_step0", results[0].get("loss"))
        row = [name, str(len(rounds))]
        row += [number(common.median([m for m, _ in ms]), ".0f"), number(min(b for _, b in ms), ".0f")]
        row += [number(common.median([s for s, _ in speed]), ".0f"), number(max(b for _, b in speed), ".0f")]
        row += [number(common.median([r["peak_rss_mb"] for r in rounds.values()]), ".0f"), number(loss, ".3f")]
        row += [number(ratio(runs, name, p, lambda r: speeds(r["result"])[0]), ".2f") for p in peers]
        row += [number(ratio(runs, name, p, lambda r: r["peak_rss_mb"]), ".2f") for p in peers]
        rows.append(row)
    table(head, rows)


def tuning(runs, peers):
    head = ["program", "rounds", "useful tokens/s", "best", "computed tokens/s", "padding", "peak MB"]
    head += [f"speed / {peer}" for peer in peers] + [f"memory / {peer}" for peer in peers]
    rows = []
    for name, rounds in runs.items():
        results = [record["result"] for record in rounds.values()]
        useful = [r["useful_tokens_per_second"] for r in results]
        padding = 1 - sum(r["real_tokens"] for r in results) / sum(r["padded_tokens"] for r in results)
        row = [name, str(len(rounds)), number(common.median(useful), ".0f"), number(max(useful), ".0f")]
        row += [number(common.median([r["padded_tokens_per_second"] for r in results]), ".0f")]
        row += [number(100 * padding, ".0f") + " %"]
        row += [number(common.median([r["peak_rss_mb"] for r in rounds.values()]), ".0f")]
        row += [number(ratio(runs, name, p, lambda r: speeds(r["result"])[0]), ".2f") for p in peers]
        row += [number(ratio(runs, name, p, lambda r: r["peak_rss_mb"]), ".2f") for p in peers]
        rows.append(row)
    table(head, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", help="the JSON lines")
    args = parser.parse_args()
    runs = collections.defaultdict(dict)
    failed = 0
    with open(args.records, encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            if record["exit"] == 0 and record["result"]:
                runs[record["label"]][record["round"]] = record
            else:
                failed += 1
    if not runs:
        raise SystemExit("no run succeeded")
    is_tuning = any("useful_tokens_per_second" in r["result"] for rounds in runs.values() for r in rounds.values())
    others = [name for name in runs if not name.startswith("medtune")]
    speed = lambda name: common.median([speeds(r["result"])[0] for r in runs[name].values()])
    first = [name for name in others if name in ("peft-eager", "trl-default")]
    if is_tuning:
        best = max(others, key=speed, default=None)
        tuning(runs, list(dict.fromkeys(first + ([best] if best else []))))
        print(f"\nFastest of TRL: {best}.")
    else:
        compiled = [name for name in others if "compile" in name]
        training(runs, list(dict.fromkeys(first + (compiled or sorted(others, key=speed)[-1:]))))
    if failed:
        print(f"\n{failed} runs failed.")


if __name__ == "__main__":
    main()
