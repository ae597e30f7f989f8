#!/usr/bin/env bash
# Fine-tuning on the answers of MedQuAD with medtune and with TRL, in alternating rounds: the same random base, the
# same tokens.
#   tools/bench_medquad.sh MEDTUNE PYTHON BASE MEDQUAD OUT.jsonl
# BASE is what make_base.py wrote, MEDQUAD the rows (medquad.csv.gz).
# ROUNDS (3), STEPS (12 measured after one that is not), THREADS (2) from the environment. PEERS: options of
# bench_trl.py, a peer a line. The run folders of medtune lie beside OUT.
set -euo pipefail
medtune=$1 python=$2 base=$3 medquad=$4 out=$5
here=$(cd "$(dirname "$0")" && pwd)
steps=${STEPS:-12}
export MEDTUNE_THREADS=${THREADS:-2} OMP_NUM_THREADS=${THREADS:-2} HF_HUB_OFFLINE=1 PYTHONWARNINGS=ignore
peers=${PEERS-$'--variant default\n--variant grouped\n--variant grouped --plain-loss --keep-heap\n--variant single --plain-loss --keep-heap\n--variant packed --plain-loss --keep-heap\n--variant packed --plain-loss --compile --keep-heap'}
mkdir -p "$(dirname "$out")"
for ((round = 1; round <= ${ROUNDS:-3}; round++)); do
  measure=("$python" "$here/measure.py" --out "$out" --round "$round" --warmup 1)
  run=${out%.jsonl}.round$round
  rm -rf "$run"
  "${measure[@]}" --label medtune --medtune-run "$run" --base "$base" -- "$medtune" train \
    "$here/../recipes/bench-medquad.yaml" --set base_model="$base" --set datasets.0.path="$medquad" \
    --set max_steps=$((steps + 1)) --set seed="$round" --set output_dir="$run" --json
  while IFS= read -r options; do
    read -ra list <<<"$options"
    name=${options/--variant /} name=${name// --/+}
    "${measure[@]}" --label "trl-$name" -- "$python" "$here/bench_trl.py" --base "$base" \
      --data "$run/data/train.jsonl" --steps "$steps" --seed "$round" --threads "${THREADS:-2}" --json \
      ${list[@]+"${list[@]}"} || true
  done <<<"$peers"
done
"$python" "$here/bench_summary.py" "$out"
