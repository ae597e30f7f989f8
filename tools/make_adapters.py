#!/usr/bin/env python3
"""Writes the adapters of PEFT that crates/train/tests/adapters.rs compares with: for each way of adapting a tiny model,
whose values both sides compute from the names of the tensors, the adapter as PEFT saves it, the gradients of the first
step, and the losses of five steps of AdamW.

Usage: make_adapters.py OUT (torch 2.15.0, transformers 5.23.0, peft 0.21.2)."""

import json
import math
import pathlib
import shutil
import sys
import warnings

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from transformers.models.auto import CONFIG_MAPPING

from common import PROJECTIONS
from make_gradients import SIZES, TEXTS, fill, loss_of, noise, plain

ENDS = ["embed_tokens", "lm_head"]
# Keys of the model and of its adapter. Alphas so that no scale is 1.
WAYS = {
    # Sorted, as PEFT saves them: it takes the first that matches, and would read its own file differently otherwise.
    "patterns": (dict(), dict(
        target_modules=PROJECTIONS, rank_pattern={"^model.layers.0.mlp.up_proj": 4, r"layers\.1\..*_proj": 1, "q_proj": 3},
        alpha_pattern={r"mlp\.(up|down)_proj": 12, "self_attn.v_proj": 1},
    )),
    "patterns_rslora": (dict(), dict(
        target_modules=["k_proj", "down_proj"], use_rslora=True, rank_pattern={"k_proj": 5}, alpha_pattern={".*down_proj": 3},
    )),
    "regex": (dict(), dict(target_modules=r"model\.layers\.\d+\.(self_attn\.[qv]_proj|mlp\.up_proj)")),
    "one_layer": (dict(), dict(target_modules=["q_proj", "o_proj", "gate_proj"], layers_to_transform=[1])),
    "excluded": (dict(), dict(target_modules=PROJECTIONS, exclude_modules=["v_proj", "layers.0.mlp.down_proj"])),
    "all_linear": (dict(), dict(target_modules="all-linear")),
    "ends_saved": (dict(), dict(target_modules=["q_proj", "v_proj"], modules_to_save=ENDS)),
    "tied_head_saved": (dict(tie_word_embeddings=True), dict(target_modules=["q_proj"], modules_to_save=["lm_head"])),
    "tied_embedding_saved": (
        dict(tie_word_embeddings=True), dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"]),
    ),
    "ends_adapted": (dict(), dict(target_modules=PROJECTIONS + ENDS, rank_pattern={"lm_head": 5})),
    "tied_ends_adapted": (dict(tie_word_embeddings=True), dict(target_modules=["up_proj"] + ENDS)),
    "dora": (dict(), dict(target_modules=PROJECTIONS, use_dora=True)),
    "dora_patterns": (dict(attention_bias=True, mlp_bias=True), dict(
        target_modules=["q_proj", "v_proj", "o_proj", "up_proj"], use_dora=True, use_rslora=True, rank_pattern={"v_proj": 5},
    )),
    "pissa": (dict(), dict(target_modules=PROJECTIONS, init_lora_weights="pissa", rank_pattern={"o_proj": 5})),
}
STEPS, LEARNING_RATE = 5, 1e-2


def base(keys):
    config = CONFIG_MAPPING["llama"](**{**SIZES, **keys})
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config).float().eval()
    for name, parameter in model.named_parameters():
        fill(name, parameter, False)
    return model


def start(model):
    """Values of the adapter that follow from its names; what is trained in full moves away from the base."""
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        values = torch.from_numpy(noise(plain(name), parameter.numel())).view(parameter.shape)
        with torch.no_grad():
            if "lora_magnitude_vector" in name:
                parameter.mul_(1 + 0.3 * values)
            elif "modules_to_save" in name:
                parameter.add_(0.1 * values)
            else:
                parameter.copy_(0.3 * values)


def saved_name(name):
    """The name in PEFT's file."""
    name = name.replace(".default", "").replace(".modules_to_save.", ".")
    return name.removesuffix(".weight") if "lora_magnitude_vector" in name else name.replace(".modules_to_save", "")


def main(out):
    warnings.simplefilter("ignore")
    out.mkdir(parents=True, exist_ok=True)
    texts = [
        (((noise(f"text {i}", length) + 1) * 24).astype(int).tolist(), first)
        for i, (length, first) in enumerate(TEXTS)
    ]
    for way, (keys, settings) in WAYS.items():
        torch.manual_seed(0)
        pissa = settings.get("init_lora_weights") == "pissa"
        config = LoraConfig(r=2, lora_alpha=5, lora_dropout=0.0, task_type="CAUSAL_LM", **settings)
        model = get_peft_model(base(keys), config)
        folder = out / way
        shutil.rmtree(folder, ignore_errors=True)
        if pissa:
            model.peft_config["default"].init_lora_weights = True
            model.save_pretrained(folder / "initial")
            model.peft_config["default"].init_lora_weights = "pissa"
        else:
            start(model)
            model.save_pretrained(folder)
        trained = {saved_name(name): p for name, p in model.named_parameters() if p.requires_grad}
        optimizer = torch.optim.AdamW(trained.values(), lr=LEARNING_RATE, weight_decay=0.01)
        losses, tensors, exponents = [], {}, {}
        for step in range(STEPS + 1):
            loss = loss_of(model, texts)
            losses.append(loss.item())
            if step == STEPS:
                break
            optimizer.zero_grad()
            loss.backward()
            if step == 0:
                for name, parameter in trained.items():
                    exponent = math.frexp(parameter.grad.abs().max().item())[1]
                    tensors[name] = (parameter.grad * 2.0**-exponent).half().contiguous()
                    exponents[name] = exponent
            optimizer.step()
        if pissa:
            model.save_pretrained(folder, path_initial_model_for_weight_conversion=str(folder / "initial"))
        else:
            file = load_file(folder / "adapter_model.safetensors")
            missing = set(trained) - set(file)
            assert not missing, missing
        save_file(tensors, folder / "gradients.safetensors")
        for stray in folder.rglob("README.md"):
            stray.unlink()
        record = dict(
            config=model.config.to_dict(), settings=settings, texts=[ids for ids, _ in texts],
            first_learned=[first for _, first in texts], learning_rate=LEARNING_RATE, losses=losses, exponents=exponents,
        )
        (folder / "record.json").write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
        print(way, [round(loss, 6) for loss in losses], len(trained))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
