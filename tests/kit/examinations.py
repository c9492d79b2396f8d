"""Two looks at Ana's project, one that failed in a synced folder and a healthy one, and what a report knows besides."""

from __future__ import annotations

from dataclasses import replace

from kit.values import (
    CACHED,
    ENVIRONMENT_PLACE,
    HOME,
    PLACED,
    PROJECT,
    broken,
    facts,
    failure,
    found_uv,
    places,
    project,
    trial,
)
from uv_link_doctor.engine.findings import findings
from uv_link_doctor.engine.model import Examination, Platform, Reading, Transcript, Verdict, Verification
from uv_link_doctor.engine.sections import Known

STDERR = f"""\
DEBUG Extracted 12 files to the cache
Resolved 4 packages in 3ms
\x1b[1m\x1b[31merror\x1b[39m\x1b[0m: Failed to install: certifi-1.whl (certifi==1)
  Caused by: failed to hardlink file from {CACHED} to {PLACED}: The cloud operation cannot be performed (os error 396)
"""
SAID = Transcript(
    command=(str(found_uv().path), "sync", "--inexact", "--index-password", "tiger"),
    exit_code=2,
    stdout="",
    stderr=STDERR,
    seconds=0.71249,
)
SEEN = facts(
    project(
        PROJECT + '[tool.uv]\nlink-mode = "hardlink"\n', files={HOME / "uv.toml": ""}, environ={"UV_LINK_MODE": "clone"}
    ),
    verification=broken(certifi=12, idna=1),
    places=places(
        trial(hardlink=396, clone=95, copy=None), environment=replace(ENVIRONMENT_PLACE, synced_by="OneDrive")
    ),
)
FAILED = Examination(
    verdict=Verdict.FAILED,
    findings=findings(Reading(platform=Platform.LINUX, failures=(failure(),)), SEEN),
    uv=found_uv(),
    project=SEEN.project,
    places=SEEN.places,
    transcript=SAID,
    verification=SEEN.verification,
)
HEALTHY = Examination(
    verdict=Verdict.HEALTHY,
    uv=found_uv(),
    project=project(),
    places=places(),
    verification=Verification(verified=True),
)
KNOWN = Known(
    version="1.2.3",
    python="3.11.9",
    platform="Linux-6.1.0-x86_64-with-glibc2.36",
    settings=(("onSave", "check"), ("environment", "UV_OFFLINE=1 UV_INDEX_CORP_PASSWORD=tiger")),
    copy_because="cloud-sync",
)
