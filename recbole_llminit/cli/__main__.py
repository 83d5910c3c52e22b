"""``python -m recbole_llminit.cli`` is ``recbole-llminit``."""

import sys

from recbole_llminit.cli import main

sys.exit(main())
