"""Explains why uv cannot place a package's files in an environment, and repairs it."""

__version__ = "0.1.0"
