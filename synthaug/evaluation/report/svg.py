"""SVG drawings: x is in per cent of the width, y in pixels. So text and strokes keep their size on a phone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape


def tag(name: str, *children: str, **attributes: object) -> Markup:
    """An element. Text that is not Markup is escaped; `_` in an attribute's name becomes `-`; None is left out.

    >>> tag("text", "a < b", class_="tick", text_anchor="end")
    Markup('<text class="tick" text-anchor="end">a &lt; b</text>')
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(Markup(key.rstrip("_").replace("_", "-")), value)
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(escape(child) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, inner)


def percent(value: float) -> str:
    return f"{value:.2f}%"


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear axis from `low` to `high` with round `ticks`."""

    low: float
    high: float
    ticks: tuple[float, ...]
    differences: bool = False

    def at(self, value: float) -> float:
        """The position of `value` in per cent from the left; a value beyond the axis is drawn at its end."""
        return 100 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def down(self, value: float, height: float) -> float:
        """The same for a vertical axis, in pixels from the top of a drawing `height` pixels high."""
        return height * (1 - self.at(value) / 100)

    def label(self, value: float) -> str:
        """A tick's text, with only the decimals that the steps need."""
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else 1.0
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        if not math.isclose(round(step, decimals), step, rel_tol=1e-6):
            decimals += 1  # steps of 2.5, 0.25, …
        return signed(value, decimals) if self.differences else number(value, decimals)


def scale(values: Iterable[float | None], *, differences: bool = False, at_least: float = 0.0, count: int = 4) -> Scale:
    """An axis of at most about `count` round steps that holds zero and all finite `values`.

    `differences` puts zero in the middle; `at_least` is the smallest span on either side.

    >>> scale([0.0, 0.87]).ticks
    (0.0, 0.25, 0.5, 0.75, 1.0)
    >>> scale([-0.04, 0.07], differences=True).ticks
    (-0.1, -0.05, 0.0, 0.05, 0.1)
    """
    finite = [v for v in values if v is not None and math.isfinite(v)]
    low, high = min([0.0, *finite]), max([at_least, *finite])
    if differences:
        high = max(high, -low)
        low = -high
    if high - low <= 0:
        high = low + 1.0
    raw = (high - low) / count
    base = 10.0 ** math.floor(math.log10(raw))
    step = min(m * base for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * base >= 0.999 * raw)
    last = math.ceil(high / step - 1e-9)
    first = -last if differences else math.ceil(low / step - 1e-9)
    end = first * step if differences else min(0.0, low - 0.02 * (high - low)) if low < 0 else 0.0
    return Scale(end, last * step, tuple(i * step for i in range(first, last + 1)), differences)


UNIT = Scale(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0))


def gridlines(axis: Scale, height: float) -> Markup:
    """Vertical lines at the ticks; on an axis of differences, the line at zero is stronger."""
    lines = []
    for tick in axis.ticks:
        at, class_ = percent(axis.at(tick)), "zero" if axis.differences and abs(tick) < 1e-12 else "grid"
        lines.append(tag("line", class_=class_, x1=at, x2=at, y1=0, y2=height))
    return Markup("").join(lines)


def plane(x: Scale, y: Scale, height: float) -> Markup:
    """Gridlines of both axes of a plot."""
    across = [round(y.down(tick, height), 1) for tick in y.ticks]
    return gridlines(x, height) + Markup("").join(
        tag("line", class_="grid", x1=0, x2="100%", y1=at, y2=at) for at in across
    )


def tick_labels(axis: Scale) -> Markup:
    """The row under a chart."""
    texts = []
    for tick in axis.ticks:
        at = axis.at(tick)
        anchor = "start" if at < 4 else "end" if at > 96 else "middle"
        texts.append(tag("text", axis.label(tick), x=percent(at), y=12, text_anchor=anchor))
    return drawing(*texts, height=16, class_="ticks")


def y_tick_labels(axis: Scale, height: float) -> Markup:
    """The column left of a plot `height` pixels high."""
    texts = []
    for tick in axis.ticks:
        y = min(max(axis.down(tick, height) + 4, 10), height)
        texts.append(tag("text", axis.label(tick), x="100%", dx=-6, y=y, text_anchor="end"))
    return drawing(*texts, height=height, class_="ticks")


def drawing(*children: str, height: float, class_: str, alt: str | None = None) -> Markup:
    """An SVG as wide as its box and `height` pixels high.

    Without `alt` it is hidden from screen readers, because the text beside it has the same content.
    """
    for_readers: dict[str, str] = {"role": "img", "aria_label": alt} if alt else {"aria_hidden": "true"}
    return tag("svg", *children, class_=class_, width="100%", height=height, **for_readers)


def number(value: float | None, decimals: int = 3) -> str:
    """A number with a true minus sign; "–" if there is none.

    >>> number(-0.0312, 2), number(None), number(-0.0001, 2)
    ('−0.03', '–', '0.00')
    """
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:.{decimals}f}"
    return text.replace("-", "" if float(text) == 0 else "−")


def signed(value: float | None, decimals: int = 3) -> str:
    """A difference, always with its sign.

    >>> signed(0.031), signed(-0.2), signed(0)
    ('+0.031', '−0.200', '0.000')
    """
    text = number(value, decimals)
    return f"+{text}" if text[0].isdigit() and float(text) != 0 else text
