"""Runs the independent reader over the conformance vectors: vectors.py READER.py FOLDER"""

import importlib.util
import pathlib
import re
import sys

path, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
sys.path.insert(0, str(path.parent))
spec = importlib.util.spec_from_file_location("reader", path)
reader = importlib.util.module_from_spec(spec)
sys.modules["reader"] = reader
spec.loader.exec_module(reader)


def unescape(text):
    return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), text.encode())


wrong, n = [], 0
for text in sorted(folder.glob("*.txt")):
    n += 1
    data = text.with_suffix(".eba").read_bytes()
    lines = [line.split(": ", 1) for line in text.read_text().splitlines() if ": " in line]
    told = {key: value for key, value in lines}
    try:
        found = reader.verify(data)
    except reader.ArchiveError as error:
        found = [error]
    kind, rule = told["expect"], told.get("rule")
    right = not found if kind == "accept" else any(e.kind == kind and rule in (None, e.rule) for e in found)
    if not right:
        wrong.append(f"{text.stem}: expected {kind} {rule}, found {[str(e) for e in found]}")
    for key, value in lines:
        if key == "lost":
            try:
                archive = reader.open_archive(data)
                archive.restored_hash(archive.file(unescape(value)))
                wrong.append(f"{text.stem}: {value} should be lost")
            except (LookupError, reader.ArchiveError):  # its name may be lost, too
                pass
        if key.startswith("hash "):
            try:
                archive = reader.open_archive(data)
                restored = archive.restored_hash(archive.file(unescape(key[5:]))).hex()
            except reader.ArchiveError as error:
                restored = str(error)
            if restored != value:
                wrong.append(f"{text.stem}: {key[5:]} is not {value} but {restored}")
print("\n".join(wrong))
print(f"{n - len(wrong)} of {n} vectors agree")
sys.exit(1 if wrong else 0)
