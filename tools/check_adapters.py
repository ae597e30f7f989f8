#!/usr/bin/env python3
"""Trains every kind of adapter with medtune on tiny random bases and checks each in PEFT: that it loads whole, moves the
logits, and gives those of medtune; and that the model which `medtune merge` writes gives them too.

Prints a line per kind, or a JSON verdict; exits with 1 when a kind fails. Differences are relative to the largest logit.
A base in four bits is quantized, and decoded again, by bitsandbytes on PEFT's side."""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import warnings

from check_peft import compare, effect

ENDS = "[embed_tokens, lm_head]"
# What a recipe says beyond the common part, by the base: `untied` and `tied` embeddings, `biased` projections (Qwen 2's).
KINDS = {
    "lora": ("untied", ""),
    "q_v": ("untied", "lora_target_modules: [q_proj, v_proj]"),
    "k": ("untied", "lora_target_modules: [k_proj]"),
    "o": ("untied", "lora_target_modules: [o_proj]"),
    "gate_up": ("tied", "lora_target_modules: [gate_proj, up_proj]"),
    "down": ("tied", "lora_target_modules: [down_proj]"),
    "one_path": ("untied", "lora_target_modules: [layers.1.self_attn.q_proj, layers.0.mlp.down_proj]"),
    "biases": ("biased", ""),
    "rslora": ("untied", "peft_use_rslora: true"),
    "rank_pattern": ("untied", r"rank_pattern: {q_proj: 2, 'layers\.0\.mlp\..*': 7}"),
    "alpha_pattern": ("untied", r"alpha_pattern: {v_proj: 3, 'layers\.1\..*': 20}"),
    "patterns_rslora": ("tied", "peft_use_rslora: true\nrank_pattern: {o_proj: 9}\nalpha_pattern: {o_proj: 5, up_proj: 2}"),
    "head_saved": ("untied", "lora_modules_to_save: [lm_head]"),
    "ends_saved": ("untied", f"lora_modules_to_save: {ENDS}"),
    "tied_head_saved": ("tied", "lora_modules_to_save: [lm_head]"),
    "tied_embedding_saved": ("tied", "lora_modules_to_save: [embed_tokens]"),
    "tied_ends_saved": ("tied", f"lora_modules_to_save: {ENDS}"),
    "ends_adapted": ("untied", "lora_target_modules: [q_proj, embed_tokens, lm_head]\nrank_pattern: {lm_head: 5}"),
    "tied_ends_adapted": ("tied", "lora_target_modules: [down_proj, embed_tokens, lm_head]"),
    "tied_head_adapted": ("tied", "lora_target_modules: [v_proj, lm_head]"),
    "embedding_adapted_head_saved": ("untied", "lora_target_modules: [q_proj, embed_tokens]\nlora_modules_to_save: [lm_head]"),
    "dora": ("untied", "peft_use_dora: true"),
    "dora_biases": ("biased", "peft_use_dora: true"),
    "dora_patterns": ("tied", "peft_use_dora: true\npeft_use_rslora: true\nrank_pattern: {v_proj: 9}\nalpha_pattern: {k_proj: 3}"),
    "dora_ends_saved": ("untied", f"peft_use_dora: true\nlora_modules_to_save: {ENDS}"),
    "pissa": ("untied", "init_lora_weights: pissa"),
    "pissa_niter": ("tied", "init_lora_weights: pissa_niter_4"),
    "pissa_rslora": ("untied", "init_lora_weights: pissa\npeft_use_rslora: true"),
    "pissa_patterns": ("untied", "init_lora_weights: pissa\nrank_pattern: {q_proj: 2}\nalpha_pattern: {q_proj: 3, up_proj: 5}"),
    "pissa_head_saved": ("untied", "init_lora_weights: pissa\nlora_modules_to_save: [lm_head]"),
    "dropout_loraplus_neftune": ("untied", "lora_dropout: 0.2\nloraplus_lr_ratio: 4\nneftune_noise_alpha: 5"),
    "checkpointing_8bit_moments": ("untied", "gradient_checkpointing: full\noptimizer: adamw_8bit"),
    "nf4": ("untied", "adapter: qlora"),
    "fp4_plain_scales": ("untied", "adapter: qlora\nbnb_4bit_quant_type: fp4\nbnb_4bit_use_double_quant: false"),
    "nf4_dora": ("untied", "adapter: qlora\npeft_use_dora: true"),
    "nf4_pissa": ("untied", "adapter: qlora\ninit_lora_weights: pissa"),
    "nf4_ends_saved": ("untied", f"adapter: qlora\nlora_modules_to_save: {ENDS}"),
}
# Rates that move the logits far in few steps, so that a difference cannot hide.
COMMON = """lora_r: 4
lora_alpha: 12
max_steps: 8
learning_rate: 1e-2
loraplus_lr_embedding: 1e-2
warmup_steps: 0
lr_scheduler: constant
sequence_len: 64
micro_batch_tokens: 256
cleaning: {near_duplicates: null}
evaluation: {max_examples: 1, max_answers: 0}
"""
TOLERANCE = 1e-4


