"""How often the verdict and its intervals are wrong on the boundary of the null, with few groups, small test sets,
several target classes and several controls; and how often the rule finds a gain as large as it says it can find.

    python tests/studies/verdict_rates.py --out build/verdict_rates.jsonl --jobs 2 --write docs/science/verdict.md

The predictions are planted (planted_predictions.py), so a repetition takes a tenth of a second; half an hour on two
cores. A repetition is a line of `--out`; a study that was interrupted goes on from there.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from planted_predictions import BEST, Case, recommendation, repetition
from tables import between, keep, kept, rate, written

ARM = "synthetic+classical"
ONE = (ARM,)
PATIENTS = {"images": 20, "patients": True, "group_sd": 1.0}
NULLS = [
    Case("40 test images of the rare class", 40),
    Case("12 test images", 12),
    Case("6 test images", 6),
    Case("4 test images", 4),
    Case("2 patients with 20 images of each class", 2, **PATIENTS),
    Case("5 patients", 5, **PATIENTS),
    Case("8 patients", 8, **PATIENTS),
    Case("20 patients", 20, **PATIENTS),
    Case("2 groups of 20 images of the rare class", 2, images=20, group_sd=1),
    Case("8 groups of 20 images", 8, images=20, group_sd=1),
    Case("3 target classes of 40 images", 40, targets=3),
    Case("10 target classes of 40 images", 40, targets=10, classes=12),
    Case("40 images, all controls equal", 40, behind=0),
]
GAINS = [
    Case("40 test images", 40, gain=1.3, gaining=ONE),
    Case("40, all controls equal", 40, gain=1.65, gaining=ONE, behind=0),
    Case("40, one of 3 target classes", 40, gain=1.6, gaining=ONE, targets=3),
    Case("40, one of 10 target classes", 40, gain=2.0, gaining=ONE, targets=10, classes=12),
    Case("200 test images", 200, gain=0.5, gaining=ONE),
    Case("8 patients with 20 images of each class", 8, images=20, patients=True, gain=1.1, gaining=ONE),
    Case("20 patients", 20, images=20, patients=True, gain=0.5, gaining=ONE),
    Case("40 test images, both arms gain", 40, gain=1.2),
]
ADVICE = [
    Case("30 validation images", 30),
    Case("30, all controls equal", 30, behind=0),
    Case("30, 3 target classes", 30, targets=3),
    Case("30, a large gain", 30, gain=2.5),
]


def measured(case: Case, number: int) -> dict[str, Any]:
    if case in ADVICE:
        advice = {"recommended": recommendation(case, number).synthetic > 0}
        return {"case": case.about, "gain": case.gain, "number": number, **advice}
    tables, verdict = repetition(case, number)
    target, macro = (verdict.details[name].contrasts[f"{ARM}-{BEST}"] for name in ("0", "macro-F1"))
    return {
        "case": case.about,
        "gain": case.gain,
        "number": number,
        "overall": verdict.overall,
        "target": verdict.per_target["0"],
        "interval": target.low > 0 or target.high < 0,
        "macro": macro.low > 0 or macro.high < 0,
        "planted": float((tables[ARM].seeds - tables[BEST].seeds)[:, 0].mean()),
        "detectable": verdict.details["0"].smallest_detectable,
    }


def nulls(rows: list[dict[str, Any]]) -> str:
    lines = []
    for case in NULLS:
        mine = [row for row in rows if (row["case"], row["gain"]) == (case.about, 0)]
        n = len(mine)
        said = [rate(sum(row["overall"] == word for row in mine), n) for word in ("helps", "hurts")]
        intervals = [rate(sum(row[key] for row in mine), n) for key in ("interval", "macro")]
        lines.append([case.about, str(n), *said, *intervals])
    head = ["null case", "repetitions", "helps", "hurts", "wrong interval, rare class", "wrong interval, macro-F1"]
    return written(head, lines)


def gains(rows: list[dict[str, Any]]) -> str:
    lines = []
    for case in GAINS:
        mine = [row for row in rows if (row["case"], row["gain"]) == (case.about, case.gain)]
        found = rate(sum(row["target"] == "helps" for row in mine), len(mine))
        detectable = np.mean([row["detectable"] for row in mine])
        planted = np.mean([row["planted"] for row in mine])
        lines.append([case.about, str(len(mine)), f"{detectable:.3f}", f"{planted:+.3f}", found])
    return written(["case", "repetitions", "said to be found in 80%", "planted", "found"], lines)


def advice(rows: list[dict[str, Any]]) -> str:
    lines = []
    for case in ADVICE:
        mine = [row["recommended"] for row in rows if row["case"] == case.about]
        lines.append([case.about, str(len(mine)), rate(sum(mine), len(mine))])
    return written(["case", "repetitions", "images recommended"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="results as JSON lines; these are not computed again")
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--write", type=Path, help="page whose tables are replaced")
    a = parser.parse_args()
    rows = kept(a.out)
    done = {(row["case"], row["gain"], row["number"]) for row in rows}
    left = [
        (case, number) for case in NULLS + GAINS + ADVICE for number in range(a.repetitions)
        if (case.about, case.gain, number) not in done
    ]  # fmt: skip
    a.out.parent.mkdir(parents=True, exist_ok=True)
    made = joblib.Parallel(n_jobs=a.jobs, return_as="generator", batch_size=20)(
        joblib.delayed(measured)(*pair) for pair in left
    )
    for row in made:
        keep(a.out, row)
        rows.append(row)
    for name, text in (("null cases", nulls(rows)), ("power", gains(rows)), ("advice", advice(rows))):
        print(text)
        if a.write:
            between(a.write, name, f"\n{text}\n")


if __name__ == "__main__":
    main()
