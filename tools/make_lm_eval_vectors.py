"""Writes crates/eval/tests/data/lm_eval.json: lm-evaluation-harness on the shipped model and the rows beside that file.

    python tools/make_lm_eval_vectors.py

Needs what check_lm_eval.py needs. The rows are our own; `own.jsonl` is asked as the harness's `arc_easy` asks
(`Question: …`, `Answer:`, the texts of the options).
"""

import json
import pathlib
import tempfile

import check_lm_eval
from check_lm_eval import write_task

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = ROOT / "crates/eval/tests/data"
TASKS = ["medqa_4options", "medmcqa", "pubmedqa", "mmlu_anatomy"]
OWN = """task: own
output_type: multiple_choice
test_split: test
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: gold
doc_to_choice: texts
metric_list: [{metric: acc}, {metric: acc_norm}]
"""


def write_own(work):
    folder = work / "own"
    folder.mkdir()
    rows = []
    for line in (DATA / "tasks/own.jsonl").read_text().splitlines():
        row = json.loads(line)
        texts = list(row["options"].values())
        rows.append({"id": row["id"], "question": row["question"], "texts": texts, "gold": ord(row["answer_idx"]) - 65})
    (folder / "test.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    target = work / "tasks/own"
    target.mkdir(parents=True)
    files = json.dumps({"data_files": {"test": str(folder / "test.jsonl")}})
    (target / "own.yaml").write_text(OWN + f"dataset_path: json\ndataset_kwargs: {files}\n")


class Settings:
    model = str(ROOT / "models/base")
    batch_size = 1
    num_fewshot = 0
    apply_chat_template = False


def main():
    vectors = []
    for shots, chat in ((0, False), (2, False), (0, True), (2, True)):
        work = pathlib.Path(tempfile.mkdtemp())
        tasks = TASKS + (["own"] if shots == 0 else [])
        for task in TASKS:
            write_task(work, task, DATA / "tasks" / task, shots)
        if shots == 0:
            write_own(work)
        Settings.num_fewshot, Settings.apply_chat_template = shots, chat
        results, _ = check_lm_eval.harness(Settings, work, tasks)
        for task in tasks:
            for sample in results["samples"][task]:
                rated = [response[0] for response in sample["filtered_resps"]]
                vectors.append({
                    "task": task, "id": sample["doc"]["id"], "few_shot": shots, "chat_template": chat,
                    "log_likelihoods": rated, "acc": sample["acc"], "acc_norm": sample.get("acc_norm"),
                })
    path = DATA / "lm_eval.json"
    path.write_text("[\n" + ",\n".join(json.dumps(vector) for vector in vectors) + "\n]\n")
    print(f"{path}: {len(vectors)} items")


if __name__ == "__main__":
    main()
