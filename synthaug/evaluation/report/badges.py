"""Verdicts as badges: a word, a colour and an icon, so that they can be told apart without colour."""

from __future__ import annotations

from dataclasses import dataclass

# verdict → (tone, icon)
_TONES = {
    "helps": ("good", "up"),
    "no measurable effect": ("neutral", "level"),
    "hurts": ("bad", "down"),
    "healthy": ("good", "tick"),
    "thinning": ("warn", "bang"),
    "collapsed": ("bad", "cross"),
    "clear": ("good", "tick"),
    "suspect": ("warn", "bang"),
    "copying": ("bad", "cross"),
}


@dataclass(frozen=True, slots=True)
class Badge:
    text: str
    tone: str
    icon: str


def badge(text: str) -> Badge:
    """The badge of a verdict; unknown verdicts are neutral."""
    return Badge(text, *_TONES.get(text, ("neutral", "question")))
