"""Compares `medtune eval --tasks` with lm-evaluation-harness: every log-likelihood, every answer, and the time.

    python tools/check_lm_eval.py --model models/base --data ../shared/data/medical/mirage_raw \\
        --tasks medqa_4options,medmcqa,pubmedqa,mmlu_anatomy --limit 40 --medtune target/debug/medtune

Needs lm_eval 0.4.13 (PyPI; `pip install --no-deps lm_eval` beside torch, transformers, datasets, evaluate, sacrebleu,
scikit-learn, pytablewriter, sqlitedict, more_itertools, jsonlines, word2number, zstandard is enough). The harness runs
its own task definitions: only `dataset_path` and `dataset_name` are replaced, so that the rows come from local files,
and with --num-fewshot the sampler is `first_n` for all tasks. Both read the same rows, written below --work in the
columns of the Hugging Face data sets. Both multiply in f32 on all cores. The harness's time is that of
`simple_evaluate` on a loaded model; medtune's is that of the whole process. With --rounds 3 both are timed in turn three
more times, medtune in f32, in bf16 and in 8-bit integers.
"""

import argparse
import csv
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

SHOTS = 8  # rows at the end of a test that become the few-shot split where there is none


def medqa(raw):
    path = raw / "medqa/data_clean/questions/US/4_options/phrases_no_exclude_test.jsonl"
    for at, line in enumerate(path.read_text().splitlines()):
        row = json.loads(line)
        endings = {f"ending{i}": row["options"][letter] for i, letter in enumerate("ABCD")}
        label = "ABCD".index(row["answer_idx"])
        yield {"id": f"{at:04}", "sent1": row["question"], "sent2": "", **endings, "label": label}


def medmcqa(raw):
    for line in (raw / "medmcqa/data/dev.json").read_text().splitlines():
        row = json.loads(line)
        kept = {key: row[key] for key in ("id", "question", "opa", "opb", "opc", "opd")}
        yield {**kept, "cop": row["cop"] - 1}


def pubmedqa(raw):
    for key, row in json.loads((raw / "pubmedqa/data/test_set.json").read_text()).items():
        yield {"id": key, **{name: row[name] for name in ("QUESTION", "CONTEXTS", "final_decision")}}


def mmlu(subject):
    def rows(raw):
        with open(raw / f"mmlu/data/test/{subject}_test.csv", newline="") as file:
            for at, row in enumerate(csv.reader(file)):
                answer = "ABCD".index(row[5])
                yield {"id": f"{at:04}", "question": row[0], "subject": subject, "choices": row[1:5], "answer": answer}

    return rows


# Task: its rows, its folder among the harness's tasks, the split that is asked, the split of the examples.
TASKS = {
    "medqa_4options": (medqa, "medqa", "test", "train"),
    "medmcqa": (medmcqa, "medmcqa", "validation", "train"),
    "pubmedqa": (pubmedqa, "pubmedqa", "test", "train"),
}
for name in "anatomy clinical_knowledge college_biology college_medicine medical_genetics professional_medicine".split():
    TASKS[f"mmlu_{name}"] = (mmlu(name), "mmlu/default", "test", "dev")


def write_rows(work, task, raw, limit, shots):
    rows = list(TASKS[task][0](raw))
    examples = rows[-SHOTS:]
    if shots:
        rows = rows[:-SHOTS]
    rows = rows[: limit or None]
    folder = work / "data" / task
    folder.mkdir(parents=True, exist_ok=True)
    _, _, asked, few = TASKS[task]
    for split, content in {asked: rows, few: examples, "test" if asked != "test" else "validation": rows[:1]}.items():
        lines = (json.dumps(row, ensure_ascii=False) for row in content)
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def write_task(work, task, folder, shots):
    """The harness's definition, with rows from `folder`."""
    import lm_eval

    source = pathlib.Path(lm_eval.__file__).parent / "tasks" / TASKS[task][1]
    target = work / "tasks" / task
    target.mkdir(parents=True, exist_ok=True)
    for path in source.glob("*.py"):
        shutil.copy(path, target)
    definition = next(path for path in source.glob("*.yaml") if re.search(rf'^"?task"?: "?{task}"?$', path.read_text(), re.M))
    files = {path.stem: str(path.resolve()) for path in sorted(folder.glob("*.jsonl"))}
    local = f"dataset_path: json\ndataset_kwargs: {json.dumps({'data_files': files})}\n"
    for path in [definition, *source.glob("_default_template_yaml")]:
        text = re.sub(r'^"?dataset_(name|path)"?:.*\n', "", path.read_text(), flags=re.M)
        if path == definition:
            text = re.sub(r'^"?tag"?:.*\n', "", text, flags=re.M) + "\n" + local
            if shots and "mmlu" not in task:
                text += "fewshot_config:\n  sampler: first_n\n"
        (target / path.name).write_text(text)


