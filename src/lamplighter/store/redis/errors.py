"""What a server refuses, as sentences that say what to do."""

from __future__ import annotations

import re

import hiredis

from lamplighter.core.errors import ConfigError, LamplighterError, StoreDamaged, StoreError, StoreUnavailable
from lamplighter.store.redis.url import Address

_CODE = re.compile(r"^([A-Z]{3,})\b")
_CODE_IN_SCRIPT = re.compile(r"-([A-Z]{3,}) ")  # Redis 6.2 wraps it: ERR Error running script (...): ...: -OOM ...


class Away(StoreUnavailable):
    """The server did nothing, and may be able to in a moment: another should be tried, or the same again."""


def code_of(error: hiredis.ReplyError) -> str:
    """The word by which a server says what is wrong."""
    text = str(error)
    found = _CODE.match(text)
    if found and found[1] == "ERR" and (inner := _CODE_IN_SCRIPT.search(text)):
        found = inner
    return found[1] if found else "ERR"


def show(address: Address) -> str:
    """An address as people write it."""
    if isinstance(address, str):
        return address
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_ACL = "refuses this user: let it use +@all, ~{prefix}* and &{prefix}* (see ACL SETUSER)"
_HINTS: dict[str, tuple[type[LamplighterError], str]] = {
    "ASK": (Away, "is handing our keys to another node of the cluster: wait until that is done"),
    "BUSY": (Away, "is busy with a script of someone's: wait, or end it with SCRIPT KILL"),
    "CLUSTERDOWN": (Away, "belongs to a cluster that is down: see what CLUSTER INFO says"),
    "DENIED": (StoreUnavailable, "is in protected mode: give it a password, or bind it to an address you trust"),
    "LOADING": (Away, "is still loading its data: wait until it has"),
    "MASTERDOWN": (Away, "is a replica that lost its master: wait for the failover, or start the master"),
    "MISCONF": (StoreUnavailable, "cannot write to its disk and takes no changes: see its log, and free some space"),
    "MOVED": (Away, "does not have our keys any more: another node of the cluster has"),
    "NOAUTH": (StoreUnavailable, "wants a password: put it into the store URL, as in redis://:password@host"),
    "NOPERM": (StoreUnavailable, _ACL),
    "NOREPLICAS": (Away, "has too few replicas to take changes: start them, or lower min-replicas-to-write"),
    "OOM": (StoreUnavailable, "is full: prune ended jobs, or raise its maxmemory; nothing stored was lost"),
    "READONLY": (Away, "is a read-only replica: point the store URL at the master, or at Sentinel"),
    "TRYAGAIN": (Away, "is handing our keys to another node of the cluster: wait until that is done"),
    "WRONGPASS": (StoreUnavailable, "does not accept the user name and password of the store URL: correct them"),
    "WRONGTYPE": (StoreDamaged, "has keys of someone else's under this prefix: choose another with ?prefix="),
}


def explain(error: hiredis.ReplyError, address: Address) -> LamplighterError:
    """The same error as one sentence that says what to do."""
    text = str(error)
    kind, hint = _HINTS.get(code_of(error), (StoreError, f"refused: {text.rstrip('.')}"))
    if "max number of clients" in text:
        kind, hint = Away, "has as many clients as it takes: raise its maxclients, or close some"
    if "unknown command" in text:  # the rest of it repeats what was sent
        kind, hint = StoreDamaged, "lacks a command that is needed: use Redis 6.2 or newer, or Valkey"
    explained = kind(f"the Redis server at {show(address)} {hint}.")
    explained.__cause__ = error
    return explained


def explain_login(error: hiredis.ReplyError, address: Address) -> LamplighterError:
    """The same, of an answer to a password: its text is never shown, for some servers repeat what they were sent."""
    if code_of(error) in _HINTS or "max number of clients" in str(error):
        return explain(error, address)
    return StoreUnavailable(
        f"the Redis server at {show(address)} did not accept the user name and password of the store URL: correct them."
    )


def explain_database(error: hiredis.ReplyError, address: Address, db: int) -> LamplighterError:
    """The same, of an answer to the choice of a database."""
    if code_of(error) in _HINTS:
        return explain(error, address)
    return ConfigError(f"the Redis server at {show(address)} has no database {db}: name another in the store URL.")
