#!/usr/bin/env python3
"""Says where the bytes of a small liblinnet.so go: size.py BUILD_FOLDER [--json] [--top N] [--budget KIB]

With link-time optimisation the linker sees one object; then a function is given to the file whose object defines it, what was inlined
to the function it was inlined into, and templates of the C++ library to a group of their own.

Reads the linker's map (BUILD_FOLDER/liblinnet.map, which a small build writes) and gives every byte of the file to a
part: an operator (its file in src/ops), a kernel (its file in src/kernels), a layer of src, the C++ library, or the format
of shared libraries itself (symbol tables, relocations, headers, padding). The parts must sum to the file within 1 %; with
--budget, the file must not be larger. Exit code 1 when either fails.
"""
import argparse
import json
import lzma
import os
import re
import subprocess
import sys
from collections import defaultdict

# Output sections that are not in the file.
NOT_IN_FILE = {".bss", ".tbss"}
SECTION = re.compile(r"^(\.[\w.\-]+|\S+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)(?:\s+load address \S+)?$")
INPUT = re.compile(r"^ (\S+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S.*)$")


# Of a section's name what is before the function's, and what compilers add to that.
SECTION_PREFIX = re.compile(r"^\.(?:text|rodata|data\.rel\.ro\.local|data\.rel\.ro|data\.rel\.local|data|init_array)\.(?:unlikely\.|startup\.|hot\.|exit\.)?")
SYMBOL_SUFFIX = re.compile(r"\.(?:constprop|isra|part|lto_priv|cold|localalias|str\d|cst\d).*$")


class Symbols:
    """Which object defines a function: what a library made by link-time optimisation does not say."""

    def __init__(self, folder):
        self.folder = folder
        self.origins = None

    def read(self):
        self.origins = {}
        objects = []
        for where, _, files in os.walk(os.path.join(self.folder, "src", "CMakeFiles", "linnet_static.dir")):
            objects += [os.path.join(where, name) for name in files if name.endswith(".o")]
        readelf = "readelf"
        with open(os.path.join(self.folder, "CMakeCache.txt")) as cache:
            for line in cache:
                if line.startswith("CMAKE_READELF:"):
                    readelf = line.split("=", 1)[1].strip() or readelf
        listed = subprocess.run([readelf, "-SW", *sorted(objects)], capture_output=True, text=True).stdout
        origin = ""
        for line in listed.splitlines():
            if line.startswith("File: "):
                origin = line[len("File: "):]
            words = line.partition("]")[2].split()
            # What is a function of its own here, or was one before it was inlined.
            name = words[0] if words else ""
            if name.startswith(".gnu.lto_"):
                self.origins.setdefault(re.sub(r"\.\d+\.[0-9a-f]+$", "", SYMBOL_SUFFIX.sub("", name[len(".gnu.lto_"):])), origin)
            elif SECTION_PREFIX.match(name):
                self.origins.setdefault(SYMBOL_SUFFIX.sub("", SECTION_PREFIX.sub("", name)), origin)

    def part(self, section):
        if self.origins is None:
            self.read()
        symbol = SYMBOL_SUFFIX.sub("", SECTION_PREFIX.sub("", section))
        if re.match(r"_ZN?K?(St|S[abiosd]|9__gnu_cxx|T[VIS]St|T[VIS]NSt)", symbol) or symbol.startswith("_ZTVSt"):
            return ("C++ templates", "of std")
        if symbol in self.origins:
            return part_of(self.origins[symbol])
        return ("shared", "strings and constants" if symbol.startswith((".", "str", "cst")) else "of no one file")


def part_of(origin):
    """(group, name) of an object file or archive member."""
    source = re.search(r"linnet_static\.dir/(.*?)\.(?:cc\.)?o", origin)
    if source:
        path = source.group(1)
        layer, _, name = path.partition("/")
        if layer in ("ops", "kernels"):
            return ("operator" if layer == "ops" else "kernel", name)
        return ("layer", path if name else "operator table")
    archive = re.search(r"([^/]*)\.a\((.*)\)", origin)
    if archive:
        return ("C++ library", archive.group(1) + " " + archive.group(2))
    return ("format", "what the compiler links to every library")


def lines_of(map_path):
    """The map's section lines; names too long for their column are joined with the line that follows."""
    started = False
    held = None
    with open(map_path, errors="replace") as f:
        for line in f:
            line = line.rstrip("\n")
            if line.startswith("Linker script and memory map"):
                started = True
            if not started:
                continue
            if held is not None:
                line, held = held + " " + line.strip(), None
            elif re.match(r"^ ?[.\w]\S*$", line) and not line.strip().startswith(("LOAD", "OUTPUT", "START", "END")):
                held = line
                continue
            yield line


