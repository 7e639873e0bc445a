"""E-mail addresses as they may be written here: in ASCII, and on one line, so that none of them adds a header."""

from __future__ import annotations

import re
from email.headerregistry import Address

LONGEST = 254  # characters of an address: RFC 5321, 4.5.3.1.3, less its brackets

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS = re.compile(rf"(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")
_NAMED = re.compile(r"([^<>\"\\]{1,100}?) *<([^<>]*)>")


def is_address(text: str) -> bool:
    """Whether it is an address: a dot-atom, as RFC 5322 has it, at the name of a host. Nothing in quotes."""
    return len(text) <= LONGEST and bool(_ADDRESS.fullmatch(text))


def read_mailbox(text: str) -> Address:
    """The mailbox `address` or `Name <address>`. Raises ValueError for anything else."""
    named = _NAMED.fullmatch(text)
    name, address = named.groups() if named else ("", text)
    if not text.isprintable() or not is_address(address):
        raise ValueError
    return Address(name, addr_spec=address)
