#!/usr/bin/env bash
# What packing costs, beside tar, zstd and cp on the same data in the same run.
#
#     scripts/cost.sh [FILES [MEBIBYTES]]        default: 100000 files of 1 KiB, one file of 2048 MiB
#
# Needs tar, zstd and python3. Data and archives are written under $TMPDIR (or target/), three
# times MEBIBYTES in all. Prints seconds, bytes and ratios; judges nothing, because a shared
# machine cannot.
set -euo pipefail
cd "$(dirname "$0")/.."

files=${1:-100000} mebibytes=${2:-2048}
cargo build --quiet --release --locked --bin errbar
errbar=${CARGO_TARGET_DIR:-target}/release/errbar
folder=$(mktemp -d "${TMPDIR:-target}/cost.XXXXXX")
trap 'rm -rf "$folder"' EXIT

# Seconds of a command.
seconds() {
    local start
    start=$(date +%s.%N)
    "$@" >"$folder/said" 2>&1 || { cat "$folder/said"; exit 1; }
    python3 -c "import time; print(f'{time.time() - $start:.3f}')"
}
size() { stat -c %s "$1"; }
ratio() { python3 -c "print(f'{$1 / $2:.2f}')"; }

echo "$files files of 1 KiB"
python3 - "$folder/small" "$files" <<'PY'
import pathlib, random, sys
# Text with numbers, as logs and small tables are.
root, count, draw = pathlib.Path(sys.argv[1]), int(sys.argv[2]), random.Random(1)
for i in range(count):
    folder = root / f"{i // 1000:04}"
    if i % 1000 == 0:
        folder.mkdir(parents=True)
    lines = "".join(f"{t:5} {draw.gauss(20, 3):8.3f} {draw.gauss(1013, 8):9.3f} ok\n" for t in range(40))
    (folder / f"{i:06}.txt").write_text(lines[:1024])
PY
# Once to fill the cache of the file system, for all of them alike.
tar -c -C "$folder" small | cat >/dev/null
tar_3() { tar -c -C "$folder" small | zstd -3 -q -f -o "$folder/3.zst"; }
tar_19() { tar -c -C "$folder" small | zstd -19 -q -f -o "$folder/19.zst"; }
pack_small() { "$errbar" pack -q -f "$folder/small" "$folder/small.eba"; }
t_tar=$(seconds tar_3) t_pack=$(seconds pack_small)
tar_19
allowed=$(python3 -c "print(int($(size "$folder/19.zst") * 1.1 + 100 * $files))")
echo "  errbar pack       $t_pack s  $(size "$folder/small.eba") bytes"
echo "  tar | zstd -3     $t_tar s  $(size "$folder/3.zst") bytes"
echo "  tar | zstd -19    $(size "$folder/19.zst") bytes; with 10 % and 100 bytes a file: $allowed"
echo "  time, of tar | zstd -3:            $(ratio "$t_pack" "$t_tar")   (aim: at most 2)"
echo "  size, of what tar | zstd -19 allows: $(ratio "$(size "$folder/small.eba")" "$allowed")   (aim: at most 1)"
rm -rf "$folder/small" "$folder"/*.zst "$folder/small.eba"

echo "one file of $mebibytes MiB that cannot be compressed"
mkdir "$folder/big"
head -c "${mebibytes}M" /dev/urandom >"$folder/big/random"
sync "$folder/big/random"
copy() { cp "$folder/big/random" "$folder/copy" && sync "$folder/copy"; }
pack_big() { "$errbar" pack -q -f "$folder/big" "$folder/big.eba"; }
t_copy=$(seconds copy)
rm "$folder/copy"
t_pack=$(seconds pack_big)
echo "  errbar pack       $t_pack s  $(size "$folder/big.eba") bytes"
echo "  cp and sync       $t_copy s"
echo "  speed, of cp and sync: $(ratio "$t_copy" "$t_pack")   (aim: at least 0.60)"
