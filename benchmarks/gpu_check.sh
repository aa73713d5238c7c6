#!/usr/bin/env bash
# A GPU's first run of gpusim, in under 8 minutes: right, and how fast. From the repository's root:
#     bash benchmarks/gpu_check.sh                     results in gpu_check_out/, or in $OUT, at most 8 files
#     ONLY="smoke verify" bash benchmarks/gpu_check.sh        these steps alone
#     B=cpu SMALL=1 bash benchmarks/gpu_check.sh              in small, on a machine without a GPU
# The machine needs Python with gpusim's dependencies, `cuda13` (or `cuda12`) and pytest, pytest-xdist, hypothesis.
# Where it has no network, fetch what it lacks on another one; wheels in .whl/ are found:
#     python benchmarks/gpu_check/wheels.py --python 3.12 --has LIST      LIST: of `pip list --format=freeze` there
# Each step has its own limit of time, and none outlasts LIMIT seconds in all. What was predicted stands in
# docs/performance.md.
set -u
B=${B:-cuda}; PY=${PY:-python3}; OUT=${OUT:-$PWD/gpu_check_out}; LIMIT=${LIMIT:-475}; SMALL=${SMALL:-0}; ONLY=${ONLY:-}
REPO=$PWD; HERE=$REPO/benchmarks/gpu_check; W=$(mktemp -d); trap 'rm -rf "$W"' EXIT
mkdir -p "$OUT"
export OUT B PY REPO W PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$REPO
if [ "$SMALL" = 1 ]; then
  SMOKE="--voxels 16 --steps 2"; STEPS48="24 3"; EDGES="24 32 40"; TIMED="--voxels 16 --fields 2"; BENCH2="--voxels 16 --fields 2"
  TESTS="tests/backends/test_rules.py"; SELECT="-k cpu2"; WORKERS=1; QUICK=--quick; PATIENCE=20; LIMIT=$((LIMIT * 20))
else
  SMOKE="--steps 12"; STEPS48="48 150"; EDGES="96 256 512"; TIMED="--voxels 128 --fields 8"; BENCH2="--voxels 256 --fields 4"
  TESTS="tests/backends/test_rules.py tests/backends/test_bits.py tests/body tests/engine tests/record/test_checkpoints.py
    tests/verification tests/test_presets.py tests/test_readme.py"; SELECT="-m gpu"; WORKERS=12; QUICK=; PATIENCE=1
fi
export TESTS SELECT WORKERS
read -r SMALLER MIDDLE LARGEST <<< "$EDGES"
SECONDS=0

wanted() { [ -z "$ONLY" ] || case " $ONLY " in *" $1 "*) true ;; *) false ;; esac; }
step() {  # step NAME SECONDS FILE COMMAND...
  local name=$1 most=$2 file=$3 left rc begun=$SECONDS; shift 3
  wanted "$name" || return 0
  left=$((LIMIT - SECONDS))
  [ "$left" -lt 8 ] && { echo "[$name] skipped, $left s left" | tee -a "$OUT/summary.txt"; return 0; }
  most=$((most * PATIENCE))
  [ "$most" -gt "$left" ] && most=$left
  echo "===== $name (at $SECONDS s, at most $most s): $*" | tee -a "$OUT/$file"
  timeout -k 5 "$most" "$@" 2>&1 | tee -a "$OUT/$file"; rc=${PIPESTATUS[0]}
  echo "[$name] rc=$rc in $((SECONDS - begun)) s" | tee -a "$OUT/$file" "$OUT/summary.txt"
}
environment() {
  { nvidia-smi | head -15; nvcc --version | tail -2; c++ --version | head -1; } 2>&1
  $PY -V; uname -r; nproc; git -C "$REPO" log -1 --oneline 2>&1
  if ls "$REPO"/.whl/*.whl > /dev/null 2>&1; then
    $PY -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$W/site" "$REPO"/.whl/*.whl &&
      echo "wheels in $W/site"
  fi
  PYTHONPATH=$W/site:$PYTHONPATH $PY "$HERE/environment.py"
}
tests() { $PY -m pytest $TESTS $SELECT -q -n "$WORKERS" --maxfail="${MAXFAIL:-5}" -p no:cacheprovider --durations=5 --tb=short; }
export -f environment tests; export HERE

# The most decisive first.
step environment 60 environment.txt bash -c environment
[ -d "$W/site" ] && export PYTHONPATH=$W/site:$PYTHONPATH
step info 60 environment.txt "$PY" -m gpusim info
step smoke 90 smoke.txt "$PY" "$HERE/smoke.py" $SMOKE
step no_fields 25 smoke.txt "$PY" "$HERE/no_fields.py"
step verify 80 verify.txt "$PY" -m gpusim verify --backend "$B" $QUICK --log text
step full48 40 full.txt "$PY" "$HERE/steps.py" cold-to-hot $STEPS48
step bench 60 bench.txt "$PY" -m gpusim bench --backend "$B" $TIMED
step full_smaller 50 full.txt "$PY" "$HERE/steps.py" benchmarks/full.yaml "$SMALLER" 20
step tests 130 tests.txt bash -c tests
step full_middle 60 full.txt "$PY" "$HERE/steps.py" benchmarks/full.yaml "$MIDDLE" 5
step full_largest 110 full.txt "$PY" "$HERE/steps.py" benchmarks/full.yaml "$LARGEST" 3
SANITIZER=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
[ "$B" = cuda ] && step sanitizer 60 smoke.txt "$SANITIZER" --tool memcheck "$PY" "$HERE/smoke.py" --voxels 16 --steps 2
NCU=$(command -v ncu || ls /usr/local/cuda*/bin/ncu /opt/nvidia/nsight-compute/*/ncu 2>/dev/null | tail -1)
[ "$B" = cuda ] && step profile 75 profile.txt "${NCU:-ncu}" --profile-from-start off --clock-control none --csv \
  --kernel-name 'regex:explicit_step|apply_rules|propose_moves|move|smooth_finest|combine|restrict_finest|restrict_mass|count_members|mark_members|sum_fields|circulate|deposit' \
  --section SpeedOfLight --section MemoryWorkloadAnalysis --section Occupancy --section LaunchStats --section InstructionStats \
  --section WarpStateStats "$PY" "$HERE/profile.py"
step bench_larger 60 bench.txt "$PY" -m gpusim bench --backend "$B" $BENCH2
step full_scenario 45 full.txt "$PY" benchmarks/full_scenario.py --backend "$B" --voxels "$SMALLER" --from-hours 1 --hours 2

echo; echo "===== summary after $SECONDS s"
cat "$OUT/summary.txt"
grep -h "^SMOKE\|^STEP\|^GRAPH\|bits of the reference\|passed\|failed\|cases" "$OUT"/*.txt | sort -u
! grep -q "rc=[1-9]" "$OUT/summary.txt"
