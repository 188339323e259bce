#!/usr/bin/env bash
# Submits the array, and behind it the merge: CONFIG=report.yaml REPORT=report examples/slurm/submit.sh
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
array="$(sbatch --parsable "$@" "$here/collect.sbatch")"
sbatch --parsable --dependency="afterok:${array%%;*}" "$here/merge.sbatch"
