"""Settings as clients send them: what is usable is used, what is not is said in a sentence, and its default holds."""

from typing import Any

import pytest

from uv_link_doctor.engine.model import Cause, Code
from uv_link_doctor.options import OnSave, Options, Trace, read_options

USABLE: dict[str, tuple[object, dict[str, Any]]] = {
    "nothing": (None, {}),
    "an empty object": ({}, {}),
    "null for everything": (dict.fromkeys(("onSave", "uvPath", "syncArgs", "environment", "trace", "passive")), {}),
    "a name of another version": ({"colour": "blue", "onSave": "check"}, {"on_save": OnSave.CHECK}),
    "sync": ({"onSave": "sync"}, {}),
    "check": ({"onSave": "check"}, {"on_save": OnSave.CHECK}),
    "off": ({"onSave": "off"}, {"on_save": OnSave.OFF}),
    "a path": ({"uvPath": " ~/bin/uv "}, {"uv_path": "~/bin/uv"}),
    "no path": ({"uvPath": "  "}, {}),
    "arguments": ({"syncArgs": ["--dev", ""]}, {"sync_args": ("--dev", "")}),
    "variables": ({"environment": {"A": "b", "C": ""}}, {"environment": {"A": "b", "C": ""}}),
    "no trace": ({"trace": "off"}, {}),
    "a short trace": ({"trace": "messages"}, {"trace": Trace.MESSAGES}),
    "a long trace": ({"trace": "verbose"}, {"trace": Trace.VERBOSE}),
    "ignore": (
        {"ignore": ["link-degraded", "cross-device"]},
        {"ignore": frozenset({"link-degraded", "cross-device"})},
    ),
    "passive": ({"passive": True}, {"passive": True}),
}


@pytest.mark.parametrize(("data", "expected"), USABLE.values(), ids=USABLE)
def test_what_is_usable_is_used(data, expected):
    assert read_options(data) == (Options(**expected), ())


def test_every_code_and_cause_can_be_ignored():
    names = [*(code.value for code in Code), *(cause.value for cause in Cause)]
    options, complaints = read_options({"ignore": names})
    assert (options.ignore, complaints) == (frozenset(names), ())


UNUSABLE: dict[str, tuple[list[object], str]] = {
    "onSave": (["Sync", "", 1, True, ["sync"], {}], "`sync`, `check` or `off`"),
    "uvPath": ([1, False, ["uv"], {}, "uv\0"], "the path of a uv executable"),
    "syncArgs": (["--dev", [1], [None], {}, True, ["a\0b"]], "a list of strings"),
    "environment": (
        ["A=b", ["A=b"], {"A": 1}, {"A": None}, {"": "b"}, {"A=": "b"}, {"A": "\0"}],
        "an object of strings",
    ),
    "trace": (["on", 0, [], True], "`off`, `messages` or `verbose`"),
    "ignore": (["link-failed", ["nothing"], [1], {"link-failed": True}], "a list of codes and causes"),
    "passive": (["yes", 1, []], "true or false"),
}
CASES = [(name, value, expected) for name, (values, expected) in UNUSABLE.items() for value in values]


@pytest.mark.parametrize(("name", "value", "expected"), CASES, ids=lambda it: repr(it)[:20])
def test_what_is_not_is_said_and_its_default_holds(name, value, expected):
    options, complaints = read_options({name: value})
    assert complaints == (f"The setting `uvLinkDoctor.{name}` must be {expected}; its default is used.",)
    assert options == Options()


def test_one_bad_value_leaves_the_others_in_force():
    options, complaints = read_options({"onSave": "never", "passive": True, "trace": 3, "syncArgs": ["--dev"]})
    assert [complaint.split("`")[1] for complaint in complaints] == ["uvLinkDoctor.onSave", "uvLinkDoctor.trace"]
    assert options == Options(passive=True, sync_args=("--dev",))


@pytest.mark.parametrize("data", [[], "sync", 1, False])
def test_what_is_no_object_is_said(data):
    complaint = "The settings `uvLinkDoctor` must be an object; the defaults are used."
    assert read_options(data, trusted=False) == (Options(trusted=False), (complaint,))


@pytest.mark.parametrize("trusted", [True, False])
def test_trust_is_the_clients_word_and_no_setting(trusted):
    options, _ = read_options({"trusted": not trusted}, trusted=trusted)
    assert options.trusted is trusted
