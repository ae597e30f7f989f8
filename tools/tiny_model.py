"""A model of random weights that is so small that what surrounds it can be measured."""

import array
import json
import math
import pathlib
import random
import shutil
import struct

SHAPE = {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 4096}


def write(base, folder):
    """A Llama with the vocabulary of `base`, a folder in Hugging Face layout, in bf16."""
    base, folder = pathlib.Path(base), pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for file in base.iterdir():
        if "tokenizer" in file.name or "template" in file.name or file.name == "special_tokens_map.json":
            shutil.copy(file, folder)
    config = json.loads((base / "config.json").read_text()) | SHAPE
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    wide, inner, vocabulary = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    shapes = {"model.embed_tokens.weight": [vocabulary, wide], "model.norm.weight": [wide]}
    if not config.get("tie_word_embeddings"):
        shapes["lm_head.weight"] = [vocabulary, wide]
    for layer in range(config["num_hidden_layers"]):
        parts = {"self_attn.q_proj": [wide, wide], "self_attn.k_proj": [keys, wide],
                 "self_attn.v_proj": [keys, wide], "self_attn.o_proj": [wide, wide],
                 "mlp.gate_proj": [inner, wide], "mlp.up_proj": [inner, wide], "mlp.down_proj": [wide, inner],
                 "input_layernorm": [wide], "post_attention_layernorm": [wide]}
        shapes |= {f"model.layers.{layer}.{part}.weight": shape for part, shape in parts.items()}
    header, values, draws = {}, array.array("H"), random.Random(7)
    for name, shape in shapes.items():
        begin = 2 * len(values)
        deviation = 0.0 if len(shape) == 1 else 1 / math.sqrt(wide)
        values.extend(bf16(draws.gauss(float(len(shape) == 1), deviation)) for _ in range(math.prod(shape)))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, 2 * len(values)]}
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + values.tobytes())


def bf16(value):
    return struct.unpack("<I", struct.pack("<f", value))[0] >> 16
