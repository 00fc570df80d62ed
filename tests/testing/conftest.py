"""The broken layers are imported by the name of their module, so that they can be pickled."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
