"""How long a training lasts: a time, or a number of images."""

from __future__ import annotations

import re

MOST_FOLDS = 20
MOST_KIMG = 1e6  # a thousand million images
_MOST_SECONDS = 1e4 * 3600
_BUDGET = re.compile(r"(?P<amount>\d+(?:\.\d+)?)\s*(?P<unit>s|min|h|kimg)")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


def parse_budget(text: str) -> tuple[float | None, float | None]:
    """Read `10min`, `90s`, `1h` or `200kimg` as (seconds, kimg), one of which is None.

    Raises:
        ValueError: it is not written so, not above 0, or too long.

    >>> parse_budget("10min")
    (600.0, None)
    >>> parse_budget("0.5kimg")
    (None, 0.5)
    """
    match = _BUDGET.fullmatch(text.strip())
    if match is None or float(match["amount"]) <= 0:
        raise ValueError(f"{text!r} is not a budget: write it like 10min, 90s, 1h or 200kimg")
    amount = float(match["amount"])
    seconds, kimg = (None, amount) if match["unit"] == "kimg" else (amount * _SECONDS[match["unit"]], None)
    if (seconds or 0) > _MOST_SECONDS or (kimg or 0) > MOST_KIMG:
        raise ValueError(f"{text!r} is more than {_MOST_SECONDS / 3600:.0f}h or {MOST_KIMG:.0f}kimg")
    return seconds, kimg


def check_budget(text: str) -> str:
    """Return a budget as it is; raises as `parse_budget`."""
    parse_budget(text)
    return text
