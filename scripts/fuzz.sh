#!/usr/bin/env bash
# Fuzzes one target, or each in turn.
#
#     scripts/fuzz.sh SECONDS [TARGET]
#     FORMAT=tiff scripts/fuzz.sh SECONDS dissect     one format alone
#
# Builds with the stable compiler: the instrumentation that libFuzzer needs is an ordinary code
# generation option. Corpora grow in fuzz/corpus/TARGET, beginning with the conformance vectors;
# findings are written to fuzz/artifacts/TARGET, and the first one ends the run with exit code 1.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?usage: scripts/fuzz.sh SECONDS [TARGET]}
targets=(${2:-open decode_stage roundtrip dissect})
host=$(rustc -vV | sed -n 's/^host: //p')
coverage="-Cpasses=sancov-module"
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    coverage+=" -Cllvm-args=-sanitizer-coverage-$option"
done

# With a target named, flags do not reach build scripts, which cannot be linked with coverage.
RUSTFLAGS="$coverage -Cdebug-assertions --cfg fuzzing" \
    cargo build --quiet --release --manifest-path fuzz/Cargo.toml --target "$host" --target-dir fuzz/target --bins

for target in "${targets[@]}"; do
    corpus=fuzz/corpus/$target artifacts=fuzz/artifacts/$target
    mkdir -p "$corpus" "$artifacts"
    seeds=()
    case $target in
    open) seeds=(testdata/conformance) ;;
    dissect) seeds=(testdata/formats testdata/sample/ocean testdata/sample/camera) ;;
    esac
    echo "fuzzing $target for $seconds s"
    log=$artifacts/log
    # One input may take ten seconds and 1.5 GiB: three blocks of the largest size and their codes.
    if ! "fuzz/target/$host/release/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1536 -max_len=65536 \
        -artifact_prefix="$artifacts/" -print_final_stats=1 "$corpus" "${seeds[@]}" >"$log" 2>&1; then
        tail -n 60 "$log"
        exit 1
    fi
    grep -E 'stat::(number_of_executed_units|peak_rss_mb)|Done' "$log" || tail -n 5 "$log"
done
