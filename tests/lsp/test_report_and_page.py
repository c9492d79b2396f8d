"""The report and the doctor page over the protocol: all that is known by now, redacted where it leaves the machine."""

import json
from html.parser import HTMLParser

import pytest
from kit.cloud import STOPS
from kit.editor import editing
from pygls.exceptions import JsonRpcException


class Buttons(HTMLParser):
    """The data of every button of a page, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "button":
            self.found.append(dict(attrs))


@pytest.fixture
def uv(uv_binary):
    return uv_binary("newest")


async def test_a_failed_run_is_told_whole_and_without_what_is_private(project, cloud_folder, uv):
    folder = cloud_folder(STOPS)
    first, example = (project("httpx", root=folder.synced / it, cache=folder.cache) for it in ("first", "second"))
    assert first.run(uv, "sync").returncode == 0
    settings = {"uvPath": str(uv), "environment": {"UV_INDEX_CORP_PASSWORD": "opensesame"}}
    async with editing(example.environ, example.root, settings=settings) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        (diagnostic,) = await editor.sees(example.manifest, "link-failed")

        page = await editor.request("uvLinkDoctor/page", root=example.root.as_uri())
        assert page.title == "uv Link Doctor: second"
        assert page.style.startswith(":root")
        fixes = await editor.quick_fixes(example.manifest, diagnostic)
        commands = [fix.command for fix in fixes if fix.command is not None]
        wanted = [(it["finding"], it["remedy"]) for command in commands for it in command.arguments or () if it]
        assert [(it["data-finding"], it["data-remedy"]) for it in Buttons(page.body).found] == wanted
        assert str(example.root) in page.body

        report = await editor.execute("uvLinkDoctor.report", example.root.as_uri())
        assert sorted(report) == ["document", "markdown"]
        assert [it["code"] for it in report["document"]["findings"]] == ["link-failed"]
        assert report["document"]["places"]["link"]["hardlink"] == "works"
        for told in (json.dumps(report["document"], ensure_ascii=False), report["markdown"]):
            assert "OneDrive - …" in told
            assert "Contoso" not in told
            assert "opensesame" not in told
        assert "os error 396" in report["markdown"]
        assert "sync --inexact" in report["markdown"]


async def test_a_first_report_looks_first_and_a_quick_save_has_its_places_told(project, uv):
    example = project("httpx")
    async with editing(example.environ, example.root, settings={"uvPath": str(uv)}) as editor:
        first = await editor.execute("uvLinkDoctor.report", example.root.as_uri())
        assert first["document"]["environment"] == {"verified": False, "broken": []}
        editor.open(example.manifest)
        editor.save(example.manifest)
        await editor.until(lambda: editor.finished == 1, "the end of the run")
        second = await editor.execute("uvLinkDoctor.report", example.root.as_uri())
        assert second["document"]["environment"] == {"verified": True, "broken": []}
        assert second["document"]["places"]["link"]["hardlink"] == "works"
        assert "every installed package is complete" in second["markdown"]


async def test_a_pasted_text_is_explained_on_a_page_of_its_own_without_buttons(project):
    example = project("httpx")
    cause = "failed to hardlink file from /a/archive-v0/x to /b/.venv/x: Invalid cross-device link (os error 18)"
    text = f"error: Failed to install: certifi\n  Caused by: {cause}"
    async with editing(example.environ, example.root) as editor:
        page = await editor.request("uvLinkDoctor/page", text=text)
    assert page.title == "uv's output explained"
    assert "os error 18" in page.body
    assert Buttons(page.body).found == []
    assert "Not known" not in page.body


async def test_what_is_no_project_has_neither(project, tmp_path):
    example = project("httpx")
    (tmp_path / "empty").mkdir()
    async with editing(example.environ, example.root) as editor:
        nowhere = (tmp_path / "empty").as_uri()
        with pytest.raises(JsonRpcException, match=r"no `?pyproject\.toml"):
            await editor.execute("uvLinkDoctor.report", nowhere)
        with pytest.raises(JsonRpcException, match=r"no `?pyproject\.toml"):
            await editor.request("uvLinkDoctor/page", root=nowhere)
        with pytest.raises(JsonRpcException, match="URI of a project's root"):
            await editor.request("uvLinkDoctor/page", root=7)
