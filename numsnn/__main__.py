"""``python -m numsnn`` is the same as the command ``numsnn``."""

import sys

from .cli import main

sys.exit(main())
