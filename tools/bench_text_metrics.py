#!/usr/bin/env python3
"""BLEU, ROUGE and chrF of pairs with sacreBLEU and rouge_score: the work of the example `metric_speed` of eval.

    bench_text_metrics.py bleu_rouge_vectors.json pairs.jsonl 10000

The first file has `rows` with a `reference` and a `hypothesis`; so many pairs of them, no two alike, are written to the
second for the example. Needs sacrebleu 2.6.0 and rouge_score 0.1.2.
"""

import json
import logging
import sys
import time

from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF


def timed(what, work):
    """Prints wall clock and processor time; the second does not count what neighbours took of the processor."""
    start, used = time.perf_counter(), time.process_time()
    result = work()
    seconds, used = time.perf_counter() - start, time.process_time() - used
    print(f"{what:<34} {seconds:8.3f} s ({used:.3f} s of the processor)   result {result:.6f}", flush=True)


def main():
    logging.getLogger("sacrebleu").setLevel(logging.ERROR)
    count = int(sys.argv[3])
    with open(sys.argv[1]) as file:
        rows = json.load(file)["rows"]
    # The number in front keeps the tokenizers' caches from answering.
    pairs = [
        (f"{i} " + rows[i % len(rows)]["hypothesis"], f"{i} " + rows[(i + i // len(rows)) % len(rows)]["reference"])
        for i in range(count)
    ]
    with open(sys.argv[2], "w") as file:
        for hypothesis, reference in pairs:
            file.write(json.dumps({"hypothesis": hypothesis, "reference": reference}) + "\n")
    hypotheses, references = [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    def bleu():
        sentence = BLEU(effective_order=True)
        sentences = [sentence.sentence_score(hypothesis, [reference]).score for hypothesis, reference in pairs]
        return BLEU().corpus_score(hypotheses, [references]).score + sum(sentences) / count

    def rouge():
        scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)
        return sum(scorer.score(reference, hypothesis)["rougeL"].fmeasure for hypothesis, reference in pairs) / count

    print(f"{count} pairs")
    timed("BLEU, corpus and each sentence", bleu)
    timed("ROUGE-1, -2, -L, -Lsum, stemmed", rouge)
    timed("chrF", lambda: CHRF().corpus_score(hypotheses, [references]).score)


main()
