"""Writes the page of every cause and every code, removes pages that nothing has any more, and the README's table."""

import re
from pathlib import Path

from uv_link_doctor.engine.words import PAGES, markdown, table
from uv_link_doctor.pages import page_path

README = Path(__file__).parents[3] / "README.md"
TABLE = re.compile(r"^\| cause \|.*\n(?:\|.*\n)+", re.MULTILINE)


def main() -> None:
    """After a change to `engine.words`, brings the files into step with it."""
    for page in PAGES.values():
        page_path(page.name).write_text(markdown(page), encoding="utf-8", newline="\n")
    for path in Path(__file__).parent.glob("*.md"):
        if path.stem not in PAGES:
            path.unlink()
    rows = f"{table('server/uv_link_doctor/pages')}\n"
    README.write_text(TABLE.sub(lambda _: rows, README.read_text("utf-8")), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
