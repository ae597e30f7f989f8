#!/usr/bin/env python3
"""How far PyTorch's gradients in bf16 are from those in f32: what rounding costs, to judge our own by.

    bf16_gradients.py ORACLES

ORACLES has `weights/stories260K/hf` and `numerics/` with `training_oracle.json`, `lora_init` and
`lora_step0_grads.safetensors`. Prints the distance of each way, |difference| / |gradient| by tensor: the median and the
largest. Needs torch, transformers and peft.
"""

import contextlib
import json
import pathlib
import statistics
import sys

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

WAYS = {"f32": torch.float32, "autocast": torch.float32, "weights in bf16": torch.bfloat16}


def distances(folder, way, dtype):
    oracle = json.loads((folder / "numerics/training_oracle.json").read_text())
    expected = load_file(folder / "numerics/lora_step0_grads.safetensors")
    base = AutoModelForCausalLM.from_pretrained(folder / "weights/stories260K/hf", dtype=dtype)
    model = PeftModel.from_pretrained(base, folder / "numerics/lora_init", is_trainable=True, autocast_adapter_dtype=False)
    autocast = torch.autocast("cpu", torch.bfloat16) if way == "autocast" else contextlib.nullcontext()
    with autocast:
        batch = {key: torch.tensor(oracle[key]) for key in ("input_ids", "attention_mask", "labels")}
        loss = model(**batch).loss
    loss.backward()
    gradients = {name: p.grad.float() for name, p in model.named_parameters() if p.grad is not None}
    assert gradients.keys() == expected.keys()
    return sorted(((gradients[name] - g).norm() / g.norm()).item() for name, g in expected.items())


folder = pathlib.Path(sys.argv[1])
for way, dtype in WAYS.items():
    found = distances(folder, way, dtype)
    print(f"{way}: median {statistics.median(found):.1e}, at most {found[-1]:.1e}")
