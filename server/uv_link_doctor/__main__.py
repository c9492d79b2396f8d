"""`python -m uv_link_doctor`: the same as the console script."""

import sys

from uv_link_doctor.cli import main

sys.exit(main())
