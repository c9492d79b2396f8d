"""Writes the page of every cause and every code, and removes pages that nothing has any more."""

from pathlib import Path

from uv_link_doctor.engine.words import PAGES, markdown
from uv_link_doctor.pages import page_path


def main() -> None:
    """After a change to `engine.words`, brings the files into step with it."""
    for page in PAGES.values():
        page_path(page.name).write_text(markdown(page), encoding="utf-8", newline="\n")
    for path in Path(__file__).parent.glob("*.md"):
        if path.stem not in PAGES:
            path.unlink()


if __name__ == "__main__":
    main()
