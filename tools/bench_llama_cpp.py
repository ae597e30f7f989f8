#!/usr/bin/env python3
"""Reading a prompt and writing tokens with llama.cpp: the work of `medtune bench generate --model FILE.gguf`.

    bench_llama_cpp.py FILE.gguf --prompt 512 --tokens 64 --threads 2 --rounds 3

Random ids are read in one batch, then tokens are written one by one, greedily. The first round does not count.
Needs llama-cpp-python 0.3.36 built from source.
"""

import argparse
import json
import random
import resource
import statistics
import time

import llama_cpp
import numpy as np


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    clock = time.perf_counter()
    model = llama_cpp.Llama(
        model_path=arguments.file,
        n_ctx=arguments.prompt + arguments.tokens,
        n_batch=arguments.prompt,
        n_ubatch=arguments.prompt,
        n_threads=arguments.threads,
        n_threads_batch=arguments.threads,
        verbose=False,
    )
    load = time.perf_counter() - clock
    reading, writing = [], []
    for round in range(arguments.rounds + 1):
        ids = random.Random(round).choices(range(model.n_vocab()), k=arguments.prompt)
        model.reset()
        clock = time.perf_counter()
        model.eval(ids)
        token = int(np.argmax(last_logits(model)))
        read = time.perf_counter()
        for _ in range(arguments.tokens - 1):
            model.eval([token])
            token = int(np.argmax(last_logits(model)))
        done = time.perf_counter()
        if round > 0:
            reading.append(read - clock)
            writing.append(done - read)
    rates = lambda count, seconds: {"median": count / statistics.median(seconds), "best": count / min(seconds)}
    print(json.dumps({
        "program": "llama.cpp",
        "version": llama_cpp.__version__,
        "load_seconds": load,
        "prefill_tokens_per_second": rates(arguments.prompt, reading),
        "decode_tokens_per_second": rates(arguments.tokens - 1, writing),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }))


def last_logits(model):
    pointer = llama_cpp.llama_get_logits_ith(model.ctx, -1)
    return np.ctypeslib.as_array(pointer, shape=(model.n_vocab(),))


if __name__ == "__main__":
    main()
