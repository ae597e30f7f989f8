#!/usr/bin/env python3
"""What `medtune prepare --against` finds of a test that was planted among training rows, by kind of change, and what it
accuses wrongly.

    check_contamination.py MEDTUNE --rows medquad.csv.gz --test medqa.jsonl --test dev.json --test test_set.json

Every item of a test is planted once for each kind of change, as a question or inside the answer to another one, and
`prepare` is run over these beside some of `--rows`: recall is the share that it leaves out, and the share for which it
names the item that was planted. What it leaves out of `--rows` alone is accused wrongly, as these hold no item; so is,
mostly, what it leaves out of one half of a test for the other half (some tests ask the same question twice). A JSON
report. Needs nothing but Python.
"""

import argparse
import csv
import gzip
import json
import pathlib
import re
import subprocess
import sys
import tempfile


# Words that a person who retells a question may exchange, each for one that means the same.
SYNONYMS = dict(
    pair.split("/")
    for pair in """
    woman/female man/male boy/lad girl/lass child/youngster infant/baby physician/doctor patient/person comes/presents
    brought/taken history/record shows/reveals showing/revealing exam/check examination/inspection following/listed
    most/most likely/probable best/optimal appropriate/suitable next/subsequent management/handling treatment/therapy
    treated/managed drug/medication medication/drug disease/disorder disorder/illness illness/sickness condition/state
    syndrome/complex pain/ache fever/pyrexia cough/coughing headache/cephalgia vomiting/emesis nausea/queasiness
    swelling/edema edema/swelling bleeding/hemorrhage hemorrhage/bleeding rash/eruption fatigue/tiredness
    weakness/debility dyspnea/breathlessness diarrhea/loose-stools high/elevated low/reduced increased/raised
    decreased/diminished elevated/raised reduced/lowered severe/grave mild/slight acute/sudden chronic/longstanding
    common/frequent rare/uncommon cause/reason causes/reasons caused/provoked due/owing associated/linked
    related/connected diagnosis/identification diagnosed/identified sign/indication symptom/complaint
    symptoms/complaints finding/observation findings/observations risk/hazard factor/element effect/consequence
    effects/consequences side/adverse mechanism/process action/working type/kind types/kinds part/portion
    site/location located/situated seen/observed found/detected occurs/arises occur/arise used/employed use/employ
    given/administered true/correct false/wrong except/but incorrect/wrong correct/right which/what
    child's/youngster's blood/hematic heart/cardiac cardiac/heart kidney/renal renal/kidney liver/hepatic
    hepatic/liver lung/pulmonary pulmonary/lung cancer/malignancy carcinoma/cancer tumor/neoplasm tumour/neoplasm
    skin/cutaneous bone/osseous brain/cerebral cerebral/brain nerve/neural muscle/muscular eye/ocular stomach/gastric
    gastric/stomach level/concentration levels/concentrations test/assay study/trial predict/forecast
    predictor/forecaster useful/helpful improve/better improves/betters reduce/lower reduces/lowers prevent/avert
    affect/influence affects/influences influence/affect impact/influence outcome/result outcomes/results
    mortality/death survival/living surgery/operation surgical/operative women/females men/males children/youngsters
    patients/persons adults/grown-ups elderly/aged older/elder pregnancy/gestation pregnant/gravid birth/delivery
    screening/testing role/part play/have necessary/needed effective/efficacious safe/harmless feasible/practicable
    better/superior early/prompt after/following before/prior during/throughout between/among without/lacking
    years/yrs year-old/yr-old hospital/clinic emergency/urgent care/attention
    """.split()
)


def sentences(text):
    return [part for part in re.split(r"(?<=[.?!])\s+", text.strip()) if part]


def without_every(n):
    return lambda text: " ".join(word for at, word in enumerate(text.split(), 1) if at % n)


def with_synonyms(text):
    return re.sub(r"[A-Za-z][A-Za-z'-]*", lambda word: SYNONYMS.get(word[0].lower(), word[0]), text)


