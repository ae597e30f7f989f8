#!/usr/bin/env python3
"""Writes what crates/model/tests/encoder_vectors.rs compares with: three tiny random sequence classifiers (BERT, RoBERTa
with two labels, XLM-RoBERTa) in f16, each with a vocabulary made on the spot; the scores of pairs of texts,
long ones cut with `only_second`; and texts pooled in three ways. sentence-transformers must give the same vectors and
scores, or nothing is written.

Usage: make_encoder_vectors.py OUT (torch 2.15.0, transformers 5.23.0, sentence-transformers 6.2.0)."""

import json
import os
import pathlib
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    BertConfig, BertForSequenceClassification, BertTokenizer, RobertaConfig, RobertaForSequenceClassification,
    RobertaTokenizer, XLMRobertaConfig, XLMRobertaForSequenceClassification, XLMRobertaTokenizer,
)

CORPUS = [
    "What are the symptoms of asthma? Shortness of breath, cough, and wheezing.",
    "The patient was given 250 mg of amoxicillin three times a day for 7 days.",
    "Asthma is a disease of the airways. The airways are narrow, and breathing is hard.",
    "Symptoms of diabetes are thirst, hunger and loss of weight; the treatment is insulin.",
    "Die Ärztin gab 38,5 °C an; naïve café, β-blocker.",
]
READS = 64
SIZES = dict(
    hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, layer_norm_eps=1e-6,
    hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)
TEXTS = [
    "What are the symptoms of asthma?", "the patient was given insulin", "cough", " a blank before and behind ", "",
    "Die Ärztin gab 38,5 °C an; naïve café, β-blocker.", "breathing is hard. " * 20,
]
QUERIES = ["What are the symptoms of asthma?", "treatment of diabetes"]
PASSAGES = CORPUS + ["insulin", "", "The airways are narrow, and breathing is hard. " * 10]
POOLING = ["mean", "cls", "max"]


def pieces(normalizer, pre_tokenizer):
    """Letters and whole words of the corpus, sorted. Trainers of these kinds do not give the same vocabulary twice."""
    texts = [normalizer.normalize_str(text) if normalizer else text for text in CORPUS]
    words = {word for text in texts for word, _ in pre_tokenizer.pre_tokenize_str(text)}
    return sorted(set("".join(words))), sorted(word for word in words if len(word) > 1)


def bert():
    letters, words = pieces(normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer())
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    # Half of the words, so that the others are of several pieces.
    tokens = [*specials, *letters, *(f"##{letter}" for letter in letters), *words[::2]]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = BertTokenizer(vocab=vocabulary, model_max_length=READS)
    sizes = dict(SIZES, vocab_size=len(tokenizer), max_position_embeddings=READS, pad_token_id=0, num_labels=1)
    return BertForSequenceClassification(BertConfig(**sizes)), tokenizer


