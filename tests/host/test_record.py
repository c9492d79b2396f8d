"""What is read from a RECORD."""

import pytest

from uv_link_doctor.host.record import record


@pytest.mark.parametrize(
    ("text", "promised"),
    [
        ("a.py,sha256=x,1\nb,,\n", {"a.py": ("sha256=x", "1"), "b": ("", "")}),
        ('"a,b.py",sha256=x,1\r\n', {"a,b.py": ("sha256=x", "1")}),
        ("a.py\n", {"a.py": ("", "")}),
        ('"a.py"\n', {"a.py": ("", "")}),
        ("a\u2028b.py,,\nb,,,\n", {"a\u2028b.py": ("", ""), "b": ("", "")}),
        ("", None),
        ("\0" * 20, None),
    ],
)
def test_records_as_people_write_them(tmp_path, text, promised):
    (tmp_path / "RECORD").write_bytes(text.encode())
    assert record(str(tmp_path / "RECORD")) == promised
    assert record(str(tmp_path / "none")) is None
