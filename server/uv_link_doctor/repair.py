"""Carries out remedies, proves that they helped, and takes back what they changed."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

from uv_link_doctor.doctor import Case, OnLine, examine, look_at_files
from uv_link_doctor.engine import plan, scripts, toml_text
from uv_link_doctor.engine.model import (
    Cause,
    Code,
    DoctorError,
    Examination,
    Kind,
    LinkMode,
    Remedy,
    RemedyKind,
    Span,
    TextEdit,
    Verdict,
)
from uv_link_doctor.engine.remedies import lasts
from uv_link_doctor.host import Host, state
from uv_link_doctor.options import Options
from uv_link_doctor.project import find_manifest, subject_of


async def apply(
    examination: Examination,
    remedy: Remedy,
    host: Host,
    options: Options,
    *,
    agreed: bool = True,
    on_line: OnLine | None = None,
    stop: asyncio.Event | None = None,
) -> Examination:
    """Carries a remedy out, runs uv and looks at every file; the findings that are left tell whether it helped.

    `examination` is one of a project, `remedy` one of its remedies. Raises DoctorError.
    """
    project = examination.project
    assert project is not None  # noqa: S101  (the remedies of a pasted text are only shown)
    case = Case(project, examination.uv, host, options)
    broken = (await asyncio.to_thread(case.verify, None)).broken
    on_disk = remedy.kind is not RemedyKind.SET_LINK_MODE or await _set_link_mode(case)
    after = await examine(
        project.manifest.path,
        host,
        options,
        link_mode=None if remedy.kind is RemedyKind.REINSTALL_BROKEN else LinkMode.COPY,
        reinstall=tuple(package.package for package in broken),
        agreed=agreed,
        on_line=on_line,
        stop=stop,
    )
    after = await look_at_files(after, host, options, every=True)
    proven = after.verdict is Verdict.HEALTHY and after.verification is not None and after.verification.verified
    if not proven or any(finding.code not in _ABOUT_SETTINGS for finding in after.findings):
        return after
    cause = next((finding.cause for finding in examination.findings if remedy in finding.remedies), None)
    if remedy.kind is RemedyKind.RETRY_COPY and cause is not None and lasts(cause):
        _remember_copy(project.subject, cause, host)
    if remedy.kind is RemedyKind.SET_LINK_MODE and on_disk and not await _uses_copies(case):
        return replace(after, verdict=examination.verdict, findings=examination.findings)
    return after


_ABOUT_SETTINGS = frozenset({Code.SETTING_IGNORED, Code.SETTING_INVALID})
"""Findings that are there with or without a remedy."""


async def undo(path: Path, host: Host) -> str:
    """Takes back the last change a remedy made to this project, and says what that was; raises DoctorError."""
    subject = subject_of(find_manifest(path, host.read_text), host.read_text)
    remembered = state.load(host.state, subject)
    if not remembered.journal:
        raise DoctorError(f"nothing to undo for `{subject}`", "only changes that `fix --apply` made can be undone")
    *earlier, step = remembered.journal
    if step.path is None:
        remembered = replace(remembered, copy_because=None)
        done = "our runs in this project use the link mode in force again"
    else:
        file = Path(step.path)
        if (text := host.read_text(file)) != step.after:
            raise DoctorError(f"`{file}` has been changed since", "take the setting out by hand, if it is still there")
        await host.edit(file, TextEdit(Span(0, len(text or "")), step.before or ""))
        done = f"`{file}` is as it was before"
    _save(replace(remembered, journal=tuple(earlier)), host)
    return done


async def _set_link_mode(case: Case) -> bool:
    """Writes `link-mode = "copy"` where it takes effect; True when it is on disk, False when an editor holds it."""
    place = case.setting_place()
    if place is None:
        raise DoctorError(
            f"no file would have an effect here: {case.overruling()}",
            "take that out, or let it say `copy`",
        )
    before = case.host.read_text(place.path) or ""
    in_script = case.project.kind is Kind.SCRIPT and place.path == case.project.manifest.path
    change = (scripts if in_script else toml_text).set_value(before, place.key, '"copy"')
    if change is None:
        raise DoctorError(f"`{place.path}` cannot be changed in one place", "set `link-mode` by hand")
    on_disk = await case.host.edit(place.path, change)
    if on_disk:
        kind = RemedyKind.SET_LINK_MODE.value
        step = state.Step(kind=kind, path=str(place.path), before=before, after=change.apply(before))
        remembered = state.load(case.host.state, case.project.subject)
        _save(replace(remembered, journal=(*remembered.journal, step)), case.host)
    return on_disk


async def _uses_copies(case: Case) -> bool:
    """Whether uv itself now says that copying is the link mode in force."""
    assert case.uv is not None  # noqa: S101  (a run has come before)
    variables = plan.sync_environ(case.host.environ, case.options.environment, args=case.options.sync_args)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        variables.pop(name, None)  # `--show-settings` would print every certificate.
    verb = plan.verb(case.project.manifest, case.project.environment)
    command = (*plan.sync_command(case.uv.path, verb=verb, args=case.options.sync_args), "--show-settings")
    said = await case.host.run(command, cwd=case.project.directory, environ=variables)
    return re.search(r"^\s*link_mode: Copy,", said.stdout, re.MULTILINE) is not None


def _remember_copy(subject: Path, cause: Cause, host: Host) -> None:
    remembered = state.load(host.state, subject)
    step = state.Step(kind=RemedyKind.RETRY_COPY.value)
    journal = remembered.journal if remembered.copy_because else (*remembered.journal, step)
    _save(replace(remembered, copy_because=cause.value, journal=journal), host)


def _save(remembered: state.ProjectState, host: Host) -> None:
    try:
        state.save(host.state, remembered)
    except OSError as error:
        raise DoctorError(
            f"what was done cannot be remembered: `{host.state}` cannot be written ({error.strerror})",
            "check the permissions of that directory; the next run will not know of this one",
        ) from error
