#!/usr/bin/env python3
"""Many clients that stream from `medtune serve` for a while: nothing but 200, 429 and 503, and memory that stays flat.

    soak.py MEDTUNE MODEL [--clients 200] [--seconds 60] [--tokens 40] [serve's options after --]

Needs Linux and nothing but Python. A JSON verdict, exit 1 on failure.
"""

import argparse
import asyncio
import collections
import json
import pathlib
import random
import sys
import time

from streaming import Server

QUESTIONS = ["What lowers a fever", "Does aspirin thin the blood", "What is sepsis", "How is asthma treated"]


async def client(number, server, end, tokens, counts):
    words = random.Random(number)
    while time.monotonic() < end:
        body = {
            "prompt": f"{words.choice(QUESTIONS)}, {words.randrange(1000)}?",
            "stream": True,
            "max_tokens": tokens,
            "temperature": 1.0,
            "seed": words.randrange(1 << 30),
        }
        try:
            status, headers, answer = await server.post("/v1/completions", body)
        except (OSError, asyncio.IncompleteReadError) as error:
            counts[f"failed: {error!r}"] += 1
            continue
        if status != 200:
            counts[status] += 1
            await asyncio.sleep(min(float(headers.get("retry-after", 0.1)), 1.0))
            continue
        whole = answer.endswith(b"data: [DONE]\n\n") and b'"error"' not in answer
        counts[200 if whole else "not whole"] += 1
        counts["pieces"] += answer.count(b"data: ") - 1


async def watch(server, begun, end, memory):
    while time.monotonic() < end:
        memory.append((round(time.monotonic() - begun, 1), server.resident()))
        await asyncio.sleep(1)


async def soak(server, arguments):
    counts, memory = collections.Counter(), []
    begun = time.monotonic()
    end = begun + arguments.seconds
    clients = [client(n, server, end, arguments.tokens, counts) for n in range(arguments.clients)]
    await asyncio.gather(watch(server, begun, end, memory), *clients)
    return counts, memory, time.monotonic() - begun


def main():
    own, _, options = " ".join(sys.argv[1:]).partition(" -- ")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("medtune")
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--tokens", type=int, default=40)
    arguments = parser.parse_args(own.split())
    with Server(arguments.medtune, arguments.model, options.split()) as server:
        arguments.end = time.monotonic() + arguments.seconds
        counts, memory, seconds = asyncio.run(soak(server, arguments))
        names = ("texts_running", "texts_waiting", "slow_readers_total")
        while (load := server.metrics(*names))["texts_running"] and time.monotonic() < arguments.end + 10:
            time.sleep(0.1)
        graceful = server.stop()
    mebibytes = [value / 2**20 for _, value in memory]
    early, late = mebibytes[len(mebibytes) // 3], max(mebibytes[-len(mebibytes) // 3 :])
    statuses = {str(key): value for key, value in counts.items() if key != "pieces"}
    refused = {"200", "429", "503"}
    verdict = {
        "passed": set(statuses) <= refused and late <= early * 1.05 + 8 and load["texts_running"] == 0 and graceful == 0,
        "statuses": statuses,
        "pieces_per_second": round(counts["pieces"] / seconds),
        "seconds": round(seconds, 1),
        "resident_mib": {"first": round(mebibytes[0], 1), "after a third": round(early, 1), "most in the last third": round(late, 1)},
        "left": load,
        "exit": graceful,
    }
    print(json.dumps(verdict, indent=2))
    sys.exit(not verdict["passed"])


if __name__ == "__main__":
    main()
