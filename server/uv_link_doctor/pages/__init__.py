"""Where the page about a cause or a code is, for a diagnostic to link to."""

from pathlib import Path


def page_path(name: str) -> Path:
    """The Markdown file about a cause or a code, by its value; `python -m uv_link_doctor.pages` writes them all."""
    return Path(__file__).with_name(f"{name}.md")
