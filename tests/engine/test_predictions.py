"""What is foretold from what two places allow: only what is known, with its cause, its price and what would help."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kit.values import CACHE_PLACE, ENVIRONMENT_PLACE, HOME, MANIFEST, PROJECT, facts, places, project, trial, under

from uv_link_doctor.engine.model import (
    Cause,
    Code,
    Finding,
    Home,
    LinkMode,
    Operation,
    Outcome,
    Place,
    Refused,
    RemedyKind,
    Severity,
    Weight,
)
from uv_link_doctor.engine.predictions import prediction, taint, with_foresight
from uv_link_doctor.engine.remedies import actions

SYNCED = replace(ENVIRONMENT_PLACE, synced_by="OneDrive")
WEIGHT = Weight(files=1234, size=56_700_000, packages=12, unknown=2)
ALL_WORK = {"clone": None, "hardlink": None, "symlink": None, "copy": None}


def mode(value: str) -> str:
    return f'{PROJECT}\n[tool.uv]\nlink-mode = "{value}"\n'


def foretold(link_mode: str | None, environment: Place = ENVIRONMENT_PLACE, /, **works: int | None):
    own = project(mode(link_mode) if link_mode else PROJECT)
    return prediction(facts(own, places=places(trial(**works), environment=environment)))


@pytest.mark.parametrize("link_mode", [None, *LinkMode])
@pytest.mark.parametrize(
    "works",
    [ALL_WORK, {"hardlink": None, "symlink": None, "copy": None}, {}],
    ids=["all works", "no clones known", "nothing is known"],
)
def test_nothing_is_said_where_nothing_is_known_to_be_wrong(link_mode, works):
    assert foretold(link_mode, **works) is None


@pytest.mark.parametrize(
    ("link_mode", "works", "expected"),
    [
        # Linux clones by default and gives way to hard links in silence: no loss.
        (None, {"clone": 95, "hardlink": None, "copy": None}, None),
        ("clone", {"clone": 95, "hardlink": None, "copy": None}, None),
        (None, {"clone": 18, "hardlink": 18, "copy": None}, (Operation.HARDLINK, 18, Cause.CROSS_DEVICE)),
        ("hardlink", {"clone": None, "hardlink": 18, "copy": None}, (Operation.HARDLINK, 18, Cause.CROSS_DEVICE)),
        ("clone", {"clone": None, "hardlink": 18, "copy": None}, None),
        ("symlink", {"hardlink": 18, "symlink": None, "copy": None}, None),
        ("symlink", {"symlink": 38, "copy": None}, (Operation.SYMLINK, 38, Cause.UNSUPPORTED_FILESYSTEM)),
        ("copy", {"clone": 18, "hardlink": 18, "copy": None}, None),
        # No copy is known to work: nobody can say what comes then.
        (None, {"clone": 18, "hardlink": 18}, None),
        # Not even a copy works: the install will fail, whatever the mode.
        (None, {"clone": 30, "hardlink": 30, "copy": 30}, (Operation.COPY, 30, Cause.READ_ONLY)),
        ("copy", {"copy": 28}, (Operation.COPY, 28, Cause.NO_SPACE)),
        # uv does not start where it cannot write to its cache, but it may find some space on a full disk.
        (None, {"write": 30}, (Operation.WRITE, 30, Cause.READ_ONLY)),
        ("copy", {"write": 13}, (Operation.WRITE, 13, Cause.PERMISSION)),
        (None, {"write": 28}, None),
    ],
)
def test_what_is_foretold(link_mode, works, expected):
    found = foretold(link_mode, **works)
    assert (found and (found.operation, found.os_error, found.cause)) == expected
    if found:
        assert (found.code, found.outcome) == (Code.LINK_PREDICTED, Outcome.PREDICTED)
        assert bool(actions(found.remedies)) is (found.operation not in {Operation.COPY, Operation.WRITE})


def test_an_old_uv_goes_from_clones_to_copies():
    own = facts(project(mode("clone")), places=places(trial(clone=95, hardlink=None, copy=None)))
    assert prediction(own) is None
    found = prediction(replace(own, uv_version=(0, 10, 4)))
    assert found
    assert (found.operation, found.os_error) == (Operation.CLONE, 95)


@pytest.mark.parametrize("works", [{}, {"clone": 95}, {"clone": 95, "hardlink": None, "copy": None}])
def test_a_synced_folder_is_warned_of_before_anything_is_wrong(works):
    found = foretold(None, SYNCED, **works)
    assert found
    assert (found.cause, found.severity, found.operation) == (Cause.CLOUD_SYNC, Severity.WARNING, Operation.HARDLINK)
    assert [(it.kind, it.preferred) for it in actions(found.remedies)] == [
        (RemedyKind.RETRY_COPY, True),
        (RemedyKind.SET_LINK_MODE, False),
    ]


@pytest.mark.parametrize(
    ("link_mode", "works"), [("copy", {}), ("symlink", ALL_WORK), (None, ALL_WORK), ("clone", {"clone": None})]
)
def test_a_synced_folder_is_fine_without_hard_links(link_mode, works):
    assert foretold(link_mode, SYNCED, **works) is None


def test_it_stands_on_the_setting_that_asks_for_it_else_on_the_project():
    texts = {MANIFEST: mode("hardlink")}
    found = foretold("hardlink", hardlink=18, copy=None)
    assert found
    assert under(found.location, texts) == 'link-mode = "hardlink"'
    found = foretold(None, clone=18, hardlink=18, copy=None)
    assert found
    assert under(found.location, {MANIFEST: PROJECT}) == "[project]"


REFUSED = Refused("certifi", "1", Path("/c/archive-v0/x/certifi/core.py"), Path("certifi/core.py"), 396)


def test_files_that_take_no_link_any_more():
    held = replace(REFUSED, environments=(HOME / "OneDrive/p/.venv",))
    found = taint(facts(refused=(held,)))
    assert found
    assert (found.code, found.severity, found.cause) == (Code.CACHE_TAINTED, Severity.WARNING, Cause.CLOUD_SYNC)
    assert (found.package, found.version, found.required_by) == ("certifi", "1", ("httpx",))
    assert under(found.location, {MANIFEST: PROJECT}) == "httpx>=0.28"
    many = taint(facts(refused=tuple(replace(REFUSED, package=name) for name in "abcdefg")))
    assert many
    assert many.package is None
    assert "and 3 more" in many.message
    assert taint(facts()) is None
    for told in ({"hardlink": 396}, {"write": 13}):
        assert taint(facts(refused=(held,), places=places(trial(**told)))) is None, "the prediction says so"
    assert taint(facts(refused=(held,), places=places(trial(hardlink=18)))) is not None
    assert taint(facts(project(mode("copy")), refused=(held,))) is None


def test_the_words_of_every_prediction(golden):
    ext4 = replace(CACHE_PLACE, path=HOME / "app", mount_point="/")
    cases: dict[str, tuple[str | None, Place, dict[str, int | None]]] = {
        "two file systems": (None, ENVIRONMENT_PLACE, {"clone": 18, "hardlink": 18, "symlink": None, "copy": None}),
        "a mode that the file system lacks": ("hardlink", ENVIRONMENT_PLACE, {"hardlink": 95, "copy": None}),
        "a synced folder": (None, replace(ext4, synced_by="OneDrive"), {"clone": 95, "hardlink": None, "copy": None}),
        "nothing can be written": (None, ENVIRONMENT_PLACE, {"clone": 30, "hardlink": 30, "copy": 30}),
    }
    told: list[tuple[str, Finding | None]] = []
    for name, (link_mode, environment, works) in cases.items():
        own = project(mode(link_mode) if link_mode else PROJECT)
        for foreseen in (True, False):
            tried = replace(trial(**works), foreseen=foreseen)
            extras: dict[str, Any] = {} if foreseen else {"weight": WEIGHT, "homes": (Home(path=HOME / ".cache/uv"),)}
            found = prediction(facts(own, places=places(tried, environment=environment), **extras))
            told.append((f"{name}, {'passively' if foreseen else 'tried'}", found))
    overruled = facts(
        places=places(trial(clone=18, hardlink=18, copy=None)),
        setting_file=None,
        overruling="the variable `UV_LINK_MODE` is `clone`",
    )
    told.append(("where a variable wins", prediction(overruled)))
    held = replace(REFUSED, environments=(HOME / "OneDrive/p/.venv",))
    told.append(("a tainted cache", taint(facts(refused=(held, replace(REFUSED, package="idna", version="3"))))))
    lines = []
    for name, found in told:
        assert found is not None
        lines += [f"{name}: {found.severity} {found.message}", *(f"  - {fact}" for fact in found.evidence)]
        lines += [f"  > {it.title}: {'; '.join(it.changes)}" for it in found.remedies]
        lines += [f"  @ {it.message}" for it in found.related]
    golden("predictions.txt", "\n".join(lines) + "\n")


def test_what_is_certain_counts_although_a_trial_with_our_own_file_worked():
    tried, foreseen = trial(clone=95, hardlink=None, copy=None), trial(clone=None, hardlink=1)
    assert with_foresight(tried, foreseen) == trial(clone=95, hardlink=1, copy=None)
    assert with_foresight(tried, trial()) == tried