def read_map(map_path, symbols):
    """{output section: [size, {part: bytes}, {part: bytes of strings and constants before equal ones are merged}]}"""
    sections = {}
    current = None
    for line in lines_of(map_path):
        top = SECTION.match(line) if not line.startswith(" ") else None
        if top:
            current = top.group(1)
            # Address 0: debug information and comments, which are stripped.
            size = int(top.group(3), 16) if int(top.group(2), 16) else 0
            sections[current] = [size, defaultdict(int), defaultdict(int)]
            continue
        inside = INPUT.match(line)
        if inside and current and sections[current][0]:
            if inside.group(1) == "*fill*":
                sections[current][1][("format", "padding")] += int(inside.group(3), 16)
            elif int(inside.group(2), 16):
                linked = current in (".text", ".rodata", ".data", ".data.rel.ro")
                of_all = linked and ".ltrans" in inside.group(4)
                part = symbols.part(inside.group(1)) if of_all else part_of(inside.group(4)) if linked else ("format", current)
                merged = linked and re.search(r"\.(str|cst)\d", inside.group(1)) is not None
                sections[current][2 if merged else 1][part] += int(inside.group(3), 16)
        fill = re.match(r"^ \*fill\*\s+0x[0-9a-f]+\s+0x([0-9a-f]+)", line)
        if fill and not inside and current and sections[current][0]:
            sections[current][1][("format", "padding")] += int(fill.group(1), 16)
    return sections


def ledger(folder):
    library = os.path.realpath(os.path.join(folder, "liblinnet.so"))
    file_bytes = os.path.getsize(library)
    parts = defaultdict(int)
    by_section = {}
    total = unexplained = 0
    for name, (size, inside, merged) in read_map(os.path.join(folder, "liblinnet.map"), Symbols(folder)).items():
        if size == 0 or name in NOT_IN_FILE:
            continue
        by_section[name] = size
        given = 0
        # Of what was merged each gets its share.
        before, left = sum(merged.values()), max(0, size - sum(inside.values()))
        for part, n in merged.items():
            inside[part] += n * left // before if before > left else n
        claimed = sum(inside.values())
        unexplained += abs(size - claimed) if claimed else 0
        for part, n in inside.items():
            n = n if claimed <= size else n * size // claimed
            parts[part] += n
            given += n
        parts[("format", name if not claimed else "merged and aligned")] += size - given
        total += size
    parts[("format", "headers and padding between sections")] += max(0, file_bytes - total)
    return library, file_bytes, dict(parts), by_section, unexplained


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--top", type=int, default=60, help="how many parts to print")
    parser.add_argument("--budget", type=float, help="most KiB the library may have")
    options = parser.parse_args()
    library, file_bytes, parts, by_section, unexplained = ledger(options.folder)
    with open(library, "rb") as f:
        packed = len(lzma.compress(f.read(), preset=9 | lzma.PRESET_EXTREME))
    attributed = sum(parts.values())
    off = max(abs(attributed - file_bytes), unexplained) / file_bytes
    groups = defaultdict(int)
    for (group, name), n in parts.items():
        groups["layer " + name.split("/")[0] if group == "layer" else group] += n
    if options.json:
        json.dump({"file": library, "bytes": file_bytes, "xz_bytes": packed, "attributed_bytes": attributed,
                   "groups": groups, "sections": by_section,
                   "parts": [{"group": g, "name": n, "bytes": b} for (g, n), b in sorted(parts.items())]},
                  sys.stdout, indent=2)
        print()
    else:
        print(f"{library}: {file_bytes:,} bytes, {packed:,} in xz; not attributed: {100 * off:.2f} %")
        print("\nby group")
        for group, n in sorted(groups.items(), key=lambda item: -item[1]):
            print(f"  {n:9,}  {100 * n / file_bytes:5.1f} %  {group}")
        print("\nby part")
        for (group, name), n in sorted(parts.items(), key=lambda item: -item[1])[:options.top]:
            if n:
                print(f"  {n:9,}  {100 * n / file_bytes:5.1f} %  {group}  {name}")
        print("\nby section: " + ", ".join(f"{name} {n:,}" for name, n in sorted(by_section.items(), key=lambda i: -i[1])))
    failed = False
    if off > 0.01:
        print("size.py: the parts do not explain the file", file=sys.stderr)
        failed = True
    if options.budget is not None and file_bytes > options.budget * 1024:
        print(f"size.py: {file_bytes / 1024:.1f} KiB are over the budget of {options.budget} KiB", file=sys.stderr)
        failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
