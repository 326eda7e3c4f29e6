"""Where the reference material lies: published curves and benchmark problems."""

import os
from pathlib import Path

import pytest


def reference(*parts: str) -> Path:
    """The path of a file or folder of it; skips the test where there is none."""
    folder = os.environ.get("SWITCHPOINT_REFERENCE")
    if not folder:
        pytest.skip(f"SWITCHPOINT_REFERENCE is not set; it holds {'/'.join(parts)}")
    return Path(folder, *parts)
