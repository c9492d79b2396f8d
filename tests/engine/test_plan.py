"""The commands, the environment uv gets, and what its dry runs announce."""

import json
from pathlib import Path

import pytest

from uv_link_doctor.engine import plan
from uv_link_doctor.engine.model import Kind, LinkMode, Manifest, Transcript, Uv
from uv_link_doctor.engine.plan import Intent

UV = Path("/bin/uv")


def said(*, stdout: str = "", stderr: str = "", exit_code: int = 0) -> Transcript:
    return Transcript(command=("uv",), exit_code=exit_code, stdout=stdout, stderr=stderr, seconds=0)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ["/bin/uv", "sync", "--inexact"]),
        ({"args": ("--dev",)}, ["/bin/uv", "sync", "--inexact", "--dev"]),
        (
            {"link_mode": LinkMode.COPY, "args": ("--link-mode", "hardlink", "--dev", "--link-mode=clone")},
            ["/bin/uv", "sync", "--inexact", "--link-mode", "copy", "--dev"],
        ),
        ({"args": ("--exact",)}, ["/bin/uv", "sync", "--exact"]),
        (
            {"link_mode": LinkMode.COPY, "reinstall": ("certifi", "idna")},
            [
                *["/bin/uv", "sync", "--inexact", "--link-mode", "copy"],
                *["--reinstall-package", "certifi", "--reinstall-package", "idna"],
            ],
        ),
        (
            {"verb": ("sync", "--script", "t.py"), "reinstall": ("idna",), "args": ("--locked",)},
            ["/bin/uv", "sync", "--script", "t.py", "--inexact", "--reinstall-package", "idna", "--locked"],
        ),
        (
            {
                "verb": ("pip", "install", "--python", "/e", "-r", "r.txt"),
                "link_mode": LinkMode.COPY,
                "reinstall": ("idna",),
                "args": (
                    *("--exact", "--locked", "--extra", "a", "--group=b", "-p", "3.11", "--python=3", "--target", "t"),
                    *("--link-mode=clone", "--offline", "--index-url", "x", "--system"),
                ),
            },
            [
                *("/bin/uv", "pip", "install", "--python", "/e", "-r", "r.txt", "--link-mode", "copy"),
                *("--reinstall-package", "idna", "--offline", "--index-url", "x"),
            ],
        ),
    ],
)
def test_sync_keeps_what_the_user_added_unless_told_otherwise(more, expected):
    assert list(plan.sync_command(UV, **more)) == expected


def test_what_is_private_to_the_server_is_not_handed_on():
    environ = {
        "PATH": "/bin",
        "VIRTUAL_ENV": "/server/.venv",
        "PYTHONPATH": "/server/libs",
        "PYTHONHOME": "/x",
        "FORCE_COLOR": "1",
        "COLUMNS": "60",
        "UV_INDEX_URL": "file:///index",
        "PYENV_ROOT": "/pyenv",
    }
    given = plan.sync_environ(environ, {})
    assert {"PATH", "UV_INDEX_URL", "PYENV_ROOT", "NO_COLOR", "UV_NO_WRAP", "UV_NO_PROGRESS", "RUST_LOG"} == set(given)


def test_an_active_environment_is_handed_on_only_where_it_is_asked_for():
    assert plan.sync_environ({"VIRTUAL_ENV": "/e"}, {}, args=("--active",))["VIRTUAL_ENV"] == "/e"


def test_the_users_own_log_filter_is_kept():
    assert plan.sync_environ({"RUST_LOG": "uv=trace"}, {})["RUST_LOG"].startswith("uv=trace,uv_fs::link=debug")


def test_an_empty_extra_variable_unsets_and_an_empty_inherited_one_stays():
    given = plan.sync_environ({"UV_LINK_MODE": "copy", "GIT_ASKPASS": ""}, {"UV_LINK_MODE": "", "A": "b"})
    assert "UV_LINK_MODE" not in given
    assert (given["GIT_ASKPASS"], given["A"]) == ("", "b")


def test_no_python_is_downloaded_on_a_save():
    assert plan.sync_environ({}, {}, python_downloads=False)["UV_PYTHON_DOWNLOADS"] == "never"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((0, 4, 18), None),
        (None, None),
        ((0, 5, 31), ("uv", "sync", "--dry-run")),
        ((0, 7, 20), ("uv", "sync", "--dry-run")),
        ((0, 7, 21), ("uv", "sync", "--dry-run", "--output-format", "json")),
        ((0, 13, 9), ("uv", "sync", "--dry-run", "--output-format", "json")),
    ],
)
def test_uv_is_asked_in_the_way_its_version_answers(version, expected):
    uv = Uv(path=UV, version=version, found_by="PATH")
    assert plan.dry_run_command(("uv", "sync"), uv) == expected


