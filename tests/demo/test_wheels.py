"""The wheels that demo and tests install: valid by the specification, and the same bytes each time."""

import base64
import csv
import hashlib
from pathlib import Path
from zipfile import ZipFile

from packaging.utils import parse_wheel_filename

from uv_link_doctor.demo.wheels import build_index, build_wheel

MODULES = {"my_package/__init__.py": "", "my_package/ä.py": "name = 'ä'\n"}


def test_record_tells_digest_and_size_of_every_other_entry(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path, "My.Package", "1.0", modules=MODULES)

    with ZipFile(wheel) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    *others, record = csv.reader(contents["my_package-1.0.dist-info/RECORD"].decode().splitlines())

    assert record == ["my_package-1.0.dist-info/RECORD", "", ""]
    assert [row[0] for row in [*others, record]] == list(contents)
    for name, digest, size in others:
        assert digest == "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(contents[name]).digest()).decode().rstrip(
            "="
        )
        assert int(size) == len(contents[name])


def test_name_and_metadata_agree(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path / "new", "My.Package", "1.0", modules=MODULES, requires=["idna>=3", "certifi"])

    name, version, _build, _tags = parse_wheel_filename(wheel.name)
    metadata = ZipFile(wheel).read("my_package-1.0.dist-info/METADATA").decode()

    assert (name, str(version)) == ("my-package", "1.0")
    assert metadata.splitlines()[1:] == [
        "Name: My.Package",
        "Version: 1.0",
        "Requires-Dist: idna>=3",
        "Requires-Dist: certifi",
    ]


def test_same_input_same_bytes(tmp_path: Path) -> None:
    first, second = (build_wheel(tmp_path / folder, "a", "1", modules=MODULES) for folder in ("x", "y"))

    assert first.read_bytes() == second.read_bytes()


def test_index_has_a_page_for_every_wheel(tmp_path: Path) -> None:
    simple = build_index(tmp_path)

    listed = {page.parent.name: page.read_text() for page in simple.glob("*/index.html")}
    assert sorted(listed) == ["certifi", "httpx", "idna", "typing-extensions"]
    assert all(sum(wheel.name in page for page in listed.values()) == 1 for wheel in tmp_path.glob("*.whl"))
