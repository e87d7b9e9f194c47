"""What all tests share: checks of the axes of arrays, where a run asks for them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import shape_checks

shape_checks.begin()
