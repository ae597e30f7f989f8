#!/usr/bin/env python3
"""Puts what medtune exports as GGUF beside llama.cpp, which loads and runs it.

Checks, each with its figures in the JSON verdict on standard output (exit 1 when one fails):
- f32: files load, conversations have the same ids, greedy ids are equal, logits are within 1e-3 of the largest;
- quantized: the same types and bytes as `llama_model_quantize` of the f32 file, and the KL divergence to f32,
  evaluated in llama.cpp, not above that of llama.cpp's own file by more than 5 %;
- with an importance matrix: the same, with the matrix that medtune has collected given to llama.cpp;
- a LoRA adapter as GGUF gives on the base what medtune makes of it.

    check_llama_cpp.py target/release/medtune models/base --data DIR --vectors crates/model/tests/llama_cpp.json

With --blocks it only prints the digests of `ggml_quantize_chunk` that crates/formats/tests/encode.rs compares with.

Needs llama-cpp-python 0.3.36 built from source, gguf 0.19.0, numpy and safetensors.
"""

import argparse
import ctypes
import json
import math
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
from llama_cpp.llama_chat_format import Jinja2ChatFormatter
from safetensors.numpy import save_file

QUANTS = {"q8_0": 7, "q4_0": 2, "q5_0": 8, "q6_k": 18, "q5_k_m": 17, "q4_k_m": 15}
QUESTION = "What are the symptoms of asthma?"
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


class Checker:
    def __init__(self, arguments):
        self.medtune = Path(arguments.medtune).resolve()
        self.base = Path(arguments.base).resolve()
        self.verdict = {}
        self.vectors = {}
        self.failed = []

    def expect(self, what, holds, **figures):
        self.verdict[what] = {"holds": bool(holds), **figures}
        print("ok  " if holds else "FAIL", what, figures, file=sys.stderr, flush=True)
        if not holds:
            self.failed.append(what)

    def run(self, *arguments):
        output = subprocess.run([self.medtune, *map(str, arguments)], capture_output=True, text=True)
        if output.returncode:
            raise SystemExit(f"medtune {' '.join(map(str, arguments))}: {output.stderr}")
        return json.loads(output.stdout)

    def export(self, source, out, quant, *more, to="gguf"):
        self.run("export", source, "--to", to, "--quant", quant, "--out", out, "--json", *more)
        return next(path for path in out.iterdir() if path.suffix == ".gguf" and path.name != "imatrix.gguf")

    def logits(self, model, ids, *more):
        ids = ",".join(map(str, ids))
        return np.array(self.run("inspect", "logits", "--model", model, "--ids", ids, "--json", *more)["logits"])

    def greedy(self, model, ids, count, *more):
        ids = list(ids)
        for _ in range(count):
            ids.append(int(self.logits(model, ids, *more).argmax()))
        return ids[-count:]


def load(path, context=512):
    """A model in llama.cpp with keys and values in f32."""
    return llama_cpp.Llama(str(path), n_ctx=context, logits_all=True, n_threads=2, type_k=0, type_v=0, verbose=False)


def scores(llama, ids):
    """The logits after every id, [T, V]."""
    llama.reset()
    llama.eval(list(ids))
    return np.array(llama.scores[: len(ids)], dtype=np.float64)


def llama_greedy(llama, ids, count):
    ids = list(ids)
    for _ in range(count):
        ids.append(int(scores(llama, ids)[-1].argmax()))
    return ids[-count:]


def log_softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def divergence(p, other):
    """Mean KL(p || other) a token, from log-probabilities and logits."""
    return float((np.exp(p) * (p - log_softmax(other))).sum(-1).mean())


def importance_of(path):
    """The matrices of an imatrix file as llama.cpp's quantizer takes them, with medtune's floor for inputs never seen."""
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}
    found = {}
    for name, sums in tensors.items():
        if not name.endswith(".in_sum2"):
            continue
        weight = name.removesuffix(".in_sum2")
        sums = sums.astype(np.float64).ravel()
        count = int(tensors[weight + ".counts"].ravel()[0])
        found[weight] = (np.maximum(sums, 1e-6 * sums.mean()) / count).astype(np.float32)
    return found


