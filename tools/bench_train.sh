#!/usr/bin/env bash
# Training steps of medtune and of PEFT, in alternating rounds, on random weights.
#   tools/bench_train.sh MEDTUNE PYTHON OUT.jsonl
# ROUNDS (3), STEPS (5), BATCH (4), LENGTH (256), THREADS (2) and SHAPE (smollm2135m) from the environment.
# OWN: options of `medtune bench train`, a variant a line; PEERS: options of bench_peft.py, a peer a line.
set -euo pipefail
medtune=$1 python=$2 out=$3
here=$(cd "$(dirname "$0")" && pwd)
batch=${BATCH:-4} length=${LENGTH:-256} steps=${STEPS:-5} shape=${SHAPE:-smollm2135m}
export MEDTUNE_THREADS=${THREADS:-2} OMP_NUM_THREADS=${THREADS:-2} HF_HUB_OFFLINE=1 PYTHONWARNINGS=ignore
peers=${PEERS-$'\n--keep-heap\n--compile\n--compile --keep-heap'}
own=${OWN-}
mkdir -p "$(dirname "$out")"

# What a variant is called: its options without dashes.
name() { local text=${1//--/}; text=${text//base /}; echo "${text// /+}"; }

for ((round = 1; round <= ${ROUNDS:-3}; round++)); do
  measure=("$python" "$here/measure.py" --out "$out" --round "$round")
  while IFS= read -r options; do
    read -ra list <<<"$options"
    label=$(name "$options")
    "${measure[@]}" --label "medtune${label:+-$label}" -- "$medtune" bench train --shape "$shape" --rank 16 \
      --batch "$batch" --length "$length" --steps "$steps" --json ${list[@]+"${list[@]}"} || true
  done <<<"$own"
  while IFS= read -r options; do
    read -ra list <<<"$options"
    label=$(name "$options")
    "${measure[@]}" --label "peft-${label:-eager}" -- "$python" "$here/bench_peft.py" --shape "$shape" \
      --batch "$batch" --length "$length" --steps "$steps" --threads "${THREADS:-2}" --json \
      ${list[@]+"${list[@]}"} || true
  done <<<"$peers"
done
"$python" "$here/bench_summary.py" "$out"
