"""What a family that starts from images can do with them. Without pydantic, so that the command line starts quickly."""

from typing import Literal

Mode = Literal["both", "translate", "vary"]
