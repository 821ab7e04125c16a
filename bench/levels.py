#!/usr/bin/env python3
"""How long Linnet takes where it may use less of the processor: one LINNET_CPU beside another, per model of the suite.

    bench/make_models.py /tmp/models          # once
    bench/levels.py /tmp/models [--level avx2] [--than avx512] [--seconds 1] [--rounds 3] [--only NAME...] [--write]

Both levels of a model are measured in turn, one thread; the figures are the medians of all rounds. --write replaces the table in
docs/performance.md.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess

from suite import ROOT, SUITE, ms, write


def median_ms(options, model, dims, level):
    command = [options.linnet, "bench", str(options.models / f"{model}.onnx"), "--threads", "1", "--seconds", str(options.seconds),
               "--json", "--no-table"]
    for dim in dims:
        command += ["--dim", dim]
    environment = dict(os.environ, LINNET_CPU=level)
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)["median_ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("--linnet", default=str(ROOT / "build/release/linnet"))
    parser.add_argument("--level", default="avx2")
    parser.add_argument("--than", default="avx512")
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--write", action="store_true", help="replace the table in docs/performance.md")
    options = parser.parse_args()

    rows = []
    for name, model, dims in SUITE:
        if "int8" in model or (options.only and not any(name.startswith(only) for only in options.only)):
            continue
        best, limited = [], []
        for _ in range(options.rounds):
            best.append(median_ms(options, model, dims, options.than))
            limited.append(median_ms(options, model, dims, options.level))
        a, b = statistics.median(best), statistics.median(limited)
        rows.append([name, ms(a), ms(b), f"{b / a:.2f}"])
        print("  ".join(rows[-1]), flush=True)
    if options.write:
        head = ["model", f"{options.than} ms", f"{options.level} ms", "times as long"]
        write(head, rows, "levels", [name for name, _, _ in SUITE], bool(options.only))


if __name__ == "__main__":
    main()
