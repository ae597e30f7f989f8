#!/usr/bin/env python3
"""Vectors of passages by `medtune index --encoder` and by sentence-transformers, in alternating rounds.

    bench_encoder.py MEDTUNE TOKENIZER_FOLDER TEXTS.jsonl [--shape minilm|base] [--rounds 2]

TEXTS holds a `text` a line; both make vectors of the passages that medtune cuts them into, with random weights of the shape
of MiniLM-L6 or of BERT-base and a vocabulary of 30,522 tokens from TOKENIZER_FOLDER (`tokenizer.json`,
`tokenizer_config.json`). medtune's time is that of the whole command, cutting and start included; the other's that of
`encode` alone, after a first call. Two threads. Exit status 1 where a value differs by more than 1e-5.
"""

import argparse
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

SHAPES = {"minilm": dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536), "base": {}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("medtune")
    parser.add_argument("tokenizer", type=pathlib.Path)
    parser.add_argument("texts")
    parser.add_argument("--shape", choices=SHAPES, default="minilm")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    import numpy
    import torch
    from sentence_transformers import SentenceTransformer, models
    from transformers import BertConfig, BertModel

    torch.set_num_threads(2)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        encoder, index = pathlib.Path(scratch) / "encoder", pathlib.Path(scratch) / "index"
        BertModel(BertConfig(**SHAPES[arguments.shape])).save_pretrained(encoder)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(arguments.tokenizer / name, encoder)
        transformer = models.Transformer(str(encoder), max_seq_length=512)
        width = transformer.get_word_embedding_dimension()
        model = SentenceTransformer(modules=[transformer, models.Pooling(width)], device="cpu")
        model.encode(["a first call"])
        for round in range(arguments.rounds):
            index.unlink(missing_ok=True)
            begun = time.perf_counter()
            command = [arguments.medtune, "index", arguments.texts, "--out", index, "--encoder", encoder]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            ours = time.perf_counter() - begun
            query = "SELECT title, text, vector FROM passages JOIN vectors ON passage = id ORDER BY id"
            rows = sqlite3.connect(index).execute(query).fetchall()
            texts = [f"{title}\n{text}" if title else text for title, text, _ in rows]
            begun = time.perf_counter()
            vectors = model.encode(texts, batch_size=32, normalize_embeddings=True)
            theirs = time.perf_counter() - begun
            difference = abs(numpy.array([numpy.frombuffer(blob, "<f4") for *_, blob in rows]) - vectors).max()
            print(f"round {round + 1}: {len(texts)} passages, medtune {ours:.1f} s, sentence-transformers {theirs:.1f} s, "
                  f"{theirs / ours:.2f}x; largest difference {difference:.1e}", flush=True)
            if difference > 1e-5:
                sys.exit(1)


if __name__ == "__main__":
    main()
