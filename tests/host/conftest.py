"""What the tests of the cache on this machine begin with."""

import pytest
from kit.projects import UvProject


@pytest.fixture
def spoiled(cloud_folder, project, uv_binary):
    """`spoiled(pattern)`: a project in a synced folder, installed with hard links."""

    def make(pattern: str) -> UvProject:
        folder = cloud_folder(pattern)
        example = project("httpx", root=folder.synced / "first", cache=folder.cache)
        assert example.run(uv_binary("newest"), "sync", "--link-mode", "hardlink").returncode == 0
        return example

    return make
