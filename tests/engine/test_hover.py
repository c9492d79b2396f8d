"""What a hover says, for a person to read (`data/golden/hovers.md`), and where there is one at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from kit.values import CACHE_PLACE, ENVIRONMENT_PLACE, HOME, MANIFEST, PROJECT, ROOT, places, project, trial

from uv_link_doctor.engine.hover import Known, hover
from uv_link_doctor.engine.model import Places, Position, Weight
from uv_link_doctor.engine.toml_text import position_at

TEXT = f'{PROJECT}\n[tool.uv]\nlink-mode = "hardlink" # ours\ncache-dir = "/mnt/cache"\n'
WEIGHT = Weight(files=1234, size=56_700_000, packages=2, unknown=0, each={"httpx": (24, 310_000), "certifi": (5, 300)})
SAME = replace(CACHE_PLACE, path=ROOT)
SITUATIONS: dict[str, tuple[Places | None, Weight | None]] = {
    "nothing is known yet": (None, None),
    "linking works": (places(trial(clone=95, hardlink=None, symlink=None, copy=None), environment=SAME), WEIGHT),
    "clones work": (places(trial(clone=None, hardlink=18, symlink=None, copy=None), environment=SAME), WEIGHT),
    "nothing links": (places(trial(clone=18, hardlink=18, symlink=None, copy=None)), WEIGHT),
    "nobody can say": (places(trial(symlink=None)), None),
    "a synced folder": (
        places(trial(hardlink=None, copy=None), environment=replace(ENVIRONMENT_PLACE, synced_by="OneDrive")),
        None,
    ),
}


def at(text: str, words: str) -> Position:
    return position_at(text, text.index(words) + 1)


def said(words: str, situation: str, **more: Any) -> str:
    ends, weight = SITUATIONS[situation]
    known = Known(project=project(TEXT, **more), places=ends, weight=weight)
    found = hover(MANIFEST, TEXT, at(TEXT, words), known)
    assert found is not None
    return found[1]


def test_the_words(golden):
    told = [
        f"<!-- {words}: {situation} -->\n\n{said(words, situation)}\n"
        for words in ("link-mode", "cache-dir", "httpx")
        for situation in SITUATIONS
    ]
    environ = {"UV_LINK_MODE": "copy"}
    told.append(f"<!-- link-mode: a variable wins -->\n\n{said('link-mode', 'linking works', environ=environ)}\n")
    told.append(f"<!-- [tool.uv] -->\n\n{said('[tool.uv]', 'linking works')}\n")
    golden("hovers.md", "\n".join(told))


def test_a_default_and_a_users_file():
    files = {HOME / ".config/uv/uv.toml": 'link-mode = "symlink"\n'}
    text = PROJECT + '[tool.uv]\ncache-dir = "x"\n'
    known = Known(project=project(text, files=files))
    _, told = hover(MANIFEST, text, at(text, "[tool.uv]"), known) or ("", "")
    assert "**`link-mode`: `symlink`**, set in `/home/ana/.config/uv/uv.toml:1`" in told
    _, told = hover(MANIFEST, text, at(text, "[tool.uv]"), Known(project=project(text))) or ("", "")
    assert "**`link-mode`: `clone`**, uv's default" in told


@pytest.mark.parametrize("words", ["[project]", "name", "# ours", "dependencies"])
def test_elsewhere_there_is_none(words):
    assert hover(MANIFEST, TEXT, at(TEXT, words), Known(project=project(TEXT))) is None


@pytest.mark.parametrize("text", ['link-mode = "copy"\n', '[pip]\nlink-mode = "copy"\n'])
def test_in_a_uv_toml(text):
    path = ROOT / "uv.toml"
    known = Known(project=project(PROJECT, files={path: text}))
    assert hover(path, text, at(text, "link-mode"), known) is not None
