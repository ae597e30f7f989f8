#!/usr/bin/env python3
"""Writes a base model of the SmolLM2-135M shape with random weights, for benchmarks: f32 safetensors, the SmolLM2
tokenizer and its ChatML template (with the marks that TRL needs to find answers)."""

import argparse
import json
import pathlib
import shutil

import common

# SmolLM2-Instruct's template. The `generation` marks render to nothing; an answer is learned with its <|im_end|>.
TEMPLATE = (
    "{%- if messages[0]['role'] != 'system' -%}"
    "{{- '<|im_start|>system\\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\\n' -}}"
    "{%- endif -%}"
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' -}}"
    "{%- if message['role'] == 'assistant' -%}"
    "{%- generation -%}{{- message['content'] + '<|im_end|>' -}}{%- endgeneration -%}"
    "{%- else -%}{{- message['content'] + '<|im_end|>' -}}{%- endif -%}"
    "{{- '\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=pathlib.Path, help="the folder to write")
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True, help="SmolLM2's tokenizer.json")
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    import torch
    from transformers import LlamaForCausalLM

    torch.set_num_threads(2)
    torch.manual_seed(args.seed)
    config = common.llama_config(args.layers, bos_token_id=1, eos_token_id=2, pad_token_id=2)
    model = LlamaForCausalLM(config).float()
    args.out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(args.out)
    # Written for older readers too, which look for the rope base at the top level.
    path = args.out / "config.json"
    written = json.loads(path.read_text())
    written["rope_theta"] = common.SMOLLM2_135M["rope_theta"]
    path.write_text(json.dumps(written, indent=2) + "\n")
    shutil.copyfile(args.tokenizer, args.out / "tokenizer.json")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|im_end|>",
        "unk_token": "<|endoftext|>",
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": config.max_position_embeddings,
        "chat_template": TEMPLATE,
    }
    (args.out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    print(f"{args.out}: {sum(p.numel() for p in model.parameters()):,} parameters")


if __name__ == "__main__":
    main()
