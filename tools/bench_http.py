#!/usr/bin/env python3
"""What serving adds to a token: streaming over HTTP beside the engine on its own, in alternating rounds.

    bench_http.py MEDTUNE MODEL [--tokens 400] [--rounds 5] [--clients 1,8] [--fast]

The engine's time is that of `medtune bench generate` with so many texts at once; the server's is taken between the first
and the last piece of all streams. `processor` is the time that the whole server computes for a token, on all cores. Needs
Linux and nothing but Python. One JSON document.
"""

import argparse
import json
import re
import socket
import statistics
import subprocess
import threading
import time

from streaming import Server


def engine(arguments, clients, fast):
    command = [arguments.medtune, "bench", "generate", "--model", arguments.model, "--prompt", "32", "--json"]
    command += ["--tokens", str(arguments.tokens), "--batch", str(clients), *fast]
    measured = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return 1e6 / measured["decode_tokens_per_second"]["best"]


def stream(server, tokens, number, moments):
    """The moment of the first piece, that of the last, and the number of tokens."""
    body = {"prompt": [7 + (31 * number + i) % 200 for i in range(32)], "stream": True, "max_tokens": tokens,
            "temperature": 1.0, "seed": number, "stream_options": {"include_usage": True}}
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(server.request("/v1/completions", body))
        first, whole = None, []
        while data := connection.recv(1 << 16):
            last = time.perf_counter()
            if first is None and b"data: " in data:
                first = last
            whole.append(data)
    whole = b"".join(whole)
    if not whole.startswith(b"HTTP/1.1 200"):
        raise SystemExit(whole.decode())
    count = re.search(rb'"completion_tokens": ?(\d+)', whole)
    moments.append((first, last, int(count.group(1))))


def served(server, arguments, clients, round):
    moments, before = [], server.processor_seconds()
    numbers = range(round * clients, (round + 1) * clients)
    threads = [threading.Thread(target=stream, args=(server, arguments.tokens, n, moments)) for n in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tokens = sum(count for *_, count in moments) - clients
    seconds = max(last for _, last, _ in moments) - min(first for first, *_ in moments)
    return 1e6 * seconds / tokens, 1e6 * (server.processor_seconds() - before) / tokens, tokens


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("medtune")
    parser.add_argument("model")
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", default="1,8")
    parser.add_argument("--fast", action="store_true")
    arguments = parser.parse_args()
    fast = ["--fast"] * arguments.fast
    document = {}
    for clients in map(int, arguments.clients.split(",")):
        alone, through = [], []
        with Server(arguments.medtune, arguments.model, fast) as server:
            for round in range(arguments.rounds):
                alone.append(engine(arguments, clients, fast))
                through.append(served(server, arguments, clients, round))
        best = min(through)
        document[f"{clients} clients"] = {
            "engine_us_per_token": round_to(min(alone)),
            "server_us_per_token": round_to(best[0]),
            "processor_us_per_token": round_to(best[1]),
            "overhead_us": round_to(best[0] - min(alone)),
            "median_overhead_us": round_to(statistics.median(t[0] for t in through) - statistics.median(alone)),
            "tokens": best[2],
        }
    print(json.dumps(document, indent=2))


def round_to(value):
    return round(value, 1)


if __name__ == "__main__":
    main()