def quantize(source, out, file_type, importance=None):
    """llama.cpp's own quantization."""
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = file_type
    parameters.nthread = 2
    if importance:
        entry = llama_cpp.llama_cpp.llama_model_imatrix_data
        array = (entry * (len(importance) + 1))()
        for slot, (name, values) in zip(array, importance.items()):
            slot.name = name.encode()
            slot.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            slot.size = len(values)
        parameters.imatrix = ctypes.cast(array, type(parameters.imatrix))
    if llama_cpp.llama_model_quantize(str(source).encode(), str(out).encode(), ctypes.byref(parameters)):
        raise SystemExit(f"llama.cpp does not quantize {source}")


def tensors_of(path):
    return {t.name: (t.tensor_type.name, bytes(t.data.tobytes())) for t in gguf.GGUFReader(path).tensors}


def fnv(data):
    digest = 0xCBF29CE484222325
    for byte in data:
        digest = ((digest ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"


def normal(seed, count):
    """The numbers of `normal` in crates/formats/tests/encode.rs."""
    mask = (1 << 64) - 1
    state = (seed * 0x9E3779B97F4A7C15 & mask) | 1
    values = np.zeros(count, np.float32)
    for index in range(count):
        total = np.float32(0)
        for _ in range(12):
            state ^= state << 13 & mask
            state ^= state >> 7
            state ^= state << 17 & mask
            total += np.float32(state >> 40) / np.float32(1 << 24)
        values[index] = total - np.float32(6)
    return values


def print_blocks():
    """Digests of llama.cpp's blocks, without and with importance."""
    library = ctypes.CDLL(str(next((Path(llama_cpp.__file__).parent / "lib").glob("libggml-base.so"))))
    chunk = library.ggml_quantize_chunk
    chunk.restype = ctypes.c_size_t
    chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    rows, cols = 16, 512
    values, importance = normal(11, rows * cols), np.abs(normal(12, cols)) + np.float32(0.125)
    for kind in ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"]:
        number = gguf.GGMLQuantizationType[kind]
        elements, size = gguf.GGML_QUANT_SIZES[number]
        digests = []
        for weights in (None, importance.ctypes.data):
            out = np.zeros(rows * cols // elements * size, np.uint8)
            chunk(number, values.ctypes.data, out.ctypes.data, 0, rows, cols, weights)
            digests.append(fnv(out.tobytes()))
        print(kind, *digests)


def write_small_tokenizer(folder):
    """256 byte-level tokens, as crates/model/tests/small_vocabulary has them."""
    shown = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    beyond, characters = 0x100, []
    for byte in range(256):
        character = chr(byte) if byte in shown else chr(beyond)
        beyond += byte not in shown
        if byte not in (0xC0, 0xC1) and byte < 0xF5:
            characters.append(character)
    merges = [m.split() for m in ["Ġ t", "h e", "i n", "Ġ a", "r e", "o n", "Ġt he", "e r", "Ġ s", "a t"]]
    vocabulary = SPECIALS + characters + ["".join(merge) for merge in merges]
    assert len(set(vocabulary)) == 256
    flags = dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized"], False)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [{"id": i, "content": t, **flags, "special": True} for i, t in enumerate(SPECIALS)],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]},
        "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {token: i for i, token in enumerate(vocabulary)}, "merges": merges},
    }
    template = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}" \
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    roles = {"bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "chat_template": template}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps(roles))


def copy_of(folder, to):
    to.mkdir()
    for path in folder.iterdir():
        shutil.copyfile(path, to / path.name)
    return to


def conversations(checker, model, llama, work, name):
    """The ids of conversations: medtune's own, and llama.cpp's of the text that its template makes."""
    talks = [
        [("user", QUESTION), ("assistant", "Wheezing,  cough\n\nand 2.5 mg of naïve β-blocker.")],
        [("system", "Be brief."), ("user", "It's 39,5 °C — 你好 🤒?"), ("assistant", "OK")],
        [("user", " I'LL take 12345 "), ("assistant", "No."), ("user", "Why?"), ("assistant", "It's toxic.")],
    ]
    rows = [{"messages": [{"role": r, "content": c} for r, c in talk]} for talk in talks]
    path = work / f"{name}-talks.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    formatter = Jinja2ChatFormatter(
        template=llama.metadata["tokenizer.chat_template"],
        eos_token=llama.detokenize([llama.token_eos()], special=True).decode(),
        bos_token=llama.detokenize([llama.token_bos()], special=True).decode() if llama.token_bos() >= 0 else "",
        add_generation_prompt=False,
    )
    same = 0
    for index, row in enumerate(rows):
        shown = checker.run("inspect", "tokens", "--model", model, path, "--index", index, "--json")
        text = formatter(messages=row["messages"]).prompt
        ids = llama.tokenize(text.encode(), add_bos=False, special=True)
        same += [token["id"] for token in shown["tokens"]] == ids
    checker.expect(f"{name}: ids of conversations", same == len(rows), same=same, of=len(rows))


