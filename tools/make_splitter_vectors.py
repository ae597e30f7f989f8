"""Chunks as LangChain's RecursiveCharacterTextSplitter cuts them, for crates/corpus/tests/recursive.rs.

    pip install langchain-text-splitters
    python tools/make_splitter_vectors.py > crates/corpus/tests/recursive.json
"""

import json
import random
import sys

from langchain_text_splitters import RecursiveCharacterTextSplitter

WORDS = ["heart", "über", "a", "electrocardiogram", "of", "–", "5 mg", "naïve", "the", "ST-elevation", "𝛼-blocker", "x" * 40]


def text(seed: int, length: int) -> str:
    chance = random.Random(seed)
    parts = []
    while sum(map(len, parts)) < length:
        parts.append(chance.choice(WORDS))
        parts.append(chance.choices([" ", "\n", "\n\n", "  ", "\n\n\n", "\t", ". ", "\x1f", "\u00a0"], [60, 10, 6, 3, 2, 1, 15, 1, 1])[0])
    return "".join(parts)


def main() -> None:
    texts = ["", " \n ", "short", "x" * 250, "one two  three\n\n four", text(1, 400), text(2, 900), text(3, 1500)]
    settings = [(1024, 100), (100, 0), (100, 20), (40, 39), (10, 0), (7, 3)]
    cases = []
    for size, overlap in settings:
        for separators in (None, [". ", " ", ""], ["\n\n", "\n"]):
            splitter = RecursiveCharacterTextSplitter(
                chunk_size=size, chunk_overlap=overlap, **({"separators": separators} if separators else {})
            )
            for index, content in enumerate(texts):
                chunks = splitter.split_text(content)
                cases.append({"size": size, "overlap": overlap, "separators": separators, "text": index, "chunks": chunks})
    # Chunks are told by a checksum of their lengths and characters where they are many.
    for case in cases:
        if len(case["chunks"]) > 6:
            chunks = case.pop("chunks")
            case["lengths"] = [len(chunk) for chunk in chunks]
            case["sum"] = sum((i + 1) * ord(c) for i, c in enumerate("\u241e".join(chunks))) % (1 << 32)
    json.dump({"texts": texts, "cases": cases}, sys.stdout, ensure_ascii=False, separators=(",", ":"))
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
