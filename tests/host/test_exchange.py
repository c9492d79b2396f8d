import os
from pathlib import Path

import pytest
from kit.cloud import MountCloud
from kit.mounts import LoopMount

from uv_link_doctor.host.exchange import exchange


def directory_and_link(folder: Path) -> tuple[Path, Path]:
    (folder / "directory").mkdir(parents=True)
    (folder / "directory" / "file").touch()
    (folder / "link").symlink_to("elsewhere")
    return folder / "directory", folder / "link"


@pytest.mark.parametrize("fstype", ["ext4", "xfs", "btrfs"])
def test_a_directory_and_a_link_change_names(loop_mount: LoopMount, fstype: str):
    directory, link = directory_and_link(loop_mount(fstype) / "folder")
    assert exchange(link, directory)
    assert (link / "file").exists()
    assert str(directory.readlink()) == "elsewhere"


def test_where_that_cannot_be_done_both_are_as_they_were(cloud_folder: MountCloud):
    directory, link = directory_and_link(cloud_folder().outside / "folder")
    assert not exchange(link, directory)
    assert not exchange(directory, link)
    assert (directory / "file").exists()
    assert str(link.readlink()) == "elsewhere"


def test_a_name_that_is_not_there(tmp_path: Path):
    directory, link = directory_and_link(tmp_path / "folder")
    with pytest.raises(FileNotFoundError):
        exchange(directory, tmp_path / "nothing")
    assert os.path.lexists(link)
