"""Time and memory of reading many images: `inspect`, and the array that training reads, as files and as tar shards.

    python tests/benchmarks/scale.py                     # 100,000 images in 1,000 classes, in build/scale
    python tests/benchmarks/scale.py --images 10000

Each step is a process of its own, which ends before the next begins. Seconds of the processor are those of all
processes. Memory is the most that the process itself needs, without files that are mapped: the system can drop their
pages (Linux, looked at 20 times a second). Images are smooth random patterns of 32 x 32 pixels.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
import tarfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

INSPECT = "from synthaug.pipelines.inspect import inspect; inspect({root!r}, cache=Path({cache!r}))"
ARRAYS = (
    "from synthaug.data.folder import scan; from synthaug.data.cache import load_images; "
    "s = scan(Path({root!r}), cache=Path({cache!r})); load_images(s.root, s.images, s.classes, resolution=32, "
    "channels=3, fit='pad', cache=Path({cache!r}))"
)


def make(root: Path, images: int, classes: int) -> None:
    """Image files, root/files/CLASS/*.png, and the same ones in shards of 10,000, root/shards/*.tar."""
    rng = np.random.default_rng(0)
    for folder in (root / "shards", *(root / "files" / f"class{k:04d}" for k in range(classes))):
        folder.mkdir(parents=True)
    for start in range(0, images, 10_000):
        with tarfile.open(root / "shards" / f"{start // 10_000:06d}.tar", "w") as shard:
            for number in range(start, min(start + 10_000, images)):
                label, data = f"class{number % classes:04d}", io.BytesIO()
                small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
                small.resize((32, 32), Image.Resampling.BICUBIC).save(data, "PNG", compress_level=1)
                name = f"{int(rng.integers(1 << 40)):011x}"
                (root / "files" / label / f"{name}.png").write_bytes(data.getvalue())
                for suffix, content in (("png", data.getvalue()), ("cls", label.encode())):
                    info = tarfile.TarInfo(f"{name}.{suffix}")
                    info.size = len(content)
                    shard.addfile(info, io.BytesIO(content))


def measure(name: str, code: str) -> None:
    """Run Python code in a process, and print a row of the table."""
    start, peak = time.monotonic(), 0
    process = os.posix_spawn(sys.executable, [sys.executable, "-c", f"from pathlib import Path; {code}"], os.environ)
    while not (ended := os.wait4(process, os.WNOHANG))[0]:
        with suppress(OSError, StopIteration):
            status = Path(f"/proc/{process}/status").read_text().splitlines()
            peak = max(peak, int(next(line.split()[1] for line in status if line.startswith("RssAnon"))))
        time.sleep(0.05)
    if ended[1]:
        sys.exit(f"{name} failed")
    seconds, busy = time.monotonic() - start, ended[2].ru_utime + ended[2].ru_stime
    print(f"| {name} | {seconds:.0f} | {busy:.0f} | {peak / 1024:,.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--folder", type=Path, default=Path("build/scale"))
    given = parser.parse_args()
    root, cache = given.folder / str(given.images), given.folder / "cache"
    if not root.exists():
        make(root, given.images, given.classes)
    shutil.rmtree(cache, ignore_errors=True)
    print("| step | seconds | seconds of the processor | memory, MB |\n|---|---:|---:|---:|")
    for kind in ("files", "shards"):
        for name, code in (("inspect", INSPECT), ("inspect, again", INSPECT), ("array of 32 px", ARRAYS)):
            measure(f"{name}, {kind}", code.format(root=str(root / kind), cache=str(cache)))
    print(f"{given.images:,} images in {given.classes:,} classes; {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
