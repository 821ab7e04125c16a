#!/usr/bin/env python3
"""How much faster Linnet's 8-bit models are than its own float32 ones: a table, and a plot over BERT's sequence lengths.

    bench/make_models.py /tmp/models          # once
    bench/speedup.py /tmp/models [--threads 1] [--seconds 1] [--rounds 3] [--write]

The two models of a pair are measured in turn, round after round; a cell is the ratio of the medians of all rounds. --write
replaces the table in docs/performance.md and docs/speedup.svg.
"""
import argparse
import json
import pathlib
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- speedup:begin -->", "<!-- speedup:end -->"
LENGTHS = [8, 16, 32, 64, 128, 256, 384]
PAIRS = [("mobilenet_v2", "mobilenet_v2", []), ("resnet50", "resnet50", []), ("text_lstm, 16 tokens", "text_lstm", ["seq=16"]),
         ("decoder, 1 token", "decoder", ["seq=1", "past=128"])]
PAIRS += [(f"bert_base, seq {n}", "bert_base", ["batch=1", f"seq={n}"]) for n in LENGTHS]


def median_ms(linnet, path, dims, threads, seconds):
    command = [linnet, "bench", str(path), "--threads", str(threads), "--seconds", str(seconds), "--json", "--no-table"]
    for dim in dims:
        command += ["--dim", dim]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["median_ms"]


def measure(options, model, dims, threads):
    times = {"": [], "_int8": []}
    for _ in range(options.rounds):
        for suffix, list_ in times.items():
            list_.append(median_ms(options.linnet, options.models / f"{model}{suffix}.onnx", dims, threads, options.seconds))
    return tuple(statistics.median(list_) for list_ in times.values())


def plot(ratios):
    """An SVG of speed-ups by sequence length, a line for each number of threads."""
    width, height, left, bottom, top = 640, 320, 50, 40, 20
    most = max(max(line) for line in ratios.values()) * 1.1
    x = lambda i: left + (width - left - 20) * i / (len(LENGTHS) - 1)
    y = lambda r: height - bottom - (height - bottom - top) * r / most
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="white"/>']
    for r in range(0, int(most) + 1):
        out.append(f'<line x1="{left}" x2="{width - 20}" y1="{y(r):.1f}" y2="{y(r):.1f}" stroke="#ddd"/>'
                   f'<text x="{left - 8}" y="{y(r) + 4:.1f}" text-anchor="end">{r}</text>')
    for i, n in enumerate(LENGTHS):
        out.append(f'<text x="{x(i):.1f}" y="{height - bottom + 18}" text-anchor="middle">{n}</text>')
    out.append(f'<text x="{width / 2}" y="{height - 6}" text-anchor="middle">tokens</text>')
    for (threads, line), color in zip(ratios.items(), ["#1b6ca8", "#c8553d", "#588157"]):
        points = " ".join(f"{x(i):.1f},{y(r):.1f}" for i, r in enumerate(line))
        out.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        out += [f'<circle cx="{x(i):.1f}" cy="{y(r):.1f}" r="3" fill="{color}"/>' for i, r in enumerate(line)]
        out.append(f'<text x="{x(len(line) - 1):.1f}" y="{y(line[-1]) - 8:.1f}" text-anchor="end" fill="{color}">'
                   f'{threads} thread{"s" if threads > 1 else ""}</text>')
    out.append(f'<text x="{left}" y="14">bert_base: time of float32 ÷ time of 8 bits</text></svg>')
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("--linnet", default=str(ROOT / "build/release/linnet"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="replace the table in docs/performance.md and docs/speedup.svg")
    options = parser.parse_args()

    head = ["model"]
    for threads in options.threads:
        head += [f"speed-up, {threads} thr", "float32 ms", "8 bits ms"]
    rows, ratios = [], {threads: [] for threads in options.threads}
    for name, model, dims in PAIRS:
        row = [name]
        for threads in options.threads:
            wide, narrow = measure(options, model, dims, threads)
            row += [f"{wide / narrow:.2f}", f"{wide:.3g}", f"{narrow:.3g}"]
            if model == "bert_base":
                ratios[threads].append(wide / narrow)
        rows.append(row)
        print("  ".join(row), flush=True)
    table = "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head)] + rows)
    if options.write:
        page = ROOT / "docs/performance.md"
        before, rest = page.read_text().split(BEGIN, 1)
        page.write_text(before + BEGIN + "\n" + table + "\n" + END + rest.split(END, 1)[1])
        (ROOT / "docs/speedup.svg").write_text(plot(ratios))


if __name__ == "__main__":
    main()
