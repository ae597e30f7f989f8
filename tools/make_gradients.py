#!/usr/bin/env python3
"""Writes the gradients of PyTorch that crates/model/tests/gradients.rs compares with: for each architecture a tiny model
whose values both sides compute from the names of the tensors, the loss of two texts, and its gradient by every parameter
and by the adapters of all projections. In f16 with an exponent for each tensor, so that the files stay small.

Usage: make_gradients.py OUT (torch 2.15.0, transformers 5.23.0, peft 0.21.2)."""

import json
import math
import pathlib
import sys

import numpy
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
from transformers.models.auto import CONFIG_MAPPING

from common import PROJECTIONS

SIZES = dict(
    vocab_size=48, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5,
)
LLAMA3 = dict(
    rope_type="llama3", rope_theta=1e4, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=16,
)
# Where nothing is to be seen in more numbers: the files stay below half a megabyte together.
SMALL = dict(hidden_size=16, intermediate_size=24)
ARCHITECTURES = {
    "llama2": ("llama", dict(SMALL, num_key_value_heads=4)),
    "smollm2": ("llama", dict(SMALL, tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=1e5))),
    "mistral": ("mistral", dict(SMALL, sliding_window=None, rope_parameters=dict(rope_type="default", rope_theta=1e6))),
    "llama3": ("llama", dict(rope_parameters=LLAMA3)),
    "llama_biases": ("llama", dict(attention_bias=True, mlp_bias=True, tie_word_embeddings=True)),
    "mistral_window": ("mistral", dict(sliding_window=6)),
    "qwen2": ("qwen2", dict(tie_word_embeddings=True, use_sliding_window=True, sliding_window=6, max_window_layers=1)),
    "qwen3": ("qwen3", dict(head_dim=12, rope_parameters=dict(rope_type="linear", rope_theta=1e4, factor=2.0))),
    "gemma": ("gemma", dict(head_dim=12, num_key_value_heads=1)),
    "gemma2": ("gemma2", dict(
        head_dim=12, sliding_window=6, query_pre_attn_scalar=10, attn_logit_softcapping=2.0,
        final_logit_softcapping=3.0,
    )),
}
# Lengths of the texts, and the first position of each whose token is learned.
TEXTS = [(20, 5), (13, 1)]


def noise(name, count):
    """Values in -1..1 that follow from a name: FNV-1a of the name, then splitmix64."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    with numpy.errstate(over="ignore"):
        z = numpy.uint64(state) + numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z ^= z >> numpy.uint64(31)
    return (z >> numpy.uint64(40)).astype(numpy.float32) / numpy.float32(2**23) - numpy.float32(1)


def fill(name, parameter, gemma):
    """Matrices in ±0.3, gains in ±0.3 around one (Gemma's around zero), biases in ±0.3."""
    values = noise(name, parameter.numel()) * numpy.float32(0.3)
    if name.endswith("norm.weight") and not gemma:
        values += numpy.float32(1)
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(values).view(parameter.shape))


def plain(name):
    """The name without what PEFT puts around it."""
    return name.removeprefix("base_model.model.").replace(".default.", ".").replace(".base_layer.", ".")


def loss_of(model, texts):
    """Mean over the learned tokens of both texts, each text on its own."""
    total, count = 0.0, 0
    for ids, first in texts:
        logits = model(input_ids=torch.tensor([ids])).logits[0, first - 1 : -1]
        total = total + torch.nn.functional.cross_entropy(logits, torch.tensor(ids[first:]), reduction="sum")
        count += len(ids) - first
    return total / count


def gradients(model, texts, gemma):
    for name, parameter in model.named_parameters():
        fill(plain(name), parameter, gemma)
    loss = loss_of(model, texts)
    model.zero_grad()
    loss.backward()
    found = {plain(name): p.grad for name, p in model.named_parameters() if p.requires_grad}
    return loss.item(), found


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    texts = [
        (((noise(f"text {i}", length) + 1) * 24).astype(int).tolist(), first)
        for i, (length, first) in enumerate(TEXTS)
    ]
    for architecture, (model_type, keys) in ARCHITECTURES.items():
        torch.manual_seed(0)
        config = CONFIG_MAPPING[model_type](**{**SIZES, **keys})
        config._attn_implementation = "eager"
        gemma = model_type.startswith("gemma")
        model = AutoModelForCausalLM.from_config(config).float().train()
        full_loss, found = gradients(model, texts, gemma)
        adapter = LoraConfig(r=2, lora_alpha=4, lora_dropout=0.0, target_modules=PROJECTIONS)
        model = get_peft_model(AutoModelForCausalLM.from_config(config).float().train(), adapter)
        lora_loss, of_adapters = gradients(model, texts, gemma)
        tensors, exponents = {}, {}
        for name, gradient in {**found, **of_adapters}.items():
            exponent = math.frexp(gradient.abs().max().item())[1]
            tensors[name] = (gradient * 2.0**-exponent).half().contiguous()
            exponents[name] = exponent
        save_file(tensors, out / f"{architecture}.safetensors")
        record = dict(
            config=config.to_dict(), rank=2, alpha=4, texts=[ids for ids, _ in texts],
            first_learned=[first for _, first in texts], loss=full_loss, lora_loss=lora_loss, exponents=exponents,
        )
        (out / f"{architecture}.json").write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
        print(architecture, full_loss, lora_loss, len(found), len(of_adapters))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
