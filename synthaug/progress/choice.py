"""Where the progress of a Python function is shown."""

from __future__ import annotations

import sys

from synthaug.launched import follows
from synthaug.progress.base import Progress, Silent


def shown(progress: Progress | bool) -> Progress:
    """True: bars in a notebook and on a terminal, elsewhere warnings only, on stderr. False: nothing.

    An object of your own gets what is reported: see `Progress`.
    """
    if not isinstance(progress, bool):
        return progress
    if not progress or follows():  # another process of the same training reports
        return Silent()
    if in_notebook():
        from synthaug.progress.notebook import NotebookProgress

        return NotebookProgress()
    from synthaug.progress.terminal import BarProgress, QuietProgress, on_terminal

    return BarProgress() if on_terminal() else QuietProgress()


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook (Jupyter, Colab, VS Code)."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None
