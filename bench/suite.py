#!/usr/bin/env python3
"""Runs the benchmark suite beside ONNX Runtime and prints two tables; with --write also into docs/performance.md.

    bench/make_models.py /tmp/models          # once; needs python3-torch, python3-torchvision, python3-onnx
    bench/suite.py /tmp/models [--peer path/to/libonnxruntime.so] [--threads 1 2] [--seconds 2] [--only NAME...] [--write]

`make bench` does all of it. Speed: each row is one `linnet bench --json --peer`, same process, same inputs, interleaved; ratio =
the peer's median / ours. Start and memory: each row is one bench/startup.c, a fresh process a turn, turns alternating, medians.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/performance.md"

# name, model file, symbolic dimensions
SUITE = [
    ("mobilenet_v2", "mobilenet_v2", []),
    ("mobilenet_v3_small", "mobilenet_v3_small", []),
    ("efficientnet_b0", "efficientnet_b0", []),
    ("squeezenet1_1", "squeezenet1_1", []),
    ("resnet50", "resnet50", []),
    ("lraspp_mv3", "lraspp_mv3", []),
    ("unet_256", "unet_256", []),
    ("kws_dscnn", "kws_dscnn", []),
    ("bert_base, seq 8", "bert_base", ["batch=1", "seq=8"]),
    ("bert_base, seq 32", "bert_base", ["batch=1", "seq=32"]),
    ("bert_base, seq 128", "bert_base", ["batch=1", "seq=128"]),
    ("bert_base, seq 384", "bert_base", ["batch=1", "seq=384"]),
    ("bert_tiny, seq 16", "bert_tiny", ["batch=1", "seq=16"]),
    ("bert_tiny, seq 128", "bert_tiny", ["batch=1", "seq=128"]),
    ("decoder, 1 token", "decoder", ["seq=1", "past=128"]),
    ("decoder, 32 tokens", "decoder", ["seq=32", "past=0"]),
    ("text_lstm, 1 token", "text_lstm", ["seq=1"]),
    ("text_lstm, 16 tokens", "text_lstm", ["seq=16"]),
    ("text_gru, 1 token", "text_gru", ["seq=1"]),
    ("text_gru, 16 tokens", "text_gru", ["seq=16"]),
    ("mlp, batch 1", "mlp", ["batch=1"]),
    ("mlp, batch 256", "mlp", ["batch=256"]),
    ("trees, batch 1", "trees", ["batch=1"]),
    ("trees, batch 256", "trees", ["batch=256"]),
    ("mobilenet_v2_int8", "mobilenet_v2_int8", []),
    ("resnet50_int8", "resnet50_int8", []),
    ("bert_base_int8, seq 8", "bert_base_int8", ["batch=1", "seq=8"]),
    ("bert_base_int8, seq 32", "bert_base_int8", ["batch=1", "seq=32"]),
    ("bert_base_int8, seq 128", "bert_base_int8", ["batch=1", "seq=128"]),
    ("bert_base_int8, seq 384", "bert_base_int8", ["batch=1", "seq=384"]),
    ("bert_tiny_int8, seq 16", "bert_tiny_int8", ["batch=1", "seq=16"]),
    ("bert_tiny_int8, seq 128", "bert_tiny_int8", ["batch=1", "seq=128"]),
    ("decoder_int8, 1 token", "decoder_int8", ["seq=1", "past=128"]),
    ("decoder_int8, 32 tokens", "decoder_int8", ["seq=32", "past=0"]),
    ("text_lstm_int8, 1 token", "text_lstm_int8", ["seq=1"]),
    ("text_lstm_int8, 16 tokens", "text_lstm_int8", ["seq=16"]),
]


def run(options, model, dims, threads):
    command = [options.linnet, "bench", str(options.models / f"{model}.onnx"), "--threads", str(threads),
               "--seconds", str(options.seconds), "--json"] + (["--peer", options.peer] if options.peer else [])
    for dim in dims:
        command += ["--dim", dim]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return {"error": (done.stderr or done.stdout).strip().splitlines()[-1]}
    return json.loads(done.stdout)


def speed_row(options, name, model, dims):
    cells, last = [name], None
    for threads in options.threads:
        result = run(options, model, dims, threads)
        if "error" in result:
            cells += [result["error"][:60], "", ""]
            continue
        last = last or result
        peer = result.get("peer")
        cells += [f"{result['ratio']:.2f}" if peer else "", ms(result["median_ms"]), ms(peer["median_ms"]) if peer else ""]
    difference = last.get("max_rel_diff") if last else None
    return cells + [f"{difference:.1e}" if difference is not None else "?" if last and last.get("peer") else ""]


class Starter:
    """bench/startup.c, compiled for this run."""

    def __init__(self, options):
        self.folder = tempfile.TemporaryDirectory()
        self.program = pathlib.Path(self.folder.name) / "startup"
        self.library = pathlib.Path(options.linnet).resolve().parent / "liblinnet.so"
        self.why_not = None
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if not compiler or not self.library.exists():
            self.why_not = f"no start and memory: {'no C compiler' if not compiler else f'{self.library} is not built'}"
            return
        done = subprocess.run([compiler, "-O2", "-I", ROOT / "include", ROOT / "bench/startup.c", "-o", self.program, "-ldl"],
                              capture_output=True, text=True)
        if done.returncode != 0:
            self.why_not = "no start and memory: bench/startup.c does not compile: " + done.stderr.strip().splitlines()[0]

    def row(self, options, model, dims):
        command = [self.program, self.library, options.peer or "-", options.models / f"{model}.onnx",
                   str(max(options.threads)), str(options.turns)]
        done = subprocess.run(command + dims, capture_output=True, text=True)
        if done.returncode != 0:
            return [model, done.stderr.strip().splitlines()[-1][:60]] + [""] * 8
        result = json.loads(done.stdout)
        ours, peer = result["ours"], result.get("peer")
        cells = [model]
        for key, better in (("load_ms", "x"), ("start_ms", "x"), ("peak_mb", "of")):
            cells.append(ms(ours[key]))
            if not peer:
                cells += ["", ""]
                continue
            cells += [ms(peer[key]), f"{peer[key] / ours[key]:.1f}" if better == "x" else f"{ours[key] / peer[key]:.2f}"]
        return cells


def ms(value):
    return f"{value:.3g}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def make_table(head, rows):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + ["| " + " | ".join(row) + " |" for row in rows]


def write(table, mark, names, keep):
    """Replaces what is between the marks; `keep`: only the rows that are in `table`."""
    begin, end = f"<!-- {mark}:begin -->", f"<!-- {mark}:end -->"
    before, rest = PAGE.read_text().split(begin, 1)
    inside, after = rest.split(end, 1)
    rows = inside.strip().splitlines()[2:] if keep else []
    kept = {row.split(" | ")[0].lstrip("| "): row for row in rows + table[2:]}
    lines = table[:2] + [kept[name] for name in names if name in kept]
    PAGE.write_text(before + begin + "\n" + "\n".join(lines) + "\n" + end + after)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=pathlib.Path, nargs="?")
    parser.add_argument("--peer", help="libonnxruntime.so; without it ours alone is measured")
    parser.add_argument("--linnet", default=str(ROOT / "build/release/linnet"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--turns", type=int, default=9, help="processes of each side, for start and memory")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--tables", nargs="+", choices=["speed", "start"], default=["speed", "start"])
    parser.add_argument("--list-models", action="store_true", help="print the names of the model files and end")
    parser.add_argument("--write", action="store_true", help="replace the tables in docs/performance.md; with --only, their rows")
    options = parser.parse_args()
    files = list(dict.fromkeys(model for _, model, _ in SUITE))
    if options.list_models:
        print("\n".join(files))
        return
    if not options.models:
        parser.error("the folder of the models is missing")

    def wanted(name):
        return not options.only or any(word in name for word in options.only)

    def show(cells):
        print("  ".join(cells), file=sys.stderr, flush=True)
        return cells

    tables = []
    if "speed" in options.tables:
        head = ["model"]
        for threads in options.threads:
            head += [f"ratio, {threads} thr", "ours ms", "peer ms"]
        rows = [show(speed_row(options, *row)) for row in SUITE if wanted(row[0])]
        tables.append(("suite", make_table(head + ["largest difference"], rows), [row[0] for row in SUITE]))
    if "start" in options.tables:
        starter = Starter(options)
        if starter.why_not:
            print(starter.why_not, file=sys.stderr)
        else:
            head = ["model", "load ms", "peer", "ratio", "start to output ms", "peer", "ratio", "peak MB", "peer", "of the peer's"]
            dims = {}
            for _, model, each in SUITE:
                dims.setdefault(model, each)   # the smallest
            rows = [show(starter.row(options, model, dims[model])) for model in files if wanted(model)]
            tables.append(("start", make_table(head, rows), files))
    for mark, table, names in tables:
        print("\n".join(table) + "\n")
        if options.write:
            write(table, mark, names, bool(options.only))


if __name__ == "__main__":
    main()