def sync_json(action: str, *changes: tuple[str, str]) -> str:
    listed = [{"name": name, "version": "1", "action": what} for what, name in changes]
    return json.dumps({"sync": {"action": action, "changes": listed}})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (said(stdout=sync_json("check")), Intent()),
        (said(stdout=sync_json("create", ("installed", "a"))), Intent()),
        (said(stdout=sync_json("replace", ("installed", "a"))), Intent(recreates=True)),
        (said(stdout=sync_json("check", ("uninstalled", "b"), ("uninstalled", "a"))), Intent(removes=("a", "b"))),
        # An upgrade takes the old version away, too.
        (said(stdout=sync_json("check", ("uninstalled", "a"), ("installed", "a"))), Intent()),
        # 0.7.22: JSON without the packages, sentences beside it.
        (
            said(stdout='{"sync": {"action": "check"}}', stderr="Would uninstall 1 package\n - idna==3.10\n"),
            Intent(removes=("idna",)),
        ),
        # 0.5.31: sentences alone.
        (
            said(
                stderr="Would replace existing virtual environment at: .venv\nWould install 1 package\n + idna==3.10\n"
            ),
            Intent(recreates=True),
        ),
        (
            said(
                stderr="error: No interpreter found for Python 3.14 in managed installations or search path",
                exit_code=2,
            ),
            Intent(downloads_python=True),
        ),
        (said(stderr="error: No solution found when resolving dependencies", exit_code=1), Intent()),
        (said(stdout="not json"), Intent()),
    ],
)
def test_a_dry_run_tells_what_needs_the_users_word(answer, expected):
    assert plan.read_intent(answer) == expected


@pytest.mark.parametrize(
    ("environment", "requires", "pin", "recreates"),
    [
        (None, ">=3.12", None, False),
        ((3, 11, 7), ">=3.11", None, False),
        ((3, 11, 7), ">=3.12", None, True),
        ((3, 11, 7), None, "3.12\n", True),
        ((3, 11, 7), None, "3.11\n", False),
        ((3, 11, 7), None, "cpython@3.12", False),
        ((3, 11, 7), "not a version", None, False),
    ],
)
def test_a_uv_that_cannot_be_asked_is_foreseen_by_the_environments_python(environment, requires, pin, recreates):
    assert plan.unasked_intent(environment, requires, pin).recreates is recreates


@pytest.mark.parametrize(
    ("action", "changes", "lock", "idle"),
    [
        ("check", [], "check", True),
        ("check", [], "update", False),
        ("create", [], "check", False),
        ("check", [{"name": "a", "version": "1", "action": "installed"}], "check", False),
        ("check", None, "check", False),
        ("check", [], None, False),
    ],
)
def test_uv_has_nothing_to_do_only_where_it_says_so_of_all(action, changes, lock, idle):
    sync = {"action": action} | ({} if changes is None else {"changes": changes})
    answer = {"sync": sync} | ({} if lock is None else {"lock": {"action": lock}})
    assert plan.read_intent(said(stdout=json.dumps(answer))).idle is idle


@pytest.mark.parametrize(
    ("action", "changes", "lock", "idle"),
    [
        ("check", [], None, True),
        ("check", [], {"action": "check"}, True),
        ("check", [], {"action": "update"}, False),
        ("create", [], None, False),
    ],
)
def test_a_script_need_not_have_a_lock(action, changes, lock, idle):
    answer = {"target": "script", "sync": {"action": action, "changes": changes}, "lock": lock}
    assert plan.read_intent(said(stdout=json.dumps(answer))).idle is idle


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Kind.UV, ["sync"]),
        (Kind.SCRIPT, ["sync", "--script", "/p/x"]),
        (Kind.REQUIREMENTS, ["pip", "install", "--python", "/e", "-r", "/p/x"]),
        (Kind.PYLOCK, ["pip", "install", "--python", "/e", "-r", "/p/x"]),
    ],
)
def test_each_kind_has_its_own_words(kind, words):
    manifest = Manifest(path=Path("/p/x"), text="", data={}, kind=kind)
    assert list(plan.verb(manifest, Path("/e"))) == words


@pytest.mark.parametrize("doing", ["Creating", "Using", "Updating", "Recreating"])
def test_uv_says_where_a_scripts_environment_is(doing):
    text = f"warning: x\n{doing} script environment at: /c/environments-v2/a b-0\nResolved 1 package in 1ms\n"
    assert plan.script_environment(said(stderr=text)) == "/c/environments-v2/a b-0"
    assert plan.script_environment(said(stderr="Checked 1 package in 1ms\n")) is None
