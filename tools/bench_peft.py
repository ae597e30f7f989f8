#!/usr/bin/env python3
"""Training steps of transformers + PEFT on the CPU: random weights, LoRA on all projections.

Same work as `medtune bench train`: every token of every row is learned, AdamW, gradient clipped at 1. The base is f32,
bf16 (which is then also what is computed in, beside f32 adapters, as PEFT does), or bitsandbytes' NF4 with f32 or bf16
computation.
"""

import argparse
import time

import common


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compile", action="store_true", help="torch.compile the model")
    parser.add_argument("--compile-layers", action="store_true", help="torch.compile one layer, which all layers share")
    parser.add_argument("--compile-mode", default="default", help="default, max-autotune-no-cudagraphs, …")
    parser.add_argument("--keep-heap", action="store_true", help="tune glibc's allocator: freed memory is kept")
    parser.add_argument("--fused-head", action="store_true", help="TRL's head, which never holds all logits")
    parser.add_argument("--steps", type=int, default=5, help="measured steps")
    parser.add_argument("--warmup", type=int, help="steps before (1; 2 with --compile)")
    parser.add_argument("--shape", default="smollm2135m", choices=list(common.SHAPES))
    parser.add_argument("--base", default="f32", choices=["f32", "bf16", "nf4", "nf4-double"])
    parser.add_argument("--compute", default="f32", choices=["f32", "bf16"], help="of a four-bit base")
    parser.add_argument("--layers", type=int, help="fewer than the shape has, for a try")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON line")
    return parser.parse_args()


def build(args):
    import torch
    from peft import get_peft_model
    from transformers import LlamaForCausalLM

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    config = common.llama_config(args.layers, args.shape, use_cache=False, attn_implementation="sdpa")
    stored = torch.bfloat16 if args.base == "bf16" else torch.float32
    model = LlamaForCausalLM(config).to(stored)
    if args.base.startswith("nf4"):
        model = four_bit(torch, model, args)
    if args.fused_head:
        from trl.trainer.utils import add_fused_lm_head

        add_fused_lm_head(model)
    model = get_peft_model(model, common.lora_config())
    model.train()
    trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    assert trainable and all("lora_" in name for name, _ in trainable), "the base must be frozen"
    assert all(p.dtype == torch.float32 for _, p in trainable)
    return torch, model, [p for _, p in trainable]


def four_bit(torch, model, args):
    """The model with its projections in NF4, as transformers loads it with bitsandbytes."""
    import tempfile

    from peft import prepare_model_for_kbit_training
    from transformers import BitsAndBytesConfig, LlamaForCausalLM

    compute = torch.bfloat16 if args.compute == "bf16" else torch.float32
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=args.base == "nf4-double",
        bnb_4bit_compute_dtype=compute,
    )
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        del model
        loaded = LlamaForCausalLM.from_pretrained(
            folder, quantization_config=quantization, dtype=compute, attn_implementation="sdpa"
        )
    loaded.config.use_cache = False
    return prepare_model_for_kbit_training(loaded, use_gradient_checkpointing=False)


def main():
    args = arguments()
    if args.keep_heap:
        common.keep_heap()
    warmup = args.warmup if args.warmup is not None else (2 if args.compile or args.compile_layers else 1)
    torch, model, trainable = build(args)
    optimizer = torch.optim.AdamW(trainable, lr=2e-4, weight_decay=0.0, fused=True)
    ids = torch.randint(0, model.config.vocab_size, (args.batch, args.length))
    run = torch.compile(model, dynamic=False, mode=args.compile_mode) if args.compile else model
    if args.compile_layers:
        for layer in model.get_base_model().model.layers:
            layer.compile(dynamic=False, mode=args.compile_mode)

    def loss_of(ids):
        if not args.fused_head:
            return run(input_ids=ids, labels=ids).loss
        out = run(input_ids=ids, labels=ids, fused_lm_head=True)
        return -out.log_probs.sum() / out.label_mask.sum()

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(ids)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        return loss.item()

    losses, times = [], []
    for _ in range(warmup + args.steps):
        started = time.perf_counter()
        losses.append(step())
        times.append((time.perf_counter() - started) * 1e3)
    assert all(not p.requires_grad and p.grad is None for n, p in model.named_parameters() if "lora_" not in n)
    measured = times[warmup:]
    tokens = args.batch * args.length
    variants = [(args.base, args.base != "f32"), (f"{args.compute}-compute", args.compute != "f32")]
    variants += [("compile", args.compile), ("compile-layers", args.compile_layers)]
    variants += [("keep-heap", args.keep_heap), ("fused-head", args.fused_head)]
    middle, best = common.median(measured), min(measured)
    import peft
    import transformers

    common.emit(
        {
            "program": "peft-" + ("+".join(name for name, on in variants if on) or "eager"),
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__},
            "shape": args.shape,
            "base": args.base,
            "layers": model.config.num_hidden_layers,
            "batch": args.batch,
            "length": args.length,
            "threads": torch.get_num_threads(),
            "trainable": sum(p.numel() for p in trainable),
            "loss_step0": losses[0],
            "loss_last": losses[-1],
            "warmup_s": sum(times[:warmup]) / 1e3,
            "step_ms": [round(t, 2) for t in measured],
            "median_ms": middle,
            "best_ms": best,
            "tokens_per_second": tokens / middle * 1e3,
            "tokens_per_second_best": tokens / best * 1e3,
            "peak_rss_mb": common.peak_rss_mb(),
        },
        args.json,
    )


if __name__ == "__main__":
    main()
