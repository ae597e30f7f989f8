#!/usr/bin/env python3
"""Writes the small quantized Hugging Face folders that crates/train/tests/quantized_bases.rs and the binary's tests
load: a Llama of two layers with random weights, quantized and saved by transformers and bitsandbytes (`*-bnb-4bit`,
LLM.int8), and in GPTQ's layout by tools/quant_vectors.py's packing.

Beside each lies expected.json: ids, the logits of the last of them, and the losses of five AdamW steps on a LoRA of all
projections, by PyTorch and PEFT on the weights as bitsandbytes decodes them. (LLM.int8 rounds activations too, which a
training base does not.) The widths are multiples of 64: where blocks cross rows, bitsandbytes 0.50.2 decodes some
matrices on a CPU with scales of the wrong blocks ([16, 32] and [16, 96], not [64, 172])."""

import argparse
import json
import pathlib

import numpy as np
import torch
from bitsandbytes import functional
from peft import LoraConfig, get_peft_model
from quant_vectors import pack
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

IDS = [5, 9, 12, 280, 33, 7, 101, 54, 3, 200, 17, 17, 64, 90, 41, 8]
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
GROUP = 16


def base() -> LlamaForCausalLM:
    torch.manual_seed(11)
    config = LlamaConfig(
        vocab_size=288,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.to(torch.float16))
    return model


def half(folder: pathlib.Path) -> None:
    """Embedding and norms, which have the precision of 16 bits, are kept in them."""
    tensors = load_file(folder / "model.safetensors")
    for name, tensor in tensors.items():
        if tensor.dtype == torch.float32 and ("embed" in name or "norm" in name):
            tensors[name] = tensor.to(torch.float16)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def tidy(folder: pathlib.Path, model: torch.nn.Module) -> None:
    half(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    with torch.no_grad():
        logits = model(torch.tensor([IDS])).logits[0, -1].float()
    expected = {"ids": IDS, "logits": logits.tolist(), "losses": train(model)}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")


def train(model: torch.nn.Module) -> list[float]:
    """Losses of five steps with the adapter that `start` describes."""
    model = get_peft_model(model, LoraConfig(r=2, lora_alpha=4, target_modules=list(PROJECTIONS)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(start(parameter.shape, "lora_A" in name))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.0)
    ids, losses = torch.tensor([IDS]), []
    for _ in range(6):
        loss = model(ids, labels=ids).loss
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


def start(shape: torch.Size, is_a: bool) -> torch.Tensor:
    """An adapter's start that needs no generator: A[i][j] = cos(i * in + j) / 8, B[i][j] = sin(i * r + j) / 32."""
    places = torch.arange(shape.numel(), dtype=torch.float64)
    values = torch.cos(places) / 8 if is_a else torch.sin(places) / 32
    return values.reshape(shape).float()


def bitsandbytes_folders(out: pathlib.Path, plain: pathlib.Path) -> None:
    four_bits = [("nf4", "nf4", False), ("nf4_double", "nf4", True), ("fp4_double", "fp4", True)]
    for name, kind, double in four_bits:
        options = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=kind, bnb_4bit_use_double_quant=double)
        bitsandbytes_folder(out / name, plain, options)
    bitsandbytes_folder(out / "int8", plain, BitsAndBytesConfig(load_in_8bit=True))


def bitsandbytes_folder(folder: pathlib.Path, plain: pathlib.Path, options: BitsAndBytesConfig) -> None:
    model = AutoModelForCausalLM.from_pretrained(
        plain, quantization_config=options, dtype=torch.float32, device_map="cpu"
    )
    model.save_pretrained(folder)
    decoded = AutoModelForCausalLM.from_pretrained(plain, dtype=torch.float32)
    with torch.no_grad():
        for path, module in model.named_modules():
            if path.split(".")[-1] not in PROJECTIONS:
                continue
            if options.load_in_4bit:
                weight = functional.dequantize_4bit(module.weight.data, module.weight.quant_state)
            else:
                weight = functional.int8_vectorwise_dequant(module.weight.CB, module.weight.SCB)
            decoded.get_submodule(path).weight.copy_(weight)
    tidy(folder, decoded)


def gptq_folders(out: pathlib.Path, plain: pathlib.Path) -> None:
    random = np.random.default_rng(13)
    for name, symmetric, act_order in [("gptq", True, False), ("gptq_act_order", False, True)]:
        model = AutoModelForCausalLM.from_pretrained(plain, dtype=torch.float32)
        tensors = {}
        for path, module in model.named_modules():
            if path.split(".")[-1] not in PROJECTIONS:
                continue
            weight = module.weight.detach().numpy().T  # [in, out], as GPTQ stores it
            columns, rows = weight.shape
            group_of = np.arange(columns) // GROUP
            if act_order:
                group_of = random.permutation(group_of)
            groups = columns // GROUP
            scales, zeros = np.zeros((groups, rows), np.float16), np.zeros((groups, rows), np.int64)
            for group in range(groups):
                members = weight[group_of == group]
                low, high = np.minimum(members.min(0), 0), np.maximum(members.max(0), 0)
                if symmetric:
                    high = np.maximum(high, -low)
                    low = -high
                scales[group] = ((high - low) / 15).astype(np.float16)
                zeros[group] = 8 if symmetric else np.clip(np.round(-low / scales[group]), 1, 15)
            steps = scales.astype(np.float32)[group_of]
            codes = np.clip(np.round(weight / steps) + zeros[group_of], 0, 15).astype(np.int64)
            decoded = steps * (codes - zeros[group_of]).astype(np.float32)
            with torch.no_grad():
                module.weight.copy_(torch.from_numpy(np.ascontiguousarray(decoded.T)))
            words = {"qweight": pack(codes, 4), "qzeros": pack(zeros.T - 1, 4).T}
            for part, value in words.items():
                tensors[f"{path}.{part}"] = torch.from_numpy(np.ascontiguousarray(value).view(np.int32))
            tensors[f"{path}.scales"] = torch.from_numpy(scales)
            tensors[f"{path}.g_idx"] = torch.from_numpy(group_of.astype(np.int32))
            # AutoGPTQ's bias where there is none.
            tensors[f"{path}.bias"] = torch.zeros(rows, dtype=torch.float16)
        (out / name).mkdir(parents=True, exist_ok=True)
        state = model.state_dict()
        tensors |= {key: state[key].clone() for key in state if "embed" in key or "norm" in key}
        save_file(tensors, out / name / "model.safetensors", {"format": "pt"})
        config = json.loads((plain / "config.json").read_text())
        config["quantization_config"] = {
            "quant_method": "gptq",
            "bits": 4,
            "group_size": GROUP,
            "sym": symmetric,
            "desc_act": act_order,
        }
        (out / name / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        tidy(out / name, model)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, help="crates/train/tests/quantized")
    out = parser.parse_args().out
    plain = out / "plain"
    base().save_pretrained(plain)
    bitsandbytes_folders(out, plain)
    gptq_folders(out, plain)
    for file in plain.iterdir():
        file.unlink()
    plain.rmdir()
