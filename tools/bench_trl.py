#!/usr/bin/env python3
"""Supervised fine-tuning with TRL's SFTTrainer on the CPU, on conversations of a prepared file.

Only answers are learned (assistant_only_loss); f32; LoRA r 16 on all projections. What is counted: useful tokens (those
with a label), real tokens (without padding) and padded tokens (what the model computed), per second of whole
optimizer steps, without the first ones.

Variants:
  default  SFTTrainer's own settings, 8 rows a batch: random order, padding, gradient checkpointing
  grouped  rows of like length together, 2 rows a batch, 4 batches a step, no checkpointing
  single   1 row a batch, 8 batches a step: no padding at all, no checkpointing
  packed   several rows in 1,024 tokens (`packing`), 1 such row a batch, 4 a step, no checkpointing. TRL recommends
           flash attention for it; with sdpa transformers builds the block mask, and --check-packing shows that the
           rows do not see each other
--plain-loss takes transformers' own loss instead of TRL's tiled head, which computes metrics as well.
"""

import argparse
import itertools
import os
import random
import tempfile
import time

import common

VARIANTS = {
    "default": dict(per_device_train_batch_size=8),
    "grouped": dict(
        per_device_train_batch_size=2,
        gradient_accumulation_steps=4,
        train_sampling_strategy="group_by_length",
        gradient_checkpointing=False,
    ),
    "single": dict(per_device_train_batch_size=1, gradient_accumulation_steps=8, gradient_checkpointing=False),
    "packed": dict(
        per_device_train_batch_size=1,
        gradient_accumulation_steps=4,
        packing=True,
        packing_strategy="bfd",
        gradient_checkpointing=False,
    ),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help="a model folder (make_base.py writes one)")
    parser.add_argument("--data", required=True, help="JSON lines with `messages`")
    parser.add_argument("--variant", choices=VARIANTS, default="default")
    parser.add_argument("--best", action="store_true", help="--variant grouped --plain-loss --keep-heap")
    parser.add_argument("--plain-loss", action="store_true", help="transformers' loss instead of TRL's head")
    parser.add_argument("--keep-heap", action="store_true", help="tune glibc's allocator: freed memory is kept")
    parser.add_argument("--compile", action="store_true", help="torch_compile")
    parser.add_argument("--steps", type=int, default=12, help="measured steps")
    parser.add_argument("--warmup", type=int, default=1, help="steps before")
    parser.add_argument("--rows", type=int, default=0, help="take so many rows at random; 0: as the steps need")
    parser.add_argument("--max-length", type=int, default=1024)
    parser.add_argument("--micro-batch", type=int, help="rows a batch, instead of the variant's")
    parser.add_argument("--accumulate", type=int, help="batches a step, instead of the variant's")
    parser.add_argument("--drop-long", action="store_true", help="leave out longer rows, as medtune does, not cut them")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--check-packing", action="store_true", help="only compare a packed row with its parts")
    parser.add_argument("--json", action="store_true", help="one JSON line")
    args = parser.parse_args()
    if args.best:
        args.variant, args.plain_loss, args.keep_heap = "grouped", True, True
    if args.check_packing:
        args.variant = "packed"
    return args


def rows(args, wanted, tokenizer):
    from datasets import Dataset, disable_caching, disable_progress_bars

    disable_caching()
    disable_progress_bars()
    conversations = common.read_rows(args.data)
    conversations = random.Random(args.seed).sample(conversations, min(wanted, len(conversations)))
    before = len(conversations)
    if args.drop_long:
        fits = lambda m: len(tokenizer.apply_chat_template(m, return_dict=False)) <= args.max_length
        conversations = [m for m in conversations if fits(m)]
    return Dataset.from_list([{"messages": m} for m in conversations]), before - len(conversations)


def trainer_class(plain_loss):
    from transformers import Trainer
    from trl import SFTTrainer

    class Counting(SFTTrainer):
        """Counts what goes through the model, and when a step is done."""

        counted = (0, 0, 0)
        losses = []

        def training_step(self, model, inputs, *more, **named):
            useful = int((inputs["labels"][:, 1:] != -100).sum())
            padded = inputs["input_ids"].numel()
            real = int(inputs["attention_mask"].sum()) if "attention_mask" in inputs else padded
            self.counted = tuple(a + b for a, b in zip(self.counted, (useful, real, padded)))
            loss = super().training_step(model, inputs, *more, **named)
            self.losses.append(loss.item())
            return loss

        if plain_loss:

            def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
                inputs["use_cache"] = False
                return Trainer.compute_loss(self, model, inputs, return_outputs, num_items_in_batch)

    return Counting