def roberta():
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    raw.train_from_iterator(CORPUS * 4, trainer)
    model = json.loads(raw.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer = RobertaTokenizer(vocab=model["vocab"], merges=merges, model_max_length=READS)
    sizes = dict(SIZES, vocab_size=len(tokenizer), max_position_embeddings=READS + 2, pad_token_id=1, num_labels=2)
    return RobertaForSequenceClassification(RobertaConfig(**sizes, type_vocab_size=1)), tokenizer


def xlm_roberta():
    letters, words = pieces(None, pre_tokenizers.Metaspace())
    vocabulary = [(special, 0.0) for special in ["<s>", "<pad>", "</s>", "<unk>"]]
    vocabulary += [(letter, -8.0 - index / 16) for index, letter in enumerate(letters)]
    vocabulary += [(word, -6.0 - index / 16) for index, word in enumerate(words[::2])]
    tokenizer = XLMRobertaTokenizer(vocab=[*vocabulary, ("<mask>", 0.0)], model_max_length=READS)
    sizes = dict(SIZES, vocab_size=len(tokenizer), max_position_embeddings=READS + 2, pad_token_id=1, num_labels=1)
    return XLMRobertaForSequenceClassification(XLMRobertaConfig(**sizes, type_vocab_size=1)), tokenizer


def randomize(model):
    """Weights and biases so large that scores differ, as f16 holds them."""
    torch.manual_seed(11)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            gain = "LayerNorm.weight" in name
            parameter.copy_((torch.randn_like(parameter) * 0.3 + gain).half().float())
    return model.eval()


def scores_of(model, tokenizer, pairs):
    found = []
    for pair in pairs:
        # In lists: a bare empty passage is taken for none.
        query, passage = [pair[0]], [pair[1]]
        cut = tokenizer(query, passage, truncation="only_second", max_length=READS, return_tensors="pt")
        whole = tokenizer(query, passage)["input_ids"][0]
        with torch.no_grad():
            logits = model(**cut).logits[0].double()
        score = logits[0] if len(logits) == 1 else logits[1] - logits[0]
        left_out = len(whole) - cut["input_ids"].numel()
        found.append(dict(query=pair[0], passage=pair[1], score=score.item(), cut=left_out))
    return found


def vectors_of(model, tokenizer):
    """By each way of pooling the vectors of the texts, each computed without padding."""
    found = {mode: [] for mode in POOLING}
    for text in TEXTS:
        ids = tokenizer(text, truncation=True, max_length=READS, return_tensors="pt")
        with torch.no_grad():
            states = model.base_model(**ids).last_hidden_state[0]
        for mode, pooled in zip(POOLING, [states.mean(0), states[0], states.max(0).values]):
            vector = torch.nn.functional.normalize(pooled, dim=0)
            found[mode].append([round(value, 8) for value in vector.tolist()])
    return found


def check(folder, record):
    """sentence-transformers agrees."""
    for mode in POOLING:
        transformer = Transformer(str(folder), max_seq_length=READS)
        modules = [transformer, Pooling(transformer.get_embedding_dimension(), pooling_mode=mode), Normalize()]
        got = SentenceTransformer(modules=modules, device="cpu").encode(TEXTS, convert_to_tensor=True)
        assert torch.allclose(got, torch.tensor(record["vectors"][mode]), atol=2e-6), (folder, mode)
    # Its texts are cut longest first.
    compared = [pair for pair in record["pairs"] if pair["cut"] == 0]
    pairs = [(pair["query"], pair["passage"]) for pair in compared]
    logits = CrossEncoder(str(folder), device="cpu").predict(
        pairs, activation_fn=torch.nn.Identity(), convert_to_tensor=True
    )
    got = logits if logits.dim() == 1 else logits[:, 1] - logits[:, 0]
    expected = torch.tensor([pair["score"] for pair in compared])
    assert torch.allclose(got, expected, atol=2e-5), (folder, got - expected)


def main(out):
    for make in [bert, roberta, xlm_roberta]:
        folder = out / make.__name__
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        model, tokenizer = make()
        randomize(model)
        pairs = scores_of(model, tokenizer, [(query, passage) for query in QUERIES for passage in PASSAGES])
        ids = [tokenizer(text)["input_ids"] for text in TEXTS]
        record = dict(
            reads=READS, texts=TEXTS, tokens=[min(len(text), READS) for text in ids],
            cut=[max(len(text) - READS, 0) for text in ids], vectors=vectors_of(model, tokenizer), pairs=pairs,
        )
        model.half().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "config.json").write_text(
            json.dumps(dict(json.loads((folder / "config.json").read_text()), dtype="float32"), indent=1) + "\n"
        )
        check(folder, record)
        (folder / "oracle.json").write_text(json.dumps(record, ensure_ascii=False) + "\n")
        print(make.__name__, [round(pair["score"], 3) for pair in pairs], [pair["cut"] for pair in pairs])


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
