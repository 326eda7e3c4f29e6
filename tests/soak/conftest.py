"""The helpers of the other tests, also where the soak tests run alone."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path += [str(TESTS / name) for name in ("workflow", "unit", "unit/training")]
