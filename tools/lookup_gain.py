#!/usr/bin/env python3
"""How many tokens a forward pass would write where a model gave the answers that stand in a file, with the guesses of
`crates/model/src/engine/lookup.rs` (the same rule in Python): what quoting alone is worth, whatever the model.

    lookup_gain.py TOKENIZER.json PUBMEDQA/ori_pqal.json [--most 7]

The prompts are the question with its abstract, as retrieval would put it there, and the question alone; the answers are the
authors' conclusions. Needs `tokenizers`. A line for each.
"""

import argparse
import json
import pathlib

from tokenizers import Tokenizer

SHORTEST, LONGEST, PASS_ROWS = 3, 16, 8


def earlier(ids):
    best, length = None, SHORTEST - 1
    for start in range(len(ids) - SHORTEST - 1, -1, -1):
        place = start + SHORTEST
        if ids[start:place] != ids[-SHORTEST:]:
            continue
        alike = SHORTEST
        while alike < min(LONGEST, place) and ids[place - alike - 1] == ids[-alike - 1]:
            alike += 1
        if alike > length:
            best, length = place, alike
        if length == LONGEST:
            break
    return best


def passes(prompt, answer, most):
    """Forward passes that write the answer, guesses, and right ones."""
    ids, place, reach, count, made, right = list(prompt), 0, 1, 0, 0, 0
    while place < len(answer):
        wanted, at = min(most, reach, len(answer) - place - 1), earlier(ids)
        guesses = []
        if at is not None:
            for n in range(at, at + wanted):
                guesses.append(ids[n] if n < len(ids) else guesses[n - len(ids)])
        good = 0
        while good < len(guesses) and guesses[good] == answer[place + good]:
            good += 1
        if guesses:
            reach = min(PASS_ROWS, 2 * reach if good == len(guesses) else max(1, good))
        ids += answer[place : place + good + 1]
        place, count, made, right = place + good + 1, count + 1, made + len(guesses), right + good
    return count, made, right


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer")
    parser.add_argument("questions", type=pathlib.Path)
    parser.add_argument("--most", type=int, default=7)
    arguments = parser.parse_args()
    tokenizer = Tokenizer.from_file(arguments.tokenizer)
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    rows = json.loads(arguments.questions.read_text()).values()
    for name, prompt in [
        ("with the abstract", lambda row: "\n".join(row["CONTEXTS"]) + "\n\n" + row["QUESTION"] + "\n"),
        ("the question alone", lambda row: row["QUESTION"] + "\n"),
    ]:
        tokens = count = made = right = 0
        for row in rows:
            answer = encode(row["LONG_ANSWER"])
            result = passes(encode(prompt(row)), answer, arguments.most)
            tokens, count = tokens + len(answer), count + result[0]
            made, right = made + result[1], right + result[2]
        print(f"{name}: {tokens} tokens in {count} passes, {tokens / count:.2f} a pass; {made} guesses, {right} right")


if __name__ == "__main__":
    main()
