"""`make bench`: one table of ratios, each measured interleaved against a real peer, written to docs/performance.md.

python tests/benchmarks/run.py                 everything, at most 20 minutes on 2 cores
python tests/benchmarks/run.py augmenting      one module; the document stays as it is
"""

from __future__ import annotations

import argparse
import importlib
import platform
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import torch
from compare import Row

from synthaug.device import has_bf16

MODULES = ("training", "reading", "augmenting", "exporting", "evaluating", "starting")
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
LIMITS = Path(__file__).with_name("limits.md")


def table(rows: list[Row]) -> str:
    lines = [
        "| what | against | ratio | in rounds | to reach | ours | theirs |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        verdict = "" if row.met else " **missed**"
        lines.append(
            f"| {row.what} | {row.against} | {row.ratio:.2f} ×{verdict} | {row.low:.2f} to {row.high:.2f} "
            f"| {row.target:g} × | {row.ours} | {row.theirs} |"
        )
    notes = [f"- {row.what}: {note}." for row in rows for note in row.notes]
    return "\n".join([*lines, "", *notes])


def machine() -> str:
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    bf16 = "bf16" if has_bf16(torch.device("cuda" if torch.cuda.is_available() else "cpu")) else "no bf16"
    return f"{name}, {torch.get_num_threads()} threads, {bf16}, {device}, torch {torch.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", choices=[[], *MODULES])
    chosen = parser.parse_args().modules or MODULES
    begun, rows = time.monotonic(), []
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in chosen:
            for row in importlib.import_module(name).rows(Path(scratch)):
                rows.append(row)
                mark = "ok    " if row.met else "MISSED"
                print(
                    f"{mark} {row.ratio:6.2f} × (≥ {row.target:g})  {row.what}: {row.ours} | {row.theirs}", flush=True
                )
                for note in row.notes:
                    print(f"                         {note}", flush=True)
    minutes = (time.monotonic() - begun) / 60
    print(f"{minutes:.1f} min")
    if tuple(chosen) != MODULES:
        return
    now = datetime.now(timezone.utc).date()
    DOCUMENT.write_text(
        "# How fast it is\n\n"
        f"`make bench`, {now}, {minutes:.0f} minutes, on {machine()}.\n\n"
        "A ratio is their seconds ÷ ours, round by round, the two in turn: above 1, synthaug is faster.\n\n"
        f"{table(rows)}\n\n{LIMITS.read_text(encoding='utf-8')}",
        encoding="utf-8",
    )
    print(f"written: {DOCUMENT}")


if __name__ == "__main__":
    main()
