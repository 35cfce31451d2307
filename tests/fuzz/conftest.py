"""The loop and the samples are also run as scripts, so they import each other as scripts do."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
