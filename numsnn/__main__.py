"""``python -m numsnn`` is the command ``numsnn``."""

import sys

from .cli import main

sys.exit(main())