def make_base(folder, tokenizer, name):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / file, folder)
    words = json.loads((tokenizer / "config.json").read_text())["vocab_size"]
    kind, model = (Qwen2Config, Qwen2ForCausalLM) if name == "biased" else (LlamaConfig, LlamaForCausalLM)
    config = kind(
        vocab_size=words, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=name == "tied", initializer_range=0.1,
    )
    torch.manual_seed(3)
    built = model(config)
    for parameter_name, parameter in built.named_parameters():
        if parameter_name.endswith(".bias"):
            torch.nn.init.normal_(parameter, std=0.1)
    built.save_pretrained(folder)


def write_rows(path):
    signs = ["fever", "pallor", "jaundice", "cough", "oedema", "tremor", "rash", "syncope"]
    rows = [
        {"question": f"Which finding number {i} belongs to case {chr(97 + i % 26)}?", "answer": f"It is {sign} of grade {i % 7}."}
        for i, sign in enumerate(signs * 8)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(binary, *arguments):
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"medtune {arguments[0]}: {done.stderr.strip()}")


def load(base, recipe):
    """The base in PyTorch, quantized as the recipe says."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    more = {}
    if "qlora" in recipe:
        more["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="fp4" if "fp4" in recipe else "nf4",
            bnb_4bit_use_double_quant="double_quant: false" not in recipe,
            bnb_4bit_compute_dtype=torch.float32,
        )
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager", **more)
    # Where the processor has products of bf16, bitsandbytes multiplies four-bit weights in it whatever was asked for.
    return (model.dequantize() if more else model).eval()


def check(binary, folder, base, recipe):
    """Trains one kind and compares it."""
    from peft import PeftModel

    out = folder / "run"
    path = folder / "recipe.yaml"
    text = COMMON + f"base_model: {base}\ndatasets: [{{path: {folder.parent / 'rows.jsonl'}}}]\noutput_dir: {out}\n{recipe}\n"
    path.write_text(text)
    run(binary, "train", path)
    adapter = out / "adapter"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = PeftModel.from_pretrained(load(base, recipe), adapter).eval()
    messages = [str(warning.message) for warning in caught]
    complaints = [text for text in messages if "missing" in text.lower() or "unexpected" in text.lower()]
    verdict = compare(model, binary, ["--model", base, "--adapter", adapter], TOLERANCE)
    verdict["effect"] = effect(model)
    if "qlora" not in recipe:
        run(binary, "merge", "--model", base, "--adapter", adapter, "--out", folder / "merged", "--dtype", "f32")
        verdict["merged"] = compare(load(folder / "merged", ""), binary, ["--model", base, "--adapter", adapter], TOLERANCE)
        verdict["ok"] = verdict["ok"] and verdict["merged"]["ok"]
    if complaints:
        verdict.update(ok=False, reason=complaints[0])
    elif verdict["effect"] < 100 * TOLERANCE:
        verdict.update(ok=False, reason="the adapter has too small an effect to be checked")
    return verdict


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("medtune", help="the program")
    parser.add_argument("--tokenizer", type=pathlib.Path, default=pathlib.Path("models/base"), help="a base that has one")
    parser.add_argument("--only", nargs="*", help="kinds to check")
    parser.add_argument("--json", action="store_true", help="the verdict as JSON")
    args = parser.parse_args()

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    import transformers

    transformers.utils.logging.disable_progress_bar()
    verdicts = {}
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        write_rows(place / "rows.jsonl")
        bases = {}
        for kind, (base, recipe) in KINDS.items():
            if args.only and kind not in args.only:
                continue
            if base not in bases:
                bases[base] = place / base
                bases[base].mkdir()
                make_base(bases[base], args.tokenizer, base)
            folder = place / f"kind-{kind}"
            folder.mkdir()
            try:
                verdict = check(args.medtune, folder, bases[base], recipe)
            except Exception as error:  # a verdict is wanted whatever goes wrong
                verdict = {"ok": False, "reason": f"{type(error).__name__}: {error}"}
            verdicts[kind] = verdict
            if not args.json:
                print(f"{kind:30} {'ok' if verdict['ok'] else 'FAILS':6}", end="")
                print(f"{verdict.get('relative_difference', float('nan')):9.1e} of {verdict.get('effect', 0):.2f}", end="")
                merged = verdict.get("merged")
                print(f", merged {merged['relative_difference']:.1e}" if merged else "", verdict.get("reason", ""), flush=True)
    passed = sum(verdict["ok"] for verdict in verdicts.values())
    if args.json:
        print(json.dumps({"kinds": verdicts, "ok": passed == len(verdicts)}, indent=2))
    else:
        print(f"{passed} of {len(verdicts)} kinds")
    sys.exit(0 if passed == len(verdicts) else 1)


if __name__ == "__main__":
    main()
