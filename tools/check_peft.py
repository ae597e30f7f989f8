#!/usr/bin/env python3
"""Checks what medtune writes against transformers and PEFT: that the base folder loads, that a conversation has the
same tokens, that an adapter loads and gives the same logits, and (--merged) that a merged model does.

Prints a JSON verdict; exits with 1 when a check fails. Differences are relative to the largest logit."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

import common

CONVERSATIONS = [
    [
        {"role": "user", "content": "What are the symptoms of anemia?"},
        {"role": "assistant", "content": "Tiredness, pale skin and shortness of breath; Hb < 12 g/dl."},
    ],
    [
        {"role": "system", "content": "Answer in one sentence."},
        {"role": "user", "content": "Is β-thalassaemia inherited?"},
        {"role": "assistant", "content": "Yes:\n- from both parents, in most cases."},
        {"role": "user", "content": "  Are there 2 kinds?  "},
        {"role": "assistant", "content": "There are: minor and major (Cooley's anemia) 🩸."},
    ],
]


def medtune(binary, *arguments):
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{binary} {' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def sequences(vocabulary):
    """A few sequences of ids that any vocabulary of 300 or more holds."""
    import random

    chance = random.Random(7)
    return [[1], [5, 9, 3]] + [[chance.randrange(3, vocabulary) for _ in range(n)] for n in (17, 64)]


def compare(model, binary, arguments, tolerance):
    """The largest relative difference of last-position logits between `model` and medtune."""
    import torch

    worst, same_top = 0.0, True
    for ids in sequences(model.config.vocab_size):
        with torch.no_grad():
            expected = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].double()
        found = medtune(binary, "inspect", "logits", *arguments, "--ids", ",".join(map(str, ids)), "--json")
        found = torch.tensor(found["logits"], dtype=torch.float64)
        if found.shape != expected.shape:
            return {"ok": False, "reason": f"{found.numel()} logits, expected {expected.numel()}"}
        worst = max(worst, ((found - expected).abs().max() / expected.abs().max()).item())
        same_top = same_top and found.argmax() == expected.argmax()
    return {"ok": worst <= tolerance, "relative_difference": worst, "tolerance": tolerance, "same_top": bool(same_top)}


def effect(model):
    """How far the adapter moves the logits, relative to the largest."""
    import torch

    ids = torch.tensor(sequences(model.config.vocab_size)[-1:])
    with torch.no_grad():
        tuned = model(input_ids=ids, use_cache=False).logits[0, -1]
        with model.disable_adapter():
            base = model(input_ids=ids, use_cache=False).logits[0, -1]
    return ((tuned - base).abs().max() / base.abs().max()).item()


def check_tokens(base, adapter, binary):
    """Ids of apply_chat_template and of medtune, with the mask where the template marks answers."""
    from transformers import AutoTokenizer

    # An adapter folder carries the tokenizer and the template that it was trained with.
    carries = adapter is not None and (adapter / "tokenizer_config.json").is_file()
    tokenizer = AutoTokenizer.from_pretrained(adapter if carries else base)
    where = ["--model", base] + (["--adapter", adapter] if adapter else [])
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "conversations.jsonl"
        path.write_text("".join(json.dumps({"messages": m, "id": str(i)}) + "\n" for i, m in enumerate(CONVERSATIONS)))
        for index, messages in enumerate(CONVERSATIONS):
            expected = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
            found = medtune(binary, "inspect", "tokens", path, *where, "--index", index, "--json")["tokens"]
            ids, learned = [t["id"] for t in found], [int(t["learned"]) for t in found]
            if ids != list(expected["input_ids"]):
                return {"ok": False, "conversation": index, "medtune": ids, "transformers": list(expected["input_ids"])}
            mask = list(expected["assistant_masks"])
            if any(mask) and mask != learned:
                return {"ok": False, "conversation": index, "reason": "other tokens are learned", "medtune": learned}
    return {"ok": True, "conversations": len(CONVERSATIONS), "mask_compared": any(mask)}


def stored_type(folder):
    """The type of the model's weights on disk."""
    from safetensors import safe_open

    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            return str(file.get_slice(next(iter(file.keys()))).get_dtype())
    return "?"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("adapter", type=pathlib.Path, help="the adapter folder; - for none")
    parser.add_argument("base", type=pathlib.Path, help="the base folder")
    parser.add_argument("medtune", help="the program")
    parser.add_argument("--merged", type=pathlib.Path, help="also check the model merged from the two")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--merged-tolerance", type=float, help="1e-4 for f32, 2e-2 for bf16 and f16")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    adapter = None if str(args.adapter) == "-" else args.adapter

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.filterwarnings("ignore")
    import torch
    import transformers
    from peft import PeftConfig, PeftModel
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForCausalLM

    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(args.threads)
    load = lambda folder: AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    verdict = {"base_type": stored_type(args.base)}

    def attempt(name, check):
        try:
            verdict[name] = check()
        except Exception as error:  # a verdict is wanted whatever goes wrong
            verdict[name] = {"ok": False, "reason": f"{type(error).__name__}: {error}"}

    def base_check():
        return compare(load(args.base), args.medtune, ["--model", args.base], args.tolerance)

    def adapter_check(adapter):
        config = PeftConfig.from_pretrained(adapter)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = PeftModel.from_pretrained(load(args.base), adapter).eval()
        missing = [str(w.message) for w in caught if "missing" in str(w.message).lower()]
        moved = [n for n, p in model.named_parameters() if "lora_B" in n and p.abs().max() > 0]
        result = compare(model, args.medtune, ["--model", args.base, "--adapter", adapter], args.tolerance)
        result["effect"] = effect(model)
        result.update(
            rank=config.r, alpha=config.lora_alpha, rslora=config.use_rslora, targets=sorted(config.target_modules),
            nonzero_b=len(moved),
        )
        if missing or not moved:
            result.update(ok=False, reason=missing[0] if missing else "every B is zero: nothing was learned")
        return result

    def amplified_check(rslora):
        """The same for a copy whose B is made large and whose scale is PEFT's other one: after few steps an adapter
        may change the logits by less than the tolerance, and its check would then say nothing."""
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder)
            config = json.loads((adapter / "adapter_config.json").read_text())
            config["use_rslora"] = rslora
            (copy / "adapter_config.json").write_text(json.dumps(config))
            tensors = load_file(adapter / "adapter_model.safetensors")
            torch.manual_seed(1)
            for name, tensor in tensors.items():
                if "lora_B" in name:
                    tensors[name] = 0.02 * torch.randn(tensor.shape)
            save_file(tensors, copy / "adapter_model.safetensors", metadata={"format": "pt"})
            result = adapter_check(copy)
        if result["ok"] and result["effect"] < 100 * args.tolerance:
            result.update(ok=False, reason="the adapter has too small an effect to be checked")
        return result

    def merged_check():
        kind = stored_type(args.merged)
        tolerance = args.merged_tolerance or (1e-4 if kind == "F32" else 2e-2)
        merged = load(args.merged)
        result = compare(merged, args.medtune, ["--model", args.merged], args.tolerance)
        expected = PeftModel.from_pretrained(load(args.base), adapter).merge_and_unload().eval()
        worst = 0.0
        for ids in sequences(expected.config.vocab_size):
            with torch.no_grad():
                a, b = (m(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1] for m in (merged, expected))
            worst = max(worst, ((a - b).abs().max() / b.abs().max()).item())
        result.update(
            type=kind, merge_relative_difference=worst, merge_tolerance=tolerance, ok=result["ok"] and worst <= tolerance
        )
        return result

    attempt("base", base_check)
    attempt("tokens", lambda: check_tokens(args.base, adapter, args.medtune))
    if adapter:
        attempt("adapter", lambda: adapter_check(adapter))
        attempt("amplified", lambda: amplified_check(False))
        attempt("amplified_rslora", lambda: amplified_check(True))
    if args.merged and adapter:
        attempt("merged", merged_check)
    verdict["ok"] = all(part["ok"] for part in verdict.values() if isinstance(part, dict))
    print(json.dumps(verdict, indent=2))
    sys.exit(0 if verdict["ok"] else 1)


if __name__ == "__main__":
    main()
