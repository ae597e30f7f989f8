#!/usr/bin/env python3
"""Writes the small quantized checkpoints that crates/formats/tests/checkpoints.rs reads, with the values that they
stand for: bitsandbytes by bitsandbytes itself, GPTQ by the packing and the dequantization formula of AutoGPTQ
(`pack` and `forward` of nn_modules/qlinear/qlinear_cuda.py) and, for the second version, of GPTQModel.

Each folder holds model.safetensors (a module a case), expected.safetensors (the case's weight, [out, in], float32)
and configs.json (the case's `quantization_config`). Where AutoGPTQ is installed, its own layer is asked for the
weights of the first version, too."""

import argparse
import importlib.util
import json
import pathlib

import numpy as np
import torch
from safetensors.torch import save_file


def bitsandbytes_cases(out: pathlib.Path) -> None:
    import bitsandbytes.functional as F

    generator = torch.Generator().manual_seed(5)
    tensors, expected, configs = {}, {}, {}
    for case, shape, block, kind, double in [
        ("nf4_double", (24, 40), 64, "nf4", True),  # blocks cross rows, the second level has one block
        ("nf4", (6, 42), 64, "nf4", False),  # a last block of 60
        ("fp4", (5, 26), 32, "fp4", False),
        ("fp4_many", (65, 128), 32, "fp4", True),  # 260 scales: the second level has two blocks
    ]:
        values = torch.randn(shape, generator=generator)
        packed, state = F.quantize_4bit(values, blocksize=block, quant_type=kind, compress_statistics=double)
        tensors[f"{case}.weight"] = packed
        for name, part in state.as_dict(packed=True).items():
            tensors[f"{case}.weight.{name}"] = part.contiguous()
        expected[case] = F.dequantize_4bit(packed, state)
        configs[case] = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": kind}
    values = torch.randn((7, 33), generator=generator)
    codes, scales, _ = F.int8_vectorwise_quant(values.clone())
    tensors |= {"int8.weight": codes, "int8.SCB": scales, "int8.weight_format": torch.tensor(0, dtype=torch.uint8)}
    expected["int8"] = F.int8_vectorwise_dequant(codes, scales)
    expected["int8.unquantized"] = values
    configs["int8"] = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    save(out / "bnb", tensors, expected, configs)


def pack(values: np.ndarray, bits: int) -> np.ndarray:
    """Rows packed into int32, the first in the lowest bits: AutoGPTQ's `pack`."""
    per_word = 32 // bits
    words = np.zeros((-(-values.shape[0] // per_word), values.shape[1]), np.uint32)
    for row in range(values.shape[0]):
        words[row // per_word] |= values[row].astype(np.uint32) << np.uint32(bits * (row % per_word))
    return words


def gptq_cases(out: pathlib.Path) -> None:
    random = np.random.default_rng(7)
    tensors, expected, configs = {}, {}, {}
    for case, bits, size, sym, act_order, version in [
        ("symmetric", 4, 16, True, False, 1),
        ("asymmetric", 4, 16, False, False, 1),
        ("zero_zeros", 4, 16, False, False, 1),
        ("second_version", 4, 16, False, False, 2),
        ("act_order", 4, 16, False, True, 2),
        ("whole_rows", 4, -1, True, False, 1),
        ("eight_bits", 8, 16, False, True, 1),
        ("two_bits", 2, 16, False, False, 1),
    ]:
        columns, rows, most = 64, 32, 2**bits - 1
        group_size = columns if size == -1 else size
        groups = columns // group_size
        group_of = np.arange(columns) // group_size
        if act_order:
            group_of = random.permutation(group_of)
        codes = random.integers(0, most + 1, (columns, rows))
        scales = random.uniform(0.001, 0.1, (groups, rows)).astype(np.float16)
        zeros = np.full((groups, rows), 2 ** (bits - 1)) if sym else random.integers(1, most + 1, (groups, rows))
        if case == "zero_zeros" or version == 2:
            zeros[:, ::3] = 0
        qzeros = pack(zeros.T, bits).T
        if version == 1:
            # GPTQModel takes a one off every field of the packed word, borrows and all; without zeros of 0 this is
            # AutoGPTQ's `zeros -= 1`.
            qzeros = qzeros - np.uint32(sum(1 << at for at in range(0, 32, bits)))
            if case != "zero_zeros":
                assert (qzeros == pack(zeros.T - 1, bits).T).all()
        weight = scales.astype(np.float32)[group_of] * (codes - zeros[group_of]).astype(np.float32)
        parts = {
            "qweight": torch.from_numpy(pack(codes, bits).view(np.int32)),
            "qzeros": torch.from_numpy(np.ascontiguousarray(qzeros).view(np.int32)),
            "scales": torch.from_numpy(scales),
            "g_idx": torch.from_numpy(group_of.astype(np.int32)),
        }
        if version == 1 and case != "zero_zeros":
            compare_with_autogptq(parts, bits, size, (columns, rows), weight)
        if case == "symmetric":
            del parts["g_idx"]  # Old checkpoints have none.
        tensors |= {f"{case}.{name}": part for name, part in parts.items()}
        expected[case] = torch.from_numpy(np.ascontiguousarray(weight.T))
        configs[case] = {"quant_method": "gptq", "bits": bits, "group_size": size, "sym": sym, "desc_act": act_order}
        configs[case]["checkpoint_format"] = "gptq" if version == 1 else "gptq_v2"
    save(out / "gptq", tensors, expected, configs)


def compare_with_autogptq(parts: dict, bits: int, group_size: int, shape: tuple, weight: np.ndarray) -> None:
    """What AutoGPTQ's layer makes of the identity is its weight."""
    package = importlib.util.find_spec("auto_gptq")
    if package is None:
        print("AutoGPTQ is not installed: the formula stands alone")
        return
    path = pathlib.Path(package.submodule_search_locations[0]) / "nn_modules/qlinear/qlinear_cuda.py"
    spec = importlib.util.spec_from_file_location("qlinear_cuda", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    layer = module.QuantLinear(bits, group_size, *shape, False, weight_dtype=torch.float32)
    layer.autogptq_cuda_available = False
    layer.load_state_dict({name: part.float() if name == "scales" else part for name, part in parts.items()})
    assert np.array_equal(layer(torch.eye(shape[0])).numpy(), weight)


def save(folder: pathlib.Path, tensors: dict, expected: dict, configs: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    save_file(expected, folder / "expected.safetensors")
    (folder / "configs.json").write_text(json.dumps(configs, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, help="crates/formats/tests/vectors")
    out = parser.parse_args().out
    bitsandbytes_cases(out)
    gptq_cases(out)
