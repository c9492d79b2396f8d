"""Small wheels, made on the spot, that uv installs like any other, and an index of them: no network is needed."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from zipfile import ZipFile, ZipInfo


def build_index(directory: Path) -> Path:
    """Fill `directory` with the packages of the classic report, in which `httpx` brings in the `certifi` that fails.

    The directory serves `--find-links`. The folder `simple` in it, which is returned, is a package index: its `file:`
    URL in UV_INDEX_URL is all that uv must be told, whereas UV_FIND_LINKS is unknown to 0.4.18.
    `import httpx` runs `certifi/core.py`, so that it fails where that file is missing.
    """
    wheels = [
        build_wheel(directory, "httpx", "0.28.1", modules=_HTTPX, requires=["certifi", "idna>=3"]),
        build_wheel(directory, "certifi", "2026.10.18", modules=_CERTIFI),
        build_wheel(directory, "idna", "3.11", modules=_IDNA),
        build_wheel(directory, "typing_extensions", "4.15.0", modules={"typing_extensions.py": "Doc = str\n"}),
    ]
    for wheel in wheels:
        page = directory / "simple" / wheel.name.partition("-")[0].replace("_", "-") / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(f'<!DOCTYPE html>\n<a href="../../{wheel.name}">{wheel.name}</a>\n', encoding="utf-8")
    return directory / "simple"


def build_wheel(
    directory: Path, name: str, version: str, *, modules: Mapping[str, str], requires: Iterable[str] = ()
) -> Path:
    """Write the wheel of a pure Python package, byte for byte the same each time, and return its path.

    `modules` maps paths inside the wheel (`certifi/core.py`) to their text, `requires` holds `Requires-Dist` values.
    Entries stand in the order given, `.dist-info` after them, RECORD last, as the specification of binary
    distributions (https://packaging.python.org/en/latest/specifications/binary-distribution-format/) recommends.
    """
    distribution = f"{name.lower().replace('-', '_').replace('.', '_')}-{version}"
    metadata = [("Metadata-Version", "2.1"), ("Name", name), ("Version", version)]
    metadata += [("Requires-Dist", requirement) for requirement in requires]
    wheel = [("Wheel-Version", "1.0"), ("Generator", "uv-link-doctor"), ("Root-Is-Purelib", "true")]
    wheel += [("Tag", "py3-none-any")]
    files = dict(modules)
    files[f"{distribution}.dist-info/METADATA"] = _headers(metadata)
    files[f"{distribution}.dist-info/WHEEL"] = _headers(wheel)
    record = f"{distribution}.dist-info/RECORD"
    files[record] = "".join(_record_line(path, text.encode()) for path, text in files.items()) + f"{record},,\n"

    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{distribution}-py3-none-any.whl"
    with ZipFile(path, "w") as archive:
        for inner, text in files.items():
            entry = ZipInfo(inner)  # Dated 1980 rather than now.
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, text.encode())
    return path


def _headers(fields: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{key}: {value}\n" for key, value in fields)


def _record_line(path: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(data)}\n"


_HTTPX = {
    "httpx/__init__.py": "from httpx._client import Client\n",
    "httpx/_client.py": "import certifi\nimport idna\n\n\nclass Client:\n    verify = certifi.where()\n",
    "httpx/py.typed": "",
}

_CERTIFI = {
    "certifi/__init__.py": "from certifi.core import where\n",
    "certifi/__main__.py": "from certifi import where\n\nprint(where())\n",
    "certifi/cacert.pem": "no certificate: made for a demonstration\n",
    "certifi/core.py": "def where():\n    return __file__.replace('core.py', 'cacert.pem')\n",
    "certifi/py.typed": "",
}

_IDNA = {
    "idna/__init__.py": "from idna.core import encode\n",
    "idna/core.py": "def encode(name):\n    return name.encode('idna')\n",
    "idna/idnadata.py": "codepoint_classes = {}\n",
    "idna/py.typed": "",
}
