#!/usr/bin/env bash
# Training steps of medtune and of PEFT, in alternating rounds, on random weights of the SmolLM2-135M shape.
#   tools/bench_train.sh MEDTUNE PYTHON OUT.jsonl
# ROUNDS (3), STEPS (5), BATCH (4), LENGTH (256), THREADS (2) and LAYERS (30, PEFT only, for a try) from the environment.
# PEERS: options of bench_peft.py, a peer a line.
set -euo pipefail
medtune=$1 python=$2 out=$3
here=$(cd "$(dirname "$0")" && pwd)
batch=${BATCH:-4} length=${LENGTH:-256} steps=${STEPS:-5}
export MEDTUNE_THREADS=${THREADS:-2} OMP_NUM_THREADS=${THREADS:-2} HF_HUB_OFFLINE=1 PYTHONWARNINGS=ignore
peers=${PEERS-$'\n--keep-heap\n--compile\n--compile --keep-heap'}
mkdir -p "$(dirname "$out")"
for ((round = 1; round <= ${ROUNDS:-3}; round++)); do
  measure=("$python" "$here/measure.py" --out "$out" --round "$round")
  "${measure[@]}" --label medtune -- "$medtune" bench train --shape smollm2135m --rank 16 \
    --batch "$batch" --length "$length" --steps "$steps" --json || true
  while IFS= read -r options; do
    read -ra list <<<"$options"
    name=${options//--/} name=${name// /+}
    "${measure[@]}" --label "peft-${name:-eager}" -- "$python" "$here/bench_peft.py" --batch "$batch" \
      --length "$length" --steps "$steps" --layers "${LAYERS:-30}" --threads "${THREADS:-2}" --json \
      ${list[@]+"${list[@]}"} || true
  done <<<"$peers"
done
"$python" "$here/bench_summary.py" "$out"
