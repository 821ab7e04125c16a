#!/usr/bin/env python3
"""Counts what a warm inference costs on Arm, in instructions, where there is no Arm machine: arm_counts.py MODEL.onnx...

Runs `linnet bench` of a 64-bit Arm build (cmake --preset arm64 && ninja -C build/arm64 linnet) under qemu-user with a plugin that
counts (count_instructions.c), on one thread, once with two runs and once with three: the difference is one warm run. The same
command gives the same number to within a few instructions. With --peer ONNX Runtime's library for arm64 is counted the same way.
Instructions are a measure of work and no time: latencies, caches and what issues together are not seen.

    --cpu cortex-a76     processor that is imitated: cortex-a53, cortex-a72 (no dot products), cortex-a76, max,sve=off (i8mm)
    --levels             instead, one row for each of the levels neon, dotprod and i8mm that 8-bit models know
    --precision          instead, rows in float32 and with --precision fp16 (Armv8.2) and bf16 (bfmmla, Armv8.6)
    --functions N        the N functions that take most
    --dim, --shape       as for linnet bench
"""
import argparse
import bisect
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = "/usr/aarch64-linux-gnu"
KINDS = ("fmla", "dot", "mmla", "memory", "branch")
CPUINFO = "".join(
    f"processor\t: {i}\nBogoMIPS\t: 100.00\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm "
    "lrcpc dcpop asimddp\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x1\nCPU part\t: 0xd0b\nCPU revision\t: 1\n\n"
    for i in range(2))


class Counter:
    def __init__(self, linnet):
        self.linnet = linnet
        self.folder = tempfile.TemporaryDirectory()
        self.plugin = os.path.join(self.folder.name, "count.so")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-o", self.plugin,
                        os.path.join(HERE, "count_instructions.c")], check=True)
        # The peer looks into /proc/cpuinfo and must find an Arm processor there; what lies under the prefix takes precedence.
        self.prefix = os.path.join(self.folder.name, "prefix")
        os.makedirs(os.path.join(self.prefix, "proc"))
        os.symlink(os.path.join(ROOT, "lib"), os.path.join(self.prefix, "lib"))
        with open(os.path.join(self.prefix, "proc", "cpuinfo"), "w") as f:
            f.write(CPUINFO)
        self.symbols = None

    def blocks(self, cpu, arguments, runs):
        """{address: [times x instructions, times x each kind...]} and the start of the program's code."""
        out = os.path.join(self.folder.name, "counts.txt")
        command = ["qemu-aarch64", "-L", self.prefix, "-cpu", cpu, "-plugin", f"{self.plugin},out={out}", self.linnet, "bench",
                   *arguments, "--threads", "1", "--no-table", "--runs", str(runs)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stdout}")
        total, start = {}, 0
        with open(out) as f:
            for line in f:
                words = line.split()
                if words[0] == "code":
                    start = int(words[1], 16)
                    continue
                times = int(words[1])
                row = total.setdefault(int(words[0], 16), [0] * (1 + len(KINDS)))
                for i, n in enumerate(words[2:]):
                    row[i] += times * int(n)
        return total, start

    def warm_run(self, cpu, arguments):
        less, _ = self.blocks(cpu, arguments, 2)
        more, start = self.blocks(cpu, arguments, 3)
        nothing = [0] * (1 + len(KINDS))
        rows = {a: [m - l for m, l in zip(row, less.get(a, nothing))] for a, row in more.items()}
        return rows, start

    def function_of(self, address, start):
        if self.symbols is None:
            load = re.search(r"LOAD\s+0x\w+\s+0x(\w+)\s+0x\w+\s+0x\w+\s+0x\w+\s+R E",
                             subprocess.run(["readelf", "-lW", self.linnet], capture_output=True, text=True).stdout)
            base = start - (int(load.group(1), 16) & ~0xfff)
            listed = subprocess.run(["aarch64-linux-gnu-nm", "-C", "--defined-only", self.linnet], capture_output=True, text=True).stdout
            found = sorted((base + int(line[:16], 16), line[19:]) for line in listed.splitlines() if line[17] in "tTwWvV")
            self.symbols = [a for a, _ in found], [name for _, name in found]
        at = bisect.bisect_right(self.symbols[0], address) - 1
        if at < 0 or address > self.symbols[0][-1] + (1 << 20):
            return "(C library)"
        return self.symbols[1][at]


def total(rows):
    return [sum(column) for column in zip(*rows.values())]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog=__doc__.split("\n\n", 1)[1])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--linnet", default="build/arm64/linnet")
    parser.add_argument("--peer", help="libonnxruntime.so for arm64")
    parser.add_argument("--cpu", default="cortex-a76")
    parser.add_argument("--levels", action="store_true")
    parser.add_argument("--precision", action="store_true")
    parser.add_argument("--functions", type=int, default=0)
    parser.add_argument("--dim", action="append", default=[])
    parser.add_argument("--shape", action="append", default=[])
    options = parser.parse_args()
    counter = Counter(options.linnet)
    sizes = [word for dim in options.dim for word in ("--dim", dim)] + [word for shape in options.shape for word in ("--shape", shape)]
    runs = [(options.cpu, [])]
    if options.levels:
        runs = [("max,sve=off", ["--cpu", level]) for level in ("neon", "dotprod", "i8mm")]
    if options.precision:
        runs = [("max,sve=off", ["--precision", precision]) for precision in ("f32", "fp16", "bf16")]
    print(f"{'model':<24} {'on':<12} {'millions':>9} " + " ".join(f"{kind:>8}" for kind in KINDS) + ("      peer  ratio" if options.peer else ""))
    for model in options.models:
        name = os.path.basename(model).rsplit(".", 1)[0]
        for cpu, level in runs:
            arguments = [model, *level, *sizes]
            rows, start = counter.warm_run(cpu, arguments)
            ours = total(rows)
            line = f"{name:<24} {(level or [cpu])[-1]:<12} {ours[0] / 1e6:9.3f} " + " ".join(f"{n / 1e6:8.3f}" for n in ours[1:])
            if options.peer:
                both, _ = counter.warm_run(cpu, [*arguments, "--peer", options.peer])
                theirs = total(both)[0] - ours[0]
                line += f" {theirs / 1e6:9.3f} {theirs / ours[0]:6.2f}"
            print(line, flush=True)
            if options.functions:
                by_function = {}
                for address, row in rows.items():
                    function = counter.function_of(address, start)
                    have = by_function.setdefault(function, [0] * len(row))
                    by_function[function] = [a + b for a, b in zip(have, row)]
                for function, row in sorted(by_function.items(), key=lambda item: -item[1][0])[:options.functions]:
                    print(f"    {row[0] / 1e6:9.3f} {100 * row[0] / ours[0]:5.1f} %  fmla {row[1] / 1e6:.3f} dot {row[2] / 1e6:.3f}  {function[:150]}")


if __name__ == "__main__":
    main()
