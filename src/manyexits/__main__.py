"""`python -m manyexits`, as ranks are started."""

import sys

from manyexits.cli import main

sys.exit(main())
