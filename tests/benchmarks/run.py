"""`make bench`: one table of ratios, each measured interleaved against a real peer, written to docs/performance.md.

python tests/benchmarks/run.py                 everything, at most 20 minutes on 2 cores
python tests/benchmarks/run.py augmenting      one module; its rows in the document are replaced
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import tempfile
import time
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from compare import Row

from synthaug.device import has_bf16

MODULES = ("training", "reading", "augmenting", "exporting", "evaluating", "judging", "starting")
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
LIMITS = Path(__file__).with_name("limits.md")
KEPT = DOCUMENT.parents[1] / "build" / "benchmarks.json"


def table(rows: list[Row]) -> str:
    lines = [
        "| what | compared with | ratio | range over rounds | target | synthaug | the other |",
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
    begun = time.monotonic()
    known = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in chosen:
            rows = []
            for row in importlib.import_module(name).rows(Path(scratch)):
                rows.append(row)
                mark = "ok    " if row.met else "MISSED"
                print(
                    f"{mark} {row.ratio:6.2f} × (≥ {row.target:g})  {row.what}: {row.ours} | {row.theirs}", flush=True
                )
                for note in row.notes:
                    print(f"                         {note}", flush=True)
            known[name] = {
                "date": str(datetime.now(timezone.utc).date()),
                "on": machine(),
                "rows": [*map(asdict, rows)],
            }
            KEPT.parent.mkdir(parents=True, exist_ok=True)
            KEPT.write_text(json.dumps(known, indent=1))
    print(f"{(time.monotonic() - begun) / 60:.1f} min")
    if all(name in known for name in MODULES):
        write_document({name: known[name] for name in MODULES})


def write_document(modules: dict[str, Any]) -> None:
    """All modules' latest rows; each was measured interleaved, whatever was measured before it."""
    rows = [Row(**row) for module in modules.values() for row in module["rows"]]
    measured = sorted({f"{module['date']} on {module['on']}" for module in modules.values()})
    DOCUMENT.write_text(
        "# How fast it is\n\n"
        "How fast synthaug trains, exports and judges, beside other tools. To measure it again:\n\n"
        "```sh\nmake bench\n```\n\n"
        f"Measured {'; '.join(measured)}.\n\n"
        "The ratio is the other tool's time ÷ synthaug's; above 1, synthaug is faster. Both run in turn, "
        "for several rounds.\n\n"
        f"{table(rows)}\n\n{LIMITS.read_text(encoding='utf-8')}",
        encoding="utf-8",
    )
    print(f"written: {DOCUMENT}")


if __name__ == "__main__":
    main()
