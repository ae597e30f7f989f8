#!/usr/bin/env python3
"""What serving adds to a token: greedy texts over HTTP, streamed and whole, beside the engine on its own.

    bench_http.py MEDTUNE MODEL [--tiny] [--tokens 900] [--rounds 9] [--clients 1,8] [--fast]

Every round measures `medtune bench generate` with so many texts at once, as many streams and as many whole answers. A
server's time runs from the sending of the requests, on open connections and with prompts that it has read before, to the
last byte; the overhead is that time for a token less the engine's in the same round. The processor time of a token is what
all threads compute for it, on all cores: of the server's threads for HTTP, and of the whole server less the program with the
engine alone. Medians of all rounds, and the lowest and highest overhead. The client is one thread for all sockets, and looks
at nothing before the end.

`--tiny` makes a model of 0.6 M random weights with MODEL's vocabulary: its tokens take so little time that the server's part
does not drown in theirs. Needs Linux and nothing but Python. One JSON document.
"""

import argparse
import json
import pathlib
import re
import resource
import selectors
import socket
import statistics
import subprocess
import tempfile
import time

import tiny_model
from streaming import Server

PROMPT = 32
# `bench generate` writes this often, once to warm up.
WRITINGS = 4


def engine(arguments, clients):
    """Microseconds for a token, and what the processors compute for it."""
    def bench(tokens):
        command = [arguments.medtune, "bench", "generate", "--model", arguments.model, "--json"]
        command += ["--prompt", str(PROMPT), "--tokens", str(tokens), "--batch", str(clients)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        out = subprocess.run(command + arguments.fast, check=True, capture_output=True, text=True).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return json.loads(out), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    measured, processor = bench(arguments.tokens)
    _, without = bench(2)
    tokens = WRITINGS * clients * (arguments.tokens - 2)
    return 1e6 / measured["decode_tokens_per_second"]["median"], 1e6 * (processor - without) / tokens


def threads(server):
    """Nanoseconds that each thread has computed, with its name."""
    tasks = {}
    for task in pathlib.Path(f"/proc/{server.process.pid}/task").iterdir():
        tasks[task.name] = (task / "comm").read_text().strip(), int((task / "schedstat").read_text().split()[0])
    return tasks


def computed(before, after, name=""):
    since = (time - before.get(task, ("", 0))[1] for task, (comm, time) in after.items() if name in comm)
    return sum(since) / 1e3


def ask(server, bodies):
    """Microseconds from the first request to the last byte, and the answers."""
    selector = selectors.DefaultSelector()
    connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in bodies]
    requests = [server.request("/v1/completions", body) for body in bodies]
    answers = [[] for _ in bodies]
    for number, connection in enumerate(connections):
        selector.register(connection, selectors.EVENT_READ, number)
    begun = time.perf_counter()
    for connection, request in zip(connections, requests):
        connection.sendall(request)
    left = len(connections)
    while left:
        for key, _ in selector.select():
            data = key.fileobj.recv(1 << 18)
            answers[key.data].append(data)
            if not data:
                selector.unregister(key.fileobj)
                left -= 1
    took = time.perf_counter() - begun
    for connection in connections:
        connection.close()
    answers = [b"".join(answer) for answer in answers]
    for answer in answers:
        if not answer.startswith(b"HTTP/1.1 200") or b'"error"' in answer:
            raise SystemExit(answer[-1000:].decode())
    return 1e6 * took, answers


def body(prompt, tokens, stream=False):
    more = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    return {"prompt": prompt, "max_tokens": tokens, "temperature": 0, **more}


def written(answer):
    return int(re.search(rb'"completion_tokens": ?(\d+)', answer).group(1))


def endless(server, tokens, count):
    """Prompts whose texts do not end before they have so many tokens, so that all are written to the end."""
    found, number = [], 0
    while len(found) < count:
        tried = [[7 + (31 * n + n // 7 * i) % 200 for i in range(PROMPT)] for n in range(number, number + 8)]
        number += len(tried)
        _, answers = ask(server, [body(prompt, tokens) for prompt in tried])
        found += [prompt for prompt, answer in zip(tried, answers) if written(answer) == tokens]
        if number >= 800:
            raise SystemExit(f"{len(found)} of {number} prompts give {tokens} tokens: take fewer, or --tiny")
    return found[:count]


def served(server, prompts, tokens, stream):
    """Microseconds for a token, what HTTP's threads compute for it, and what all do."""
    ask(server, [body(prompt, 1) for prompt in prompts])
    before = threads(server)
    took, answers = ask(server, [body(prompt, tokens, stream) for prompt in prompts])
    after = threads(server)
    all_tokens = sum(map(written, answers))
    return took / all_tokens, computed(before, after, "http") / all_tokens, computed(before, after) / all_tokens


def summary(alone, through):
    overheads = [theirs[0] - ours[0] for ours, theirs in zip(alone, through)]
    figures = {
        "us_per_token": statistics.median(figures[0] for figures in through),
        "overhead_us": statistics.median(overheads),
        "overhead_us_lowest": min(overheads),
        "overhead_us_highest": max(overheads),
        "processor_of_http_us": statistics.median(figures[1] for figures in through),
        "processor_more_than_engine_us": statistics.median(
            theirs[2] - ours[1] for ours, theirs in zip(alone, through)
        ),
    }
    return {name: round(value, 1) for name, value in figures.items()}


def measure(arguments):
    document = {"rounds": arguments.rounds, "tokens": arguments.tokens}
    for clients in map(int, arguments.clients.split(",")):
        alone, streams, whole = [], [], []
        # The engine alone guesses nothing either.
        with Server(arguments.medtune, arguments.model, [*arguments.fast, "--lookup", "0"]) as server:
            prompts = endless(server, arguments.tokens, clients)
            for _ in range(arguments.rounds):
                alone.append(engine(arguments, clients))
                streams.append(served(server, prompts, arguments.tokens, stream=True))
                whole.append(served(server, prompts, arguments.tokens, stream=False))
        document[f"{clients} at once"] = {
            "engine_us_per_token": round(statistics.median(time for time, _ in alone), 1),
            "engine_processor_us": round(statistics.median(processor for _, processor in alone), 1),
            "streamed": summary(alone, streams),
            "whole": summary(alone, whole),
        }
    return document


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("medtune")
    parser.add_argument("model")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--tokens", type=int, default=900)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clients", default="1,8")
    parser.add_argument("--fast", action="store_const", const=["--fast"], default=[])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.tiny:
            tiny_model.write(arguments.model, folder)
            arguments.model = folder
        print(json.dumps(measure(arguments), indent=2))


if __name__ == "__main__":
    main()
