#!/usr/bin/env python3
"""What guessing from the text itself is worth to a model: questions with their abstracts, answered greedily one after the
other by `medtune serve --lookup 0` and `--lookup 7`, in alternating rounds.

    bench_lookup.py MEDTUNE MODEL PUBMEDQA/ori_pqal.json [--questions 40] [--tokens 96] [--rounds 3] [--fast]

The texts must be the same, or the exit status is 1. Tokens a second are of whole requests, prompts included, which every
server reads once before. Needs nothing but Python. A line for each server.
"""

import argparse
import asyncio
import json
import pathlib
import time

from streaming import Server


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("medtune")
    parser.add_argument("model")
    parser.add_argument("questions_file", type=pathlib.Path)
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fast", action="store_true")
    arguments = parser.parse_args()
    rows = list(json.loads(arguments.questions_file.read_text()).values())[: arguments.questions]
    prompts = ["\n".join(row["CONTEXTS"]) + "\n\n" + row["QUESTION"] + "\n" for row in rows]
    bodies = [{"model": "m", "prompt": prompt, "max_tokens": arguments.tokens, "temperature": 0} for prompt in prompts]
    options = ["--name", "m", *(["--fast"] if arguments.fast else [])]
    first = None
    for round in range(arguments.rounds):
        for lookup in (0, 7):
            with Server(arguments.medtune, arguments.model, [*options, "--lookup", str(lookup)]) as server:
                ask = lambda body: json.loads(asyncio.run(server.post("/v1/completions", body))[2])
                for body in bodies:
                    ask({**body, "max_tokens": 1})
                begun = time.perf_counter()
                answers = [ask(body) for body in bodies]
                seconds = time.perf_counter() - begun
                tokens = sum(answer["usage"]["completion_tokens"] for answer in answers)
                guessed = server.metrics("guessed_tokens_total", "guessed_right_total")
            texts = [answer["choices"][0]["text"] for answer in answers]
            first = first or texts
            counts = "{guessed_tokens_total:.0f} guesses, {guessed_right_total:.0f} right".format(**guessed)
            print(f"round {round + 1}, --lookup {lookup}: {tokens} tokens, {tokens / seconds:.1f} tokens/s; {counts}", flush=True)
            if texts != first:
                raise SystemExit("the texts differ")


if __name__ == "__main__":
    main()