def check_f32(checker, name, model, work, prompt, steps=64):
    """One model in f32: loads, ids, greedy, logits. Returns the file."""
    path = checker.export(model, work / f"{name}-f32", "f32")
    llama = load(path)
    conversations(checker, model, llama, work, name)
    if isinstance(prompt, str):
        text = f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
        prompt = llama.tokenize(text.encode(), add_bos=False, special=True)
    theirs, ours = scores(llama, prompt)[-1], checker.logits(model, prompt)
    off = float(np.abs(theirs - ours).max() / np.abs(theirs).max())
    checker.expect(f"{name}: logits in f32", off < 1e-3, off=off, bound=1e-3)
    expected, got = llama_greedy(llama, prompt, steps), checker.greedy(model, prompt, steps)
    checker.expect(f"{name}: greedy ids in f32", expected == got, same=sum(a == b for a, b in zip(expected, got)), of=steps)
    top = np.argsort(-theirs)[:8]
    checker.vectors[name] = {
        "prompt": [int(i) for i in prompt], "greedy": expected,
        "likeliest": [[int(i), round(float(theirs[i]), 5)] for i in top],
    }
    return path, llama, prompt


def check_quants(checker, name, sources, llama, texts, importance=None, more=()):
    """The quantized files beside llama.cpp's own."""
    model, f32, work = sources
    reference = [log_softmax(scores(llama, ids)) for ids in texts]
    kind = "with importance" if importance else "without importance"
    for quant, number in QUANTS.items():
        ours = checker.export(model, work / f"{name}-{quant}-{bool(importance)}", quant, *more)
        theirs = work / f"{name}-{quant}-{bool(importance)}-theirs.gguf"
        quantize(f32, theirs, number, importance)
        mine, other = tensors_of(ours), tensors_of(theirs)
        types = {n for n in mine if mine[n][0] != other.get(n, ("none",))[0]}
        content = {n for n in mine if n not in types and mine[n][1] != other[n][1]}
        checker.expect(f"{name} {quant} {kind}: types and bytes", not types and not content and mine.keys() == other.keys(),
                       tensors=len(mine), other_types=sorted(types)[:5], other_bytes=sorted(content)[:5])
        own, quantizer = [divergence_of(path, texts, reference) for path in (ours, theirs)]
        checker.expect(f"{name} {quant} {kind}: KL divergence to f32", own <= 1.05 * quantizer, ours=own, llama_cpp=quantizer)
        if not importance:
            digests = {n: fnv(data) for n, (_, data) in sorted(mine.items()) if n in ("token_embd.weight", "blk.0.attn_q.weight", "blk.1.attn_v.weight", "blk.6.ffn_down.weight")}
            checker.vectors.setdefault("quantized", {}).setdefault(name, {})[quant] = {
                "types": {n: other[n][0] for n in digests}, "fnv1a": digests, "kl": round(quantizer, 8),
            }


def divergence_of(path, texts, reference):
    llama = load(path)
    return float(np.mean([divergence(logits, scores(llama, ids)) for ids, logits in zip(texts, reference)]))


