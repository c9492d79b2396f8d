"""A mounted folder that is synced with a cloud, with the places that the classic report speaks of."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kit.need import need
from uv_link_doctor.demo.cloudfs import INCOMPATIBLE_HARDLINKS, missing_part, mounted

STOPS = "*/certifi/core.py"
"""Not the first file of certifi to be linked: once converted, it stops every later install (uv 0.4.18 to 0.13.9)."""

FALLS_BACK = "*"
"""All files: the first link of each wheel fails, and uv copies instead (uv 0.4.18 to 0.13.9)."""


@dataclass(frozen=True, slots=True)
class CloudFolder:
    """The places, all on the one mount."""

    root: Path

    @property
    def synced(self) -> Path:
        """The sync root."""
        return self.root / "OneDrive - Contoso"

    @property
    def outside(self) -> Path:
        """A folder that no cloud knows of."""
        return self.root / "projects"

    @property
    def cache(self) -> Path:
        """Where uv's cache belongs, outside the sync root as well."""
        return self.root / "AppData" / "Local" / "uv" / "cache"


class MountCloud(Protocol):
    def __call__(self, *convert: str, os_error: int = INCOMPATIBLE_HARDLINKS) -> CloudFolder:
        """Mount another one, in which files that match one of the patterns are converted; none: all files."""


@contextmanager
def cloud_mounted(folder: Path, *convert: str, os_error: int = INCOMPATIBLE_HARDLINKS) -> Iterator[CloudFolder]:
    """The mount is `folder / "mount"`, what it shows lies in `folder / "disk"`."""
    lack = missing_part()
    need(lack is None, str(lack))
    places = CloudFolder(folder / "mount")
    with mounted(folder / "disk", places.root, places.synced.name, convert, os_error=os_error):
        for place in (places.synced, places.outside, places.cache):
            place.mkdir(parents=True)
        yield places
