"""Gathers what a report tells besides an examination: the doctor, its settings, what it remembers of the project."""

from __future__ import annotations

import platform
import re
import shlex
from collections.abc import Mapping
from dataclasses import fields

from uv_link_doctor import __version__
from uv_link_doctor.engine.model import Examination, Sample, Weight
from uv_link_doctor.engine.sections import Known, Section, sections
from uv_link_doctor.host import Host, state
from uv_link_doctor.options import Options

Costs = tuple[Weight | None, Sample | None]


def sections_of(
    examination: Examination, host: Host, options: Options, *, costs: Costs = (None, None)
) -> tuple[Section, ...]:
    """Everything known, what the state remembers of the project included; nothing is hidden yet.

    `costs` are the weight of its packages, and what `doctor.measure` said.
    """
    weight, sample = costs
    subject = examination.project.subject if examination.project else None
    remembered = None if subject is None else state.load(host.state, subject)
    known = Known(
        version=__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        settings=_changed(options),
        trusted=options.trusted,
        copy_because=remembered.copy_because if remembered else None,
        last_failure=remembered.last_failure if remembered else None,
        weight=weight,
        sample=sample,
    )
    return sections(examination, known)


def _changed(options: Options) -> tuple[tuple[str, str], ...]:
    """The settings that are not at their defaults, by the names that a client has for them."""
    defaults = Options()
    return tuple(
        (re.sub(r"_(.)", lambda found: found[1].upper(), it.name), _shown(getattr(options, it.name)))
        for it in fields(options)
        if it.name != "trusted" and getattr(options, it.name) != getattr(defaults, it.name)
    )


def _shown(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case Mapping():
            return shlex.join(f"{name}={each}" for name, each in value.items())
        case frozenset():
            return " ".join(sorted(value))
        case tuple():
            return shlex.join(value)
    return str(value)
