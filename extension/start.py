"""Starts the doctor with the libraries that lie beside it: `python -I -S start.py server`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "bundled"))

from uv_link_doctor.cli import main

sys.exit(main())
