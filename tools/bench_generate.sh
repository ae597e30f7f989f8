#!/usr/bin/env bash
# Reading and writing with medtune and with llama.cpp, on the same GGUF files, in alternating rounds.
#   tools/bench_generate.sh MEDTUNE PYTHON FILE.gguf...
# ROUNDS (3), PROMPT (512), TOKENS (64) and THREADS (2) from the environment; with LLAMA_CPP_2, the path of the program
# that tools/bench_llama_cpp_2 builds, that one takes its turn, too.
set -euo pipefail
medtune=$1 python=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
export MEDTUNE_THREADS=${THREADS:-2}
prompt=${PROMPT:-512} tokens=${TOKENS:-64}

line() {
  "$python" -c '
import json, sys
r, (read, write) = json.load(sys.stdin), ("prefill_tokens_per_second", "decode_tokens_per_second")
print("%-40s %-10s reads %7.0f (best %.0f)  writes %7.1f (best %.1f) tokens/s  load %.2f s  %.0f MB" % (
    sys.argv[1], sys.argv[2], r[read]["median"], r[read]["best"], r[write]["median"], r[write]["best"],
    r["load_seconds"], r["peak_rss_bytes"] / 1e6))' "$@"
}

for ((round = 1; round <= ${ROUNDS:-3}; round++)); do
  for file in "$@"; do
    name=$(basename "$file")
    fast=--fast
    case $name in *F32* | *F16* | *BF16*) fast= ;; esac
    "$medtune" bench generate --model "$file" --prompt "$prompt" --tokens "$tokens" $fast --json | line "$name" medtune
    "$python" "$here/bench_llama_cpp.py" "$file" --prompt "$prompt" --tokens "$tokens" \
      --threads "$MEDTUNE_THREADS" | line "$name" llama.cpp
    if [[ -n ${LLAMA_CPP_2:-} ]]; then
      "$LLAMA_CPP_2" "$file" "$prompt" "$tokens" "$MEDTUNE_THREADS" | line "$name" llama-cpp-2
    fi
  done
done