def build(args, folder):
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(args.threads)
    tokenizer = AutoTokenizer.from_pretrained(args.base)
    model = AutoModelForCausalLM.from_pretrained(args.base, dtype=torch.float32, attn_implementation="sdpa")
    settings = dict(VARIANTS[args.variant])
    if args.micro_batch:
        settings["per_device_train_batch_size"] = args.micro_batch
    if args.accumulate:
        settings["gradient_accumulation_steps"] = args.accumulate
    # One pass over the rows, so that rows grouped by length, the longest first, are a fair sample in the end; for
    # packed rows more than enough.
    a_step = settings["per_device_train_batch_size"] * settings.get("gradient_accumulation_steps", 1)
    wanted = args.rows or (args.warmup + args.steps) * a_step * (8 if settings.get("packing") else 1)
    data, dropped = rows(args, wanted, tokenizer)
    config = SFTConfig(
        output_dir=folder,
        max_steps=args.warmup + args.steps,
        max_length=args.max_length,
        assistant_only_loss=True,
        learning_rate=2e-4,
        bf16=False,
        use_cpu=True,
        dataloader_pin_memory=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        seed=args.seed,
        torch_compile=args.compile,
        **settings,
    )
    trainer = trainer_class(args.plain_loss)(
        model=model, args=config, train_dataset=data, processing_class=tokenizer, peft_config=common.lora_config()
    )
    trainable = [n for n, p in trainer.model.named_parameters() if p.requires_grad]
    assert trainable and all("lora_" in n for n in trainable), "the base must be frozen"
    return trainer, config, dropped


def measure(args, trainer):
    """Seconds and counts of each step."""
    from transformers import TrainerCallback

    marks = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_, **__):
            if not marks:
                marks.append((time.perf_counter(), (0, 0, 0)))

        def on_step_end(self, *_, **__):
            marks.append((time.perf_counter(), trainer.counted))

    trainer.add_callback(Clock())
    trainer.train()
    steps = [
        (b[0] - a[0], *(y - x for x, y in zip(a[1], b[1]))) for a, b in zip(marks, marks[1:])
    ]
    return steps[: args.warmup], steps[args.warmup :]


def check_packing(args, trainer):
    """Largest difference of log-probabilities between a packed row and its parts alone, relative to the largest."""
    import torch

    model = trainer.model.eval()
    worst = largest = 0.0
    parts = 0
    packed = (row for row in trainer.train_dataset if len(row["seq_lengths"]) > 1)
    for example in itertools.islice(packed, 3):
        batch = trainer.data_collator([example])
        with torch.no_grad():
            whole = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits[0]
            start = 0
            for length in example["seq_lengths"]:
                ids = torch.tensor([example["input_ids"][start : start + length]])
                alone = model(input_ids=ids, use_cache=False).logits[0]
                worst = max(worst, (whole[start : start + length] - alone).abs().max().item())
                largest = max(largest, alone.abs().max().item())
                start += length
                parts += 1
    if parts == 0:
        raise SystemExit("no row of the packed data has several parts")
    relative = worst / largest
    common.emit(
        {"check": "packing", "parts": parts, "relative_difference": relative, "ok": relative < 1e-4}, args.json
    )
    raise SystemExit(0 if relative < 1e-4 else 1)


def main():
    args = arguments()
    if args.keep_heap:
        common.keep_heap()
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    import logging

    logging.getLogger("trl").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        trainer, config, dropped = build(args, folder)
        if args.check_packing:
            check_packing(args, trainer)
        warmup, steps = measure(args, trainer)
    import torch
    import transformers
    import trl

    # What the model really does, whatever the settings are called.
    checkpointing = any(getattr(m, "gradient_checkpointing", False) for m in trainer.model.modules())
    seconds, useful, real, padded = (sum(step[i] for step in steps) for i in range(4))
    variants = [("plain-loss", args.plain_loss), ("keep-heap", args.keep_heap), ("compile", args.compile)]
    common.emit(
        {
            "program": "trl-" + "+".join([args.variant] + [name for name, on in variants if on]),
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__},
            "threads": torch.get_num_threads(),
            "rows": len(trainer.train_dataset),
            "rows_left_out": dropped,
            "micro_batch": config.per_device_train_batch_size,
            "accumulate": config.gradient_accumulation_steps,
            "gradient_checkpointing": checkpointing,
            "loss_step0": sum(trainer.losses[: config.gradient_accumulation_steps]),
            "warmup_s": sum(step[0] for step in warmup),
            "steps": len(steps),
            "seconds": seconds,
            "step_s": [round(step[0], 3) for step in steps],
            "useful_tokens": useful,
            "real_tokens": real,
            "padded_tokens": padded,
            "useful_tokens_per_second": useful / seconds,
            "real_tokens_per_second": real / seconds,
            "padded_tokens_per_second": padded / seconds,
            "best_useful_tokens_per_second": max(step[1] / step[0] for step in steps),
            "peak_rss_mb": common.peak_rss_mb(),
        },
        args.json,
    )


if __name__ == "__main__":
    main()
