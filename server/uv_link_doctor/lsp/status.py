"""What a status item shows of a project: a notification of ours, for clients that say they want it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

from uv_link_doctor.engine import findings
from uv_link_doctor.engine.model import Examination, Finding, RemedyKind, Severity, Verdict
from uv_link_doctor.lsp.convert import APPLY, SYNC
from uv_link_doctor.options import OnSave, Options

STATUS = "uvLinkDoctor/status"
CANCEL = "uvLinkDoctor.cancel"


class State(StrEnum):
    """How a project is, or what goes on in it."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    FAILED = "failed"
    RUNNING = "running"
    WAITING = "waiting"
    """For another uv, which holds the environment or the cache."""
    ASKING = "asking"
    """For the user's word."""
    PAUSED = "paused"
    """Nothing happens on a save, because the user wants it so."""


def status(
    root: Path,
    options: Options,
    *,
    found: tuple[Finding, ...],
    examination: Examination | None,
    activity: State | None,
    problem: str | None,
    copying: bool,
) -> dict[str, Any]:
    """The notification's parameters; `problem` is what keeps us from looking, `activity` what goes on at this moment.

    `copying` says that our runs use copies here, as an editor's terminals then should, too.
    """
    uri = root.as_uri()
    if activity is not None:
        state, brief, text, action = _goes_on(activity, uri)
    elif problem is not None:
        state, brief, text, action = State.FAILED, "the project cannot be read", problem, None
    else:
        state, brief, text, action = _found(found, uri) or _calm(options, examination, uri)
    return {
        "root": uri,
        "name": root.name,
        "state": state.value,
        "brief": brief,
        "text": text,
        "action": action if options.trusted else None,
        "copying": copying,
        "onSave": options.on_save.value,
    }


_GRAVE = {Severity.ERROR: State.FAILED, Severity.WARNING: State.DEGRADED}
_Said = tuple[State, str, str, dict[str, Any] | None]
"""A state, a few words for where there is little room, one sentence, and the command that fits."""


def _goes_on(activity: State, uri: str) -> _Said:
    text = "Waiting for another uv to finish" if activity is State.WAITING else "Running uv sync"
    return activity, "", text, _action("Cancel", CANCEL, uri)


def _found(found: tuple[Finding, ...], uri: str) -> _Said | None:
    """What the gravest finding says, or the one that asks; None where there is only information."""
    question = next((finding for finding in found if findings.is_question(finding)), None)
    if question is not None:
        return State.ASKING, "uv would do more than install", question.message, _action("Go Ahead", SYNC, uri)
    worst = min(found, key=lambda finding: list(Severity).index(finding.severity), default=None)
    if worst is None or worst.severity not in _GRAVE:
        return None
    facts = [worst.package or worst.code.value, f"os error {worst.os_error}" if worst.os_error is not None else ""]
    return _GRAVE[worst.severity], ", ".join(filter(None, facts)), worst.message, _remedy(worst, uri)


def _calm(options: Options, examination: Examination | None, uri: str) -> _Said:
    """Nothing is wrong, as far as anybody has looked."""
    sync = _action("Run uv sync", SYNC, uri)
    if options.on_save is OnSave.OFF:
        return State.PAUSED, "", "Nothing happens on a save", sync
    if examination is None or examination.verdict is Verdict.NOT_RUN:
        return State.UNKNOWN, "not looked at yet", "Not looked at yet", sync
    if not (examination.verification and examination.verification.verified):
        return State.UNKNOWN, "no environment yet", "Nothing is wrong, but there is no environment to look at yet", sync
    return State.HEALTHY, "every package is complete", "Every installed package is complete", sync


def _remedy(finding: Finding, uri: str) -> dict[str, Any] | None:
    """The preferred remedy as an action."""
    preferred = next((remedy for remedy in finding.remedies if remedy.preferred), None)
    if preferred is None or preferred.kind is RemedyKind.ADVICE:
        return None
    arguments = {"root": uri, "finding": finding.id, "remedy": preferred.id}
    return _action("Repair", APPLY, arguments, tooltip=preferred.title)


def _action(title: str, command: str, argument: object, *, tooltip: str = "") -> dict[str, Any]:
    return {"title": title, "tooltip": tooltip, "command": command, "arguments": [argument]}
