"""A process that the file system's permissions hold for, whoever runs the tests."""

import os
import shutil

_SETPRIV = shutil.which("setpriv")
WITHOUT_PRIVILEGES = [_SETPRIV, "--bounding-set=-all", "--inh-caps=-all"] if _SETPRIV and os.geteuid() == 0 else []
"""What to put before a command: root without capabilities is kept out of what its own mode bits forbid, like anyone."""
