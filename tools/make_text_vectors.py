#!/usr/bin/env python3
"""Writes crates/eval/tests/data/overlap.json: scores of a few short texts under many settings.

Needs sacrebleu 2.6.0 and nltk 3.10.4. The texts are made up to meet every rule of the tokenizers: numbers with stops,
dashes after digits, escapes, symbols, accents, several references, and lines that are empty or shorter than an n-gram.
METEOR runs with its exact and stem stages alone: its third stage gets a WordNet without any word.
"""

import json
import logging
import pathlib
import warnings

from nltk.stem import PorterStemmer
from nltk.translate.bleu_score import corpus_bleu, sentence_bleu
from nltk.translate.meteor_score import meteor_score
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

PAIRS = [
    ("Take 0.5-1,000 mg/d (p.o.), \"twice\"... for 5.", ["Take 0.5 mg daily, p.o., twice - for 5 days."]),
    ("Fever &lt; 38 °C & no cough; 50% better – “fine”…", ["Fever < 38 °C and no cough: 50 % better – \"fine\"."]),
    ("The patient was given amoxicillin 500 mg three times daily.",
     ["The patient received 500 mg of amoxicillin three times a day.", "Amoxicillin was given to the patient, 500 mg, 3x daily."]),
    ("naïve Müller-type CAFÉ 3,5 mmol·l⁻¹ ½ tablet €5", ["Naive Müller type café 3.5 mmol/l half a tablet 5€", "naïve Müller-type café"]),
    ("Yes", ["Yes"]),
    ("No.", ["no"]),
    ("", ["Something was expected here."]),
    ("Nothing was expected here.", [""]),
    ("the the the the the the the", ["the cat is on the mat", "there is a cat on the mat"]),
    ("(hi) 'there' -- e.g. x- 5-6 ,a .b", ["(hi) there -- e.g. x - 5 - 6 , a . b"]),
    ("on the mat in the house the cat sat quietly while it was raining outside",
     ["while it was raining outside the cat sat quietly on the mat in the house"]),
    ("Treatments treating treated patients quickly relieved pains", ["The treatment of a patient brings quick relief of pain"]),
    ("表示 頭痛 と 発熱", ["頭痛 と 発熱 を 表示"]),
]

BLEUS = {
    "default": {},
    "lowercase": {"lowercase": True},
    "sentence": {"effective_order": True},
    "intl": {"tokenize": "intl"},
    "char": {"tokenize": "char"},
    "none floor": {"tokenize": "none", "smooth_method": "floor"},
    "floor 0.5 effective": {"smooth_method": "floor", "smooth_value": 0.5, "effective_order": True},
    "add-k": {"smooth_method": "add-k"},
    "add-k 2 effective": {"smooth_method": "add-k", "smooth_value": 2, "effective_order": True},
    "no smoothing": {"smooth_method": "none"},
}
CHRFS = {
    "chrf": {},
    "chrf++": {"word_order": 2},
    "lowercase whitespace": {"lowercase": True, "whitespace": True, "word_order": 2},
}
TERS = {"ter": {}, "case": {"case_sensitive": True}}


class NoWordNet:
    def synsets(self, word):
        return []


def of_sacrebleu(metric):
    sentences = [metric.sentence_score(hypothesis, references).score for hypothesis, references in PAIRS]
    corpus = metric.corpus_score([pair[0] for pair in PAIRS], [[pair[1][0] for pair in PAIRS]])
    return {"sentences": sentences, "corpus": corpus.score, "signature": str(metric.get_signature())}


def meteor(split):
    stemmer = PorterStemmer()
    return [
        meteor_score([split(reference) for reference in references], split(hypothesis), stemmer=stemmer, wordnet=NoWordNet())
        for hypothesis, references in PAIRS
    ]


def main():
    warnings.simplefilter("ignore")
    logging.getLogger("sacrebleu").setLevel(logging.ERROR)
    words = [(hypothesis.split(), references[0].split()) for hypothesis, references in PAIRS]
    stemmer = PorterStemmer()
    stemmed = """caresses flies dies mules denied died agreed owned humbled sized meeting stating siezing itemization
    sensational traditional reference colonizer plotted was has his use used skies dying lying news innings inning
    outing cannings howe proceed exceed succeed fairly geologically biologist happy say enjoy by relational conditional
    rational valency hesitancy digitizer conformably radically differently vilely analogously vietnamization
    predication operator feudalism decisiveness hopefulness callousness formality sensitivity sensibility triplicate
    formative formalize electricity electrical hopeful goodness revival allowance inference airliner gyroscopic
    adjustable defensible irritant replacement adjustment dependent adoption homologous communism activate angularity
    effective bowdlerize probate rate cease controll roll hypertension diuretics nephropathy diagnoses ties tie
    feed bled hissing fizzed failing filing conflated troubled hopping tanned falling yes aed ing s us y Ponies""".split()
    vectors = {
        "pairs": PAIRS,
        "bleu": {name: {"settings": settings, **of_sacrebleu(BLEU(**settings))} for name, settings in BLEUS.items()},
        "chrf": {name: {"settings": settings, **of_sacrebleu(CHRF(**settings))} for name, settings in CHRFS.items()},
        "ter": {name: {"settings": settings, **of_sacrebleu(TER(**settings))} for name, settings in TERS.items()},
        "nltk": {
            "sentences": [sentence_bleu([reference], hypothesis) for hypothesis, reference in words],
            "corpus": corpus_bleu([[reference] for _, reference in words], [hypothesis for hypothesis, _ in words]),
            "characters": [sentence_bleu([references[0]], hypothesis) for hypothesis, references in PAIRS],
        },
        "meteor": {"none": meteor(str.split), "13a": meteor(lambda line: Tokenizer13a()(line).split())},
        "porter": {word: stemmer.stem(word) for word in stemmed},
    }
    folder = pathlib.Path(__file__).parent.parent / "crates/eval/tests/data"
    folder.mkdir(exist_ok=True)
    (folder / "overlap.json").write_text(json.dumps(vectors, ensure_ascii=False, indent=1) + "\n")


main()
