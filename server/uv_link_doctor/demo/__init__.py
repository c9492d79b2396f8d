"""What the demo needs beyond the doctor: a file system that refuses links, packages to install, and the story."""
