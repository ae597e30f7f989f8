"""Writes crates/compute/tests/data/adamw_8bit.txt: three steps of bitsandbytes' AdamW8bit on the CPU.

Needs torch and bitsandbytes 0.50.2. Parameters and gradients are formulas that the test repeats, so only results are
kept, as lines of a name and little-endian bytes: the code books, and after each step codes, scales and parameters.
"""

import pathlib

import bitsandbytes.backends.cpu.ops as cpu_ops
import torch
from bitsandbytes.functional import create_dynamic_map
from bitsandbytes.optim import AdamW8bit

LENGTH = 600  # two whole blocks of 256 and a part
STEPS = 3


def values(count, formula):
    return torch.tensor([formula(i) for i in range(count)], dtype=torch.float64).float()


def gradient(step):
    # Exact in f32: seven powers of two, both signs, and some zeros.
    return values(LENGTH, lambda i: ((i * 37 + step * 101) % 257 - 128) * 2.0 ** -(8 + 3 * (i % 7)))


def nearest(values, code, absmax_out, out, blocksize):
    """bitsandbytes' generic formula: its native CPU code misses the nearest code of very small values."""
    for block in range(-(-values.numel() // blocksize)):
        part = slice(block * blocksize, (block + 1) * blocksize)
        absmax_out[block] = values[part].abs().max()
        scaled = torch.clamp(values[part] * (1 / absmax_out[block]), -1, 1)
        out[part] = torch.argmin(torch.abs(scaled.unsqueeze(-1) - code), dim=-1).to(torch.uint8)


def main():
    cpu_ops._quant_blockwise_fp32_direct = nearest
    parameter = torch.nn.Parameter(values(LENGTH, lambda i: ((i * 13) % 101 - 50) / 64.0))
    optimizer = AdamW8bit(
        [parameter], lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1, min_8bit_size=1
    )
    lines = []

    def keep(name, tensor):
        lines.append(f"{name} {tensor.detach().contiguous().numpy().tobytes().hex()}")

    keep("signed", create_dynamic_map(True))
    keep("unsigned", create_dynamic_map(False))
    for step in range(STEPS):
        parameter.grad = gradient(step)
        optimizer.step()
        state = optimizer.state[parameter]
        keep(f"params.{step}", parameter)
        for ours, theirs in (("m", "state1"), ("v", "state2"), ("m_scale", "absmax1"), ("v_scale", "absmax2")):
            keep(f"{ours}.{step}", state[theirs])
    out = pathlib.Path(__file__).parent.parent / "crates/compute/tests/data/adamw_8bit.txt"
    out.parent.mkdir(exist_ok=True)
    out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
