from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamplighter.core.config import load
from lamplighter.core.errors import ConfigError
from lamplighter.core.mailbox import is_address, read_mailbox


@pytest.mark.parametrize("text", ["ada@example.com", "a.b+c@x-y.example", "o'hara@localhost", f"{'a' * 64}@b.c"])
def test_what_mail_servers_take_is_an_address(text: str) -> None:
    assert is_address(text)


NO_ADDRESSES = [
    "", "ada", "@b.c", "a@", "a@b@c", ".a@b.c", "a..b@c.d", "a.@b.c", "a@-b.c", "a@b.", "a b@c.d", "é@b.c", "<a@b.c>",
    "a@b.c\n", "a@b.c\r\nBcc: x@y.z", "a@b.c, d@e.f", f"{'a' * 65}@b.c", f"a@{'b.' * 130}c",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_none_or_more_than_one_is_no_address(text: str) -> None:
    assert not is_address(text)


@given(st.from_regex(r"[!-~é\n ]{0,20}@[!-~é\n ]{0,20}"))
def test_no_address_and_no_name_makes_a_header_of_two_lines(text: str) -> None:
    for mailbox in (text, f"{text} <ada@example.com>"):
        try:
            sender = read_mailbox(mailbox)
        except ValueError:
            continue
        mail = EmailMessage()
        mail["From"] = sender
        assert mail["From"].addresses == (sender,)
        lines = mail.as_bytes().strip().splitlines()
        assert [line[:1].isspace() for line in lines] == [False, *[True] * (len(lines) - 1)], "one, perhaps folded"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMTP_URL", "http://mail.example.com"),
        ("SMTP_URL", "smtp://lamps:hunter2@home@mail.example.com"),
        ("SMTP_URL", "smtp://lamps:hunter2@mail.example.com:99999"),
        ("SMTP_URL", "smtps://mail.example.com?starttls=never"),
        ("MAIL_FROM", "Lamps"),
        ("MAIL_FROM", "Lamps\n<lamps@example.com>"),
        ("PUBLIC_URL", "javascript:alert(1)"),
        ("PUBLIC_URL", 'https://x.example/"onclick'),
    ],
)
def test_settings_about_mail_that_cannot_be_are_refused(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name.lower()} is .*: give ") as caught:
        load(environ={f"LAMPLIGHTER_{name}": value}, cwd=tmp_path)
    assert "hunter2" not in str(caught.value)
