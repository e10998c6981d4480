"""How a pipeline reports its progress, and how it is drawn: on a terminal, in a notebook, or not at all."""

from __future__ import annotations

from synthaug.progress.base import Progress, Silent, Task
from synthaug.progress.choice import shown

__all__ = ["Progress", "Silent", "Task", "shown"]
