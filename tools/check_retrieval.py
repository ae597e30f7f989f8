#!/usr/bin/env python3
"""How well `medtune search` finds, beside rank_bm25 and bm25s, on questions whose answers are known.

    check_retrieval.py MEDTUNE DATA [--out FOLDER] [--encoder DIR] [--reranker DIR]

DATA holds `pubmedqa/ori_pqal.json`, `medquad/medquad.csv.gz` and `LiveQA-MedQuAD/`. Three sets: PubMedQA's 1,000 questions
and their abstracts; 500 questions of MedQuAD among 3,000 answers, cut at 800 characters, without their questions (seed 0);
the consumers' questions of LiveQA 2017 among its 2,479 judged answers (grades 3 and 4 answer, as gains 1 and 2).

The measures of medtune are counted again by trec_eval (pytrec-eval-terrier), and any that is off by more than 1e-9 makes
the exit status 1. Peers read the same words: lower-case letters and digits, Snowball's English stems.
Needs rank_bm25, bm25s, PyStemmer and pytrec-eval-terrier.
"""

import argparse
import csv
import gzip
import json
import pathlib
import random
import re
import subprocess
import tempfile
import time

MEASURES = {"recall@1": "recall_1", "recall@5": "recall_5", "recall@10": "recall_10", "recall@20": "recall_20",
            "nDCG@10": "ndcg_cut_10"}


def sets(data):
    pubmed = json.loads((data / "pubmedqa/ori_pqal.json").read_text())
    yield ("PubMedQA", {pmid: "\n\n".join(item["CONTEXTS"]) for pmid, item in pubmed.items()},
           {pmid: (item["QUESTION"], {pmid: 1}) for pmid, item in pubmed.items()})
    with gzip.open(data / "medquad/medquad.csv.gz", "rt") as file:
        rows = [row for row in csv.DictReader(file) if row["answer"].strip()]
    rows = random.Random(0).sample(rows, 3000)
    yield ("MedQuAD", {str(at): row["answer"][:800] for at, row in enumerate(rows)},
           {str(at): (row["question"], {str(at): 1}) for at, row in enumerate(rows[:500])})
    folder = data / "LiveQA-MedQuAD"
    csv.field_size_limit(1 << 30)
    with open(folder / "All-2479-Answers-retrieved-from-MedQuAD.csv") as file:
        answers = {row["AnswerID"]: row["Answer"] for row in csv.DictReader(file)}
    grades = {}
    for line in open(folder / "All-qrels_LiveQAMed2017-TestQuestions_2479_Judged-Answers.txt"):
        question, grade, answer = line.split()
        if int(grade[0]) >= 3 and answer in answers:
            grades.setdefault(question, {})[answer] = int(grade[0]) - 2
    asked = {}
    for line in open(folder / "liveqa_test_questions.jsonl"):
        item = json.loads(line)
        asked[item["qid"].removeprefix("TQ")] = item["summary"] or item["message"]
    yield ("LiveQA", answers, {qid: (asked[qid], found) for qid, found in grades.items() if qid in asked})


def medtune(arguments, folder, passages, questions):
    rows, index = folder / "passages.jsonl", folder / "index"
    rows.write_text("".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in passages.items()))
    judged = folder / "questions.jsonl"
    judged.write_text("".join(json.dumps({"id": qid, "question": text, "relevant": relevant}) + "\n"
                              for qid, (text, relevant) in questions.items()))
    encoder = ["--encoder", arguments.encoder] if arguments.encoder else []
    reranker = ["--reranker", arguments.reranker] if arguments.reranker else []
    begun = time.perf_counter()
    # A passage is never cut, as the peers do not cut theirs.
    subprocess.run([arguments.medtune, "index", rows, "--out", index, "--passage-tokens", "1000000", *encoder], check=True)
    built = time.perf_counter()
    command = [arguments.medtune, "search", index, "--questions", judged, *reranker, "--json"]
    document = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    searched = time.perf_counter()
    check(document["items"], questions)
    values = {name: result["value"] for name, result in document["results"].items()}
    return values, built - begun, searched - built


def check(items, questions):
    """Counts the measures of every question again."""
    import pytrec_eval

    run = {item["id"]: {name: -float(rank) for rank, name in enumerate(item["found"])} for item in items}
    relevant = {qid: relevant for qid, (_, relevant) in questions.items()}
    counted = pytrec_eval.RelevanceEvaluator(relevant, {"recall.1,5,10,20", "ndcg_cut.10", "recip_rank"}).evaluate(run)
    for item in items:
        rank = counted[item["id"]]["recip_rank"]
        if abs(item["measures"]["MRR@10"] - (rank if rank >= 0.1 else 0)) > 1e-9:
            raise SystemExit(f"{item['id']}: MRR@10 {item['measures']['MRR@10']}, trec_eval {rank}")
        for ours, theirs in MEASURES.items():
            if abs(item["measures"][ours] - counted[item["id"]][theirs]) > 1e-9:
                raise SystemExit(f"{item['id']}: {ours} {item['measures'][ours]}, trec_eval {counted[item['id']][theirs]}")


def measure(questions, search):
    import pytrec_eval

    run = {qid: {name: -float(rank) for rank, name in enumerate(search(text))} for qid, (text, _) in questions.items()}
    relevant = {qid: relevant for qid, (_, relevant) in questions.items()}
    counted = pytrec_eval.RelevanceEvaluator(relevant, {"recall.1,5,10,20", "ndcg_cut.10"}).evaluate(run)
    return {ours: sum(item[theirs] for item in counted.values()) / len(counted) for ours, theirs in MEASURES.items()}


def peers(passages, questions):
    import bm25s
    import Stemmer
    from rank_bm25 import BM25Okapi

    stem = Stemmer.Stemmer("english")
    words = lambda text: stem.stemWords(re.findall(r"[^\W_]+", text.lower()))
    names = list(passages)
    for name in ("rank_bm25", "bm25s"):
        begun = time.perf_counter()
        texts = [words(text) for text in passages.values()]
        if name == "rank_bm25":
            okapi = BM25Okapi(texts, k1=1.2, b=0.75)
            search = lambda text: [names[at] for at in okapi.get_scores(words(text)).argsort()[::-1][:20]]
        else:
            lucene = bm25s.BM25(k1=1.2, b=0.75)
            lucene.index(texts, show_progress=False)
            search = lambda text: [names[at] for at in lucene.retrieve([words(text)], k=20, show_progress=False)[0][0]]
        built = time.perf_counter()
        values = measure(questions, search)
        yield name, values, built - begun, time.perf_counter() - built


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("medtune")
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--encoder")
    parser.add_argument("--reranker")
    arguments = parser.parse_args()
    for name, passages, questions in sets(arguments.data):
        with tempfile.TemporaryDirectory() as folder:
            ours = medtune(arguments, pathlib.Path(folder), passages, questions)
        print(f"{name}: {len(passages)} passages, {len(questions)} questions")
        for who, values, built, searched in [("medtune", *ours), *peers(passages, questions)]:
            shown = "  ".join(f"{measure} {values[measure]:.3f}" for measure in MEASURES)
            print(f"  {who:<10} {shown}  index {built:.2f} s, search {1000 * searched / len(questions):.2f} ms", flush=True)


if __name__ == "__main__":
    main()