def in_other_order(text):
    """The sentences backwards; one alone is cut in its middle, and its halves change places."""
    parts = sentences(text)
    if len(parts) == 1:
        words = text.split()
        parts = [" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])]
    return " ".join(reversed(parts))


def shortened(text):
    """The first 30 % of the words left out."""
    words = text.split()
    return " ".join(words[len(words) * 3 // 10 :])


def options(item):
    return "\n".join(f"{letter}. {text}" for letter, text in item["options"].items())


def as_question(change):
    return lambda item: (change(item["question"]), item["options"][item["answer_idx"]])


def inside(change):
    return lambda item: (
        "Can you help me with my homework?",
        f"Of course. It says: {change(item['question'])} The answer is: {item['options'][item['answer_idx']]}.",
    )


# Kinds of change: question and answer of the planted row.
CHANGES = {
    "equal": as_question(lambda text: text.upper().replace(",", " ,")),
    "options behind it": lambda item: (f"{item['question']}\n{options(item)}", item["answer_idx"]),
    "context before it": lambda item: (f"{item.get('context', '')}\n\n{item['question']}", item["answer_idx"]),
    "inside an answer": inside(str),
    "synonyms": as_question(with_synonyms),
    "other order": as_question(in_other_order),
    "first 30 % gone": as_question(shortened),
    "every 8th word gone": as_question(without_every(8)),
    "every 5th word gone": as_question(without_every(5)),
    "every 5th word gone, inside an answer": inside(without_every(5)),
    "synonyms, other order, every 10th gone": as_question(
        lambda text: without_every(10)(in_other_order(with_synonyms(text)))
    ),
}


class Program:
    def __init__(self, path, folder):
        self.path, self.folder, self.runs = path, pathlib.Path(folder), 0

    def prepare(self, file, against=None):
        """The folder that `prepare` writes."""
        self.runs += 1
        out = self.folder / f"run-{self.runs}"
        command = [self.path, "prepare", str(file), "--out", str(out), "--test", "0", "--val", "0"]
        command += ["--against", str(against)] if against else []
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        return out

    def pairs(self, file, against):
        return json.loads((self.prepare(file, against) / "contamination.json").read_text())["pairs"]

    def items(self, test):
        """The items of a test in any layout that `prepare` reads."""
        return lines(self.prepare(test) / "choices.jsonl")

    def write(self, name, rows):
        path = self.folder / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path


def said(text):
    print(text, file=sys.stderr, flush=True)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def row(identity, question, answer):
    return {"qid": identity, "question": question, "answer": answer}


def read_rows(path):
    open_it = gzip.open if path.endswith(".gz") else open
    with open_it(path, "rt", newline="") as file:
        return [row(f"row-{at}", each["question"], each["answer"]) for at, each in enumerate(csv.DictReader(file))]


def recall(program, test, items, others, change):
    """Shares of the planted rows that are left out, and that are left out for the item from which they were made."""
    planted = [row(f"planted-{at}", *change(item)) for at, item in enumerate(items)]
    pairs = program.pairs(program.write("planted.jsonl", planted + others), test)
    left_out = {pair["train"]: pair["test_question"] for pair in pairs if pair["train"].startswith("planted-")}
    right = sum(left_out.get(f"planted-{at}") == item["question"] for at, item in enumerate(items))
    return len(left_out) / len(items), right / len(items)


def accused(program, test, items, rows, show):
    """Rows that hold no item and are left out."""
    halves = [items[::2], items[1::2]]
    known = {" ".join(item["question"].lower().split()) for item in halves[1]}
    own = [
        row(f"other-{at}", item["question"], item["options"][item["answer_idx"]])
        for at, item in enumerate(halves[0])
        if " ".join(item["question"].lower().split()) not in known
    ]
    other_half = program.write("half.jsonl", halves[1])
    by_itself = program.pairs(program.write("other.jsonl", own + rows), other_half)
    by_itself = [pair for pair in by_itself if pair["train"].startswith("other-")]
    outside = program.pairs(program.write("rows.jsonl", rows), test)
    for pair in (outside + by_itself)[:show]:
        said(f"  {pair['found']} {pair['similarity']:.2f}: {pair['train_question'][:200]}")
        said(f"    | {pair['test_question'][:200]}")
    return {"rows": len(outside), "of_the_other_half": len(by_itself), "other_half": len(own)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("medtune")
    parser.add_argument("--rows", required=True, help="training rows that hold no item: MedQuAD as CSV")
    parser.add_argument("--test", action="append", required=True, help="a file of multiple-choice items; several times")
    parser.add_argument("--beside", type=int, default=4000, help="how many of them stand beside planted rows")
    parser.add_argument("--change", action="append", choices=list(CHANGES), help="these kinds alone")
    parser.add_argument("--show", type=int, default=0, help="how many pairs that were accused to print")
    args = parser.parse_args()
    report = {}
    with tempfile.TemporaryDirectory() as folder:
        program = Program(args.medtune, folder)
        others = read_rows(args.rows)
        for test in args.test:
            items = program.items(test)
            said(f"{test}: {len(items)} items")
            found = {}
            for name in args.change or CHANGES:
                if name == "context before it" and not any(item.get("context") for item in items):
                    continue
                found[name] = recall(program, test, items, others[: args.beside], CHANGES[name])
                said(f"  {name}: {found[name][0]:.3f}, for the right item {found[name][1]:.3f}")
            wrong = accused(program, test, items, others, args.show)
            said(f"  accused: {wrong}")
            report[test] = {"items": len(items), "recall": found, "accused": wrong}
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
