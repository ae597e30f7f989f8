"""What the tools share: the shapes, memory, the JSON line, rows."""

import ctypes
import json
import os
import resource
import statistics

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

SMOLLM2_135M = dict(
    vocab_size=49152,
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    max_position_embeddings=8192,
    rms_norm_eps=1e-5,
    rope_theta=100000.0,
    tie_word_embeddings=True,
)


TINYLLAMA = dict(
    vocab_size=32000,
    hidden_size=2048,
    intermediate_size=5632,
    num_hidden_layers=22,
    num_attention_heads=32,
    num_key_value_heads=4,
    max_position_embeddings=2048,
    rms_norm_eps=1e-5,
    rope_theta=10000.0,
    tie_word_embeddings=False,
)

SHAPES = {"smollm2135m": SMOLLM2_135M, "tinyllama": TINYLLAMA}


def shape(layers=None, name="smollm2135m"):
    """A shape by the name that `medtune bench` has for it, with fewer layers for a quick try."""
    return dict(SHAPES[name], num_hidden_layers=layers or SHAPES[name]["num_hidden_layers"])


def llama_config(layers=None, name="smollm2135m", **more):
    """The shape as transformers wants it, with the rope base where this version of it looks."""
    from transformers import LlamaConfig

    wanted = shape(layers, name)
    theta = wanted.pop("rope_theta")
    config = LlamaConfig(**wanted, rope_parameters={"rope_type": "default", "rope_theta": theta}, **more)
    assert config.rope_parameters["rope_theta"] == theta
    return config


def lora_config():
    """The adapter of all comparisons."""
    from peft import LoraConfig

    return LoraConfig(
        r=16, lora_alpha=32, lora_dropout=0.0, bias="none", target_modules=PROJECTIONS, task_type="CAUSAL_LM"
    )


def keep_heap():
    """Makes glibc keep freed memory: no page faults for the same large tensors in every step."""
    libc = ctypes.CDLL(None)
    trim_threshold, mmap_max = -1, -4
    libc.mallopt(mmap_max, 0)
    libc.mallopt(trim_threshold, -1)


def peak_rss_mb():
    """Most memory that this process ever had, in MB (10^6 bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def emit(record, as_json):
    """One JSON line, or the same for people."""
    if as_json:
        print(json.dumps(record), flush=True)
        return
    for key, value in record.items():
        print(f"{key:28} {value if not isinstance(value, float) else round(value, 4)}")


def read_rows(path):
    """Conversations of a prepared file: JSON lines with `messages`."""
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line)["messages"] for line in lines if line.strip()]


def median(values):
    """Median, or None of nothing."""
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None
