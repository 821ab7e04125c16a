#!/usr/bin/env python3
"""Runs the benchmark suite beside ONNX Runtime and prints a table; with --write also into docs/performance.md.

    bench/make_models.py /tmp/models          # once; needs python3-torch, python3-torchvision, python3-onnx
    bench/suite.py /tmp/models --peer path/to/libonnxruntime.so [--threads 1 2] [--seconds 2] [--only NAME...] [--write]

Each row is one `linnet bench --json --peer`: same process, same inputs, interleaved. ratio = the peer's median / ours.
"""
import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- suite:begin -->", "<!-- suite:end -->"

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


def run(linnet, models, peer, name, model, dims, threads, seconds):
    command = [linnet, "bench", str(models / f"{model}.onnx"), "--peer", peer, "--threads", str(threads),
               "--seconds", str(seconds), "--json"]
    for dim in dims:
        command += ["--dim", dim]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return {"error": (done.stderr or done.stdout).strip().splitlines()[-1]}
    return json.loads(done.stdout)


def ms(value):
    return f"{value:.3g}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--linnet", default=str(ROOT / "build/release/linnet"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--write", action="store_true", help="replace the table in docs/performance.md; with --only, its rows")
    options = parser.parse_args()

    head = ["model"]
    for threads in options.threads:
        head += [f"ratio, {threads} thr", "ours ms", "peer ms"]
    head += ["load ms (peer)", "peak RSS MB", "largest difference"]
    rows = []
    for name, model, dims in SUITE:
        if options.only and not any(word in name for word in options.only):
            continue
        cells = [name]
        last = None
        for threads in options.threads:
            result = run(options.linnet, options.models, options.peer, name, model, dims, threads, options.seconds)
            if "error" in result:
                cells += [result["error"][:60], "", ""]
                continue
            last = last or result
            cells += [f"{result['ratio']:.2f}", ms(result["median_ms"]), ms(result["peer"]["median_ms"])]
        if last:
            cells += [f"{last['load_ms']:.0f} ({last['peer']['load_ms']:.0f})", f"{last['peak_rss_bytes'] / 1e6:.0f}",
                      f"{last['max_rel_diff']:.1e}" if last["max_rel_diff"] is not None else "?"]
        rows.append(cells)
        print("  ".join(cells), file=sys.stderr, flush=True)
    table = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    table += ["| " + " | ".join(row) + " |" for row in rows]
    text = "\n".join(table)
    print(text)
    if options.write:
        page = ROOT / "docs/performance.md"
        old = page.read_text()
        before, rest = old.split(BEGIN, 1)
        inside, after = rest.split(END, 1)
        kept = {row.split(" | ")[0].lstrip("| "): row for row in inside.strip().splitlines()[2:]} if options.only else {}
        kept.update({row[0]: "| " + " | ".join(row) + " |" for row in rows})
        lines = table[:2] + [kept[name] for name, _, _ in SUITE if name in kept]
        page.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + after)


if __name__ == "__main__":
    main()