def check_adapter(checker, work, f32, prompt):
    """A PEFT adapter of random numbers, as GGUF on the f32 file."""
    config = json.loads((checker.base / "config.json").read_text())
    hidden, width, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    shapes = {
        "self_attn.q_proj": (config["num_attention_heads"] * head, hidden),
        "self_attn.k_proj": (config["num_key_value_heads"] * head, hidden),
        "self_attn.v_proj": (config["num_key_value_heads"] * head, hidden),
        "self_attn.o_proj": (hidden, config["num_attention_heads"] * head),
        "mlp.gate_proj": (width, hidden), "mlp.up_proj": (width, hidden), "mlp.down_proj": (hidden, width),
    }
    rank, random = 8, np.random.default_rng(3)
    tensors = {}
    for layer in range(config["num_hidden_layers"]):
        for module, (rows, cols) in shapes.items():
            path = f"base_model.model.model.layers.{layer}.{module}"
            tensors[f"{path}.lora_A.weight"] = (random.standard_normal((rank, cols)) / math.sqrt(cols)).astype(np.float32)
            tensors[f"{path}.lora_B.weight"] = (0.05 * random.standard_normal((rows, rank))).astype(np.float32)
    adapter = work / "adapter"
    adapter.mkdir()
    save_file(tensors, adapter / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "r": rank, "lora_alpha": 16, "target_modules": [m.split(".")[1] for m in shapes],
                "task_type": "CAUSAL_LM", "base_model_name_or_path": str(checker.base), "bias": "none"}
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    out = work / "peft"
    checker.run("export", checker.base, "--adapter", adapter, "--to", "peft", "--out", out, "--json")
    llama = load(f32)
    plain = scores(llama, prompt)[-1]
    lora = llama_cpp.llama_adapter_lora_init(llama._model.model, str(out / "adapter.gguf").encode())
    if not lora:
        return checker.expect("adapter.gguf loads", False)
    adapters = (llama_cpp.llama_cpp.llama_adapter_lora_p_ctypes * 1)(lora)
    llama_cpp.llama_set_adapters_lora(llama._ctx.ctx, adapters, 1, (ctypes.c_float * 1)(1.0))
    theirs, ours = scores(llama, prompt)[-1], checker.logits(checker.base, prompt, "--adapter", adapter)
    off, moved = np.abs(theirs - ours).max() / np.abs(theirs).max(), np.abs(theirs - plain).max() / np.abs(plain).max()
    checker.expect("adapter.gguf: logits", off < 1e-3 and moved > 0.05, off=float(off), moved=float(moved))
    merged = checker.export(checker.base, work / "merged", "f32", "--adapter", adapter)
    off = np.abs(scores(load(merged), prompt)[-1] - ours).max() / np.abs(ours).max()
    checker.expect("adapter merged into f32: logits", off < 1e-3, off=float(off))


def run_of(checker, work, questions):
    """A run that has trained nothing, with a training side to collect an importance matrix on."""
    run = work / "run"
    (run / "data").mkdir(parents=True)
    (run / "metrics.jsonl").write_text("")
    rows = [{"messages": [{"role": "user", "content": q["question"]}, {"role": "assistant", "content": q["answer"]}]} for q in questions]
    (run / "data" / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    copy_of(checker.base, run / "model")
    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("medtune", nargs="?")
    parser.add_argument("base", nargs="?", help="the shipped base")
    parser.add_argument("--blocks", action="store_true", help="print the digests of blocks, and nothing else")
    parser.add_argument("--data", help="the folder of reference data")
    parser.add_argument("--questions", default="data/quickstart/questions.jsonl")
    parser.add_argument("--vectors", help="write the vectors that the tests compare with")
    arguments = parser.parse_args()
    if arguments.blocks:
        return print_blocks()
    checker = Checker(arguments)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        f32, llama, prompt = check_f32(checker, "base", checker.base, work, QUESTION)
        questions = [json.loads(line) for line in Path(arguments.questions).read_text().splitlines()]
        turn = "<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n"
        texts = [llama.tokenize(turn.format(**q).encode(), add_bos=False, special=True)[:160] for q in questions[:8]]
        check_quants(checker, "base", (checker.base, f32, work), llama, texts)
        run = run_of(checker, work, questions[8:])
        first = checker.export(run, work / "first", "q4_k_m", "--imatrix")
        matrix = first.with_name("imatrix.gguf")
        check_quants(checker, "base", (checker.base, f32, work), llama, texts, importance_of(matrix), ("--imatrix", matrix))
        check_adapter(checker, work, f32, prompt)
        if arguments.data:
            data = Path(arguments.data)
            for arch in sorted((data / "numerics" / "arch").iterdir()):
                if arch.is_dir():
                    model = copy_of(arch, work / arch.name)
                    write_small_tokenizer(model)
                    # A window is not looked at in files of Mistral: within it the model is the same.
                    check_f32(checker, arch.name, model, work, [7, 100, 42, 9, 180, 77, 30, 5], 8 if "sliding" in arch.name else 64)
            stories = copy_of(data / "weights" / "stories260K" / "hf", work / "stories")
            template = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{{ eos_token }}{% endfor %}"
            (stories / "chat_template.jinja").write_text(template)
            check_f32(checker, "stories260K", stories, work, [1, 403, 407, 261, 378])
    if arguments.vectors:
        Path(arguments.vectors).write_text(json.dumps(checker.vectors, indent=1) + "\n")
    print(json.dumps({"ok": not checker.failed, "failed": checker.failed, "checks": checker.verdict}, indent=1))
    sys.exit(bool(checker.failed))


if __name__ == "__main__":
    main()
