#!/usr/bin/env python3
"""Writes what crates/model/tests/vocabularies.rs compares with: three small sentencepiece models with the ids that
sentencepiece itself gives some texts, and the ids of llama.cpp's 47 texts by the models among the reference data.

Usage: make_tokenizer_vectors.py OUT [REFERENCE_DATA] (sentencepiece 0.2.3)."""

import io
import json
import pathlib
import sys

import sentencepiece

CORPUS = [
    "What are the symptoms of asthma? Shortness of breath, cough, and wheezing.",
    "The patient was given 250 mg of amoxicillin three times a day for 7 days.",
    "Asthma is a disease of the airways. The airways are narrow, and breathing is hard.",
    "Symptoms of diabetes are thirst, hunger and loss of weight; the treatment is insulin.",
    "    if x:\n        return y",
    "Die Ärztin gab 38,5 °C an; naïve café, β-blocker.",
] * 40
TEXTS = [
    "", " ", "  ", "   \n\n ", "a", " a", "  two  spaces", "trailing ", "new\nlines\r\n\tand a tab", "\n", "\n\n\n",
    "What are the symptoms of asthma?", "The patient was given 250 mg.", "Naïve café, 38.5 °C, β-blocker",
    "日本語", "😀 fine", "ﬁne ① ２５０ ｍｇ", "e\u0301 combining", "<s>", "</s>", "<unk>", "<0x41>", "▁already ▁ here",
    "<|user|>asthma<|end|> cough", "before <|user|> after", "<|user|><|user|>", "        deep", "zzzqqqxxx", "\u200bzero\ufeff",
]
SHARED = dict(vocab_size=380, minloglevel=2, num_threads=1, hard_vocab_limit=False, user_defined_symbols=["<|user|>", "<|end|>"])
MODELS = {
    "llama_like": dict(
        model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        split_digits=True, allow_whitespace_only_pieces=True, vocab_size=480,
    ),
    "gemma_like": dict(
        model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=False, split_digits=True, allow_whitespace_only_pieces=True, vocab_size=480,
    ),
    "unigram": dict(model_type="unigram", normalization_rule_name="identity"),
}
REFERENCES = {
    "llama2": "tokenizers/llama2_tokenizer.model",
    "mistral_v1": "tokenizers/mistral/tokenizer.model.v1",
    "mistral_v3": "tokenizers/mistral/mistral_instruct_tokenizer_240323.model.v3",
    "unigram_nfkc": "tokenizers/sentencepiece/test_model.model",
}


def main(out, data):
    out.mkdir(parents=True, exist_ok=True)
    record = {"texts": TEXTS, "ids": {}, "llama_cpp_texts": {}}
    for name, settings in MODELS.items():
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS), model_writer=model, **{**SHARED, **settings}
        )
        (out / f"{name}.model").write_bytes(model.getvalue())
        processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        record["ids"][name] = [processor.encode(text) for text in TEXTS]
    if data:
        texts = (data / "tokenizers/llama.cpp/ggml-vocab-llama-spm.gguf.inp").read_text().split("\n__ggml_vocab_test__\n")
        for name, path in REFERENCES.items():
            processor = sentencepiece.SentencePieceProcessor(model_file=str(data / path))
            record["llama_cpp_texts"][name] = {"path": path, "ids": [processor.encode(text) for text in texts]}
    lines = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    (out / "vectors.json").write_text(lines + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None)
