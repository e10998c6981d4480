"""Plug-ins that happen to be installed are not part of the project, and would enter the tests of each table.

`SYNTHAUG_NO_PLUGINS= make test …` lets them in, to try a plug-in with the contract tests.
"""

import os

os.environ.setdefault("SYNTHAUG_NO_PLUGINS", "1")