def harness(args, work, tasks):
    """A function that evaluates once, on a model that is loaded once: results and seconds."""
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    torch.set_num_threads(os.cpu_count())
    model = HFLM(pretrained=args.model, device="cpu", dtype=args.dtype, batch_size=args.batch_size)
    manager = TaskManager(include_path=str(work / "tasks"), include_defaults=False)

    def evaluate():
        start = time.time()
        results = simple_evaluate(
            model, tasks=tasks, num_fewshot=args.num_fewshot, task_manager=manager, log_samples=True,
            bootstrap_iters=0, apply_chat_template=args.apply_chat_template,
        )
        return results, time.time() - start

    return evaluate


def ours(args, work, tasks, flags=()):
    out = work / "eval"
    command = [args.medtune, "eval", "--model", args.model, "--tasks", ",".join(tasks), "--data", work / "data", *flags]
    command += ["--num-fewshot", str(args.num_fewshot), "--out", out]
    command += ["--apply-chat-template"] if args.apply_chat_template else []
    start = time.time()
    subprocess.run(list(map(str, command)), check=True)
    seconds = time.time() - start
    items = [json.loads(line) for line in (out / "items.jsonl").read_text().splitlines()]
    return {item["id"]: item["choice"] for item in items}, seconds


def alternate(args, work, tasks, evaluate):
    """Times both in turn; a processor without bf16 products ends it."""
    seconds = {}
    for _ in range(args.rounds):
        for name, flags in (("f32", []), ("--bf16", ["--bf16"]), ("--fast", ["--fast"])):
            seconds.setdefault(name, []).append(ours(args, work, tasks, flags)[1])
        seconds.setdefault("lm-eval", []).append(evaluate()[1])
    for name, times in seconds.items():
        ratios = [theirs / own for theirs, own in zip(seconds["lm-eval"], times)]
        shown = ", ".join(f"{time:.1f}" for time in times)
        print(f"{name:<8} {shown} s: {', '.join(f'{ratio:.2f}' for ratio in ratios)} times as fast as lm-eval")


def compare(task, samples, items, tolerance):
    largest, differing, absent = 0.0, [], 0
    for sample in samples:
        choice = items.get(f"{task}/{sample['doc']['id']}")
        if choice is None:
            absent += 1
            continue
        theirs = [response[0] for response in sample["filtered_resps"]]
        rated = [rated["log_likelihood"] for rated in choice["rated"]]
        largest = max([largest] + [abs(a - b) for a, b in zip(theirs, rated, strict=True)])
        if bool(sample["acc"]) != (choice["picked"] == choice["gold"]):
            gap = sorted(theirs)[-1] - sorted(theirs)[-2]
            differing.append((sample["doc"]["id"], gap))
    right = sum(sample["acc"] for sample in samples)
    print(f"{task}: {len(samples)} items, {absent} of them not asked by medtune; lm-eval acc {right / len(samples):.4f}")
    print(f"  largest difference of a log-likelihood {largest:.2e}; items with another answer: {differing or 'none'}")
    return largest <= tolerance and not differing


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True, type=pathlib.Path, help="MIRAGE's raw data")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--num-fewshot", type=int, default=0)
    parser.add_argument("--apply-chat-template", action="store_true")
    parser.add_argument("--batch-size", default="8")
    parser.add_argument("--dtype", default="float32", help="the harness's")
    parser.add_argument("--rounds", type=int, default=0, help="so many more of both in turn, timed")
    parser.add_argument("--medtune", default="target/release/medtune")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--work", type=pathlib.Path, help="folder for rows and results [default: a temporary one]")
    args = parser.parse_args()
    work = args.work or pathlib.Path(tempfile.mkdtemp(prefix="check_lm_eval."))
    tasks = args.tasks.split(",")
    for task in tasks:
        write_task(work, task, write_rows(work, task, args.data, args.limit, args.num_fewshot), args.num_fewshot)
    items, our_seconds = ours(args, work, tasks)
    evaluate = harness(args, work, tasks)
    results, their_seconds = evaluate()
    agree = [compare(task, results["samples"][task], items, args.tolerance) for task in tasks]
    print(f"medtune {our_seconds:.1f} s (whole process), lm-eval {their_seconds:.1f} s: {their_seconds / our_seconds:.1f} times")
    alternate(args, work, tasks, evaluate)
    sys.exit(0 if all(agree) else 1)


if __name__ == "__main__":
    main()
