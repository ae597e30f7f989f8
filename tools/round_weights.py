#!/usr/bin/env python3
"""Rounds the bfloat16 weights of a safetensors file to fewer bits of fraction, to the nearest, ties to even.

The binary carries the shipped base deflated, and what has been rounded away costs nothing there:

    round_weights.py models/base/model.safetensors --fraction 4
"""

import argparse
import pathlib
import struct

import numpy as np

BFLOAT16_FRACTION = 7


def rounded(values, fraction):
    """`values` as the bits of bfloat16; a carry out of the fraction raises the exponent, as it must."""
    drop = BFLOAT16_FRACTION - fraction
    bits = values.astype(np.uint32)
    to_even = (bits >> drop) & 1
    return ((bits + (1 << (drop - 1)) - 1 + to_even) >> drop << drop).astype("<u2")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--fraction", type=int, choices=range(1, BFLOAT16_FRACTION), required=True)
    args = parser.parse_args()
    content = args.file.read_bytes()
    start = 8 + struct.unpack("<Q", content[:8])[0]
    weights = rounded(np.frombuffer(content[start:], "<u2"), args.fraction)
    args.file.write_bytes(content[:start] + weights.tobytes())


if __name__ == "__main__":
    main()
