"""What every source promises, whatever is behind it."""

from __future__ import annotations

import pytest
from tests.counterparts.fault_proxy import answer, hang_up
from tests.families.files.sources.homes import Dav, Folder, Home, Storage, listed

from lamplighter.families.files.source import CursorReset, FileRefused, SourceDown, SourceRefused

TREE = {
    "letter.txt": b"Dear lamplighter,",
    "lamps/oil.txt": b"a pint of it",
    "lamps/wick.txt": b"an inch of it",
    "lamps/gas/100% ü+#?.txt": b"a cubic foot of it",
    "street 1/a/b/c/deep.txt": b"far down",
    **{f"many/{number}.txt": str(number).encode() for number in range(5)},
}


async def test_a_source_lists_all_and_goes_on_wherever_it_was_killed_and_opens_what_it_listed(home: Home) -> None:
    await home.fill(TREE)
    pages, found = await listed(home)
    assert {path for path, entry in found.items() if not entry.is_folder} == TREE.keys()
    killed_pages, again = await listed(home, killed=True)
    assert again == found
    assert len(pages) == 1 or max(len(page.entries) for page in [*pages, *killed_pages]) <= 3
    async with home.open() as source:
        for path, content in TREE.items():
            async with source.open(found[path]) as pieces:
                assert b"".join([piece async for piece in pieces]) == content
        missing = found["letter.txt"]
        with pytest.raises(FileRefused):
            async with source.open(type(missing)(id="4711", name="4711", path="4711")) as pieces:
                pass
        with pytest.raises(CursorReset):
            await source.list("no cursor of ours")


async def test_a_source_says_when_to_come_again_and_when_not_to(home: Home) -> None:
    if home.proxy is None:
        return  # a folder is never down
    await home.fill({"letter.txt": b"Dear lamplighter,"})
    async with home.open() as source:
        home.proxy.meet("/", answer(503, retry_after=7), count=None)
        with pytest.raises(SourceDown) as down:
            await source.list(None)
        assert isinstance(home, Storage) or (down.value.retry_after and down.value.retry_after.total_seconds() == 7)
        home.mend()
        home.proxy.meet("/", hang_up, count=None)
        with pytest.raises(SourceDown, match="try again later"):
            await source.list(None)
        home.mend()
        home.proxy.meet("/", answer(403, {"error": {"message": "no, " + "x " * 5000}}), count=None)
        with pytest.raises(SourceRefused) as refused:
            await source.list(None)
        assert len(str(refused.value)) < 400
        home.mend()
        assert (await source.list(None)).entries
    async with home.open(is_known=False) as source:
        with pytest.raises(SourceRefused):
            await source.list(None)


@pytest.mark.parametrize("home", ["folder", "webdav", "s3"], indirect=True)
async def test_a_large_file_comes_in_pieces_of_a_mebibyte(home: Home) -> None:
    content = bytes(range(256)) * 10_000
    await home.fill({"large.bin": content})
    _pages, found = await listed(home)
    async with home.open() as source, source.open(found["large.bin"]) as pieces:
        some = [piece async for piece in pieces]
    assert b"".join(some) == content
    assert max(map(len, some)) <= 1024 * 1024


async def test_links_are_not_followed_out_of_a_folder_nor_into_one(folder_home: Folder) -> None:
    await folder_home.fill({"lamps/oil.txt": b"a pint of it"})
    (folder_home.root / "out").symlink_to("/etc")
    (folder_home.root / "passwd").symlink_to("/etc/passwd")
    _pages, found = await listed(folder_home)
    assert set(found) == {"lamps", "lamps/oil.txt"}
    oil = found["lamps/oil.txt"]
    async with folder_home.open() as source:
        for path in ("passwd", "out/passwd", "../root/lamps/oil.txt", "/etc/passwd", "lamps", "lamps//oil.txt"):
            with pytest.raises(FileRefused):
                async with source.open(type(oil)(id=path, name="x", path=path)):
                    pass


@pytest.mark.parametrize(
    "body",
    [
        b"<html/>",
        b'<multistatus xmlns="DAV:">',
        b'<!DOCTYPE m [<!ENTITY a "aaaa">]><multistatus xmlns="DAV:"/>',
        b'<multistatus xmlns="DAV:"><response><href>/elsewhere/</href></response></multistatus>',
        b'<multistatus xmlns="DAV:"><response><href>' + b"a" * 20_000 + b"</href></response></multistatus>",
    ],
    ids=["page", "half", "dtd", "elsewhere", "long"],
)
async def test_what_is_no_list_of_the_folder_is_not_taken_for_an_empty_one(webdav_home: Dav, body: bytes) -> None:
    assert webdav_home.proxy is not None
    webdav_home.proxy.meet("/", answer(207, body), count=None)
    async with webdav_home.open() as source:
        with pytest.raises((SourceDown, SourceRefused)):
            await source.list(None)


async def test_only_what_is_right_below_the_folder_counts(webdav_home: Dav) -> None:
    """Hostile hrefs: dots, slashes in disguise, other folders."""
    assert webdav_home.proxy is not None
    here = f"/files/{webdav_home.root.name}/"
    folder = "<propstat><prop><resourcetype><collection/></resourcetype></prop></propstat>"
    hrefs = ["..", "%2e%2e", "a%2Fb", "a/b", "../x", "good", "http://elsewhere.example" + here + "also"]
    told = "".join(f"<response><href>{one if '://' in one else here + one}</href></response>" for one in hrefs)
    body = f'<multistatus xmlns="DAV:"><response><href>{here}</href>{folder}</response>{told}</multistatus>'
    webdav_home.proxy.meet("/", answer(207, body.encode()))
    async with webdav_home.open() as source:
        assert {entry.id for entry in (await source.list(None)).entries} == {"good", "also"}
