"""PRDC and KID of many images in little memory: seconds, and the peak of a process that does nothing else.

    OMP_NUM_THREADS=1 python tests/studies/large_metrics.py                  50,000 against 50,000 features of 1,280
    OMP_NUM_THREADS=1 python tests/studies/large_metrics.py --images 5000

Ends with status 1 where the peak is above --limit. The features alone, in single precision, take 2 × 256 MB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def features(images: int, width: int, seed: int) -> NDArray[np.float32]:
    """Like pooled activations, of classes of their own shares: [images, width], none below zero. Made in place."""
    rng = np.random.default_rng(seed)
    out = rng.standard_normal((images, width), dtype=np.float32)
    centres = np.random.default_rng(0).standard_normal((10, width), dtype=np.float32)
    for start in range(0, images, 1000):
        part = out[start : start + 1000]
        part += centres[rng.integers(0, 10 - seed, len(part))]  # the second set lacks one class
    return np.maximum(out, 0, out=out)


def peak() -> float:
    """Most MB that this process held. `ru_maxrss` would not do: a child begins with its parent's."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def measured(images: int, width: int) -> None:
    """In a process of its own, whose last line is its figures in JSON."""
    from synthaug.metrics import fidelity

    real, fake = features(images, width, 0), features(images, width, 1)
    found: dict[str, float] = {"features": peak()}
    start = time.perf_counter()
    scores = fidelity.prdc(real, fake)
    found |= {"prdc_seconds": time.perf_counter() - start, "prdc": peak()}
    print(scores, file=sys.stderr)
    start = time.perf_counter()
    print("KID", fidelity.kid(real, fake, rng=np.random.default_rng(0)), file=sys.stderr)
    found |= {"kid_seconds": time.perf_counter() - start, "kid": peak()}
    print(json.dumps(found))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000, help="of each of the two sets")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--limit", type=float, default=2048, help="MB")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.measure:
        measured(a.images, a.width)
        return 0
    command = [sys.executable, __file__, "--measure", "--images", str(a.images), "--width", str(a.width)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"{a.images:,} against {a.images:,} features of {a.width:,}: peak memory of the process")
    print(f"features made    {found['features']:6,.0f} MB")
    print(f"after PRDC       {found['prdc']:6,.0f} MB    {found['prdc_seconds']:,.0f} s")
    print(f"after KID        {found['kid']:6,.0f} MB    {found['kid_seconds']:,.0f} s")
    return int(found["kid"] > a.limit)


if __name__ == "__main__":
    sys.exit(main())
