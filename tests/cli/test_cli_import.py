"""The whole command, on tables in a file and on a server, and with values that Node encrypted as MWAP does."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.cli.program import Program

from lamplighter.core.config import Settings
from lamplighter.core.secret import Secret
from lamplighter.integrations.provider import load_facts
from lamplighter.integrations.refreshing.planner import NoPlanner
from lamplighter.integrations.service import open_service
from lamplighter.integrations.vault import MWAP_DEFAULT_KEY, MwapCipher

NODE = shutil.which("node")
MWAP_KEY = "ключ of MWAP, longer than thirty-two bytes"
OID, TENANT, INTEGRATION = "65f0a1b2c3d4e5f607182930", "65f0a1b2c3d4e5f607182931", "65f0a1b2c3d4e5f607182932"
TOKEN = "ya29.nobody-may-see-this"

# MWAP's scheme, told to Node: argv holds the key and texts to encrypt.
NODE_SCRIPT = """
const crypto = require('node:crypto');
const [keyText, ...texts] = process.argv.slice(1);
const key = Buffer.alloc(32); Buffer.from(keyText, 'utf8').copy(key);
console.log(JSON.stringify(texts.map((text) => {
  const iv = crypto.randomBytes(16);
  const cipher = crypto.createCipheriv('aes-256-gcm', key, iv);
  const sealed = Buffer.concat([cipher.update(crypto.randomBytes(16).toString('hex') + text, 'utf8'), cipher.final()]);
  return [iv, cipher.getAuthTag(), sealed].map((part) => part.toString('base64')).join(':');
})));
"""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, cli: Program) -> str:
    """A store with the tables of this version."""
    found = "sqlite:///lamplighter.db"
    if request.param == "postgres":
        found = request.getfixturevalue("postgres_schema_url")
    (cli.folder / "lamplighter.toml").write_text(f'store = "{found}"\nfolder = "{cli.folder}"\n')
    assert cli("migrate").code == 0
    return found


@pytest.fixture
async def registered(url: str, cli: Program, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same, with a provider."""
    monkeypatch.chdir(cli.folder)
    async with open_service(Settings(store=url, folder=cli.folder), NoPlanner()) as service:
        facts = load_facts()["gdrive"]
        await service.registrations.register(facts.with_client("client", Secret("client-secret")))
    return url


def write(folder: Path, name: str, *documents: object) -> str:
    (folder / name).write_text("\n".join(json.dumps(one) for one in documents))
    return name


def export(folder: Path, secrets: list[str]) -> tuple[str, ...]:
    """What mongoexport makes of MWAP's three collections, as options of the command."""
    client_secret, access, refresh = secrets
    write(folder, "integrations.json", {
        "_id": INTEGRATION, "tenantId": TENANT, "providerId": OID, "status": "active", "accessToken": access,
        "refreshToken": refresh, "tokenExpiresAt": {"$date": "2035-01-31T18:00:00Z"},
    })  # fmt: skip
    write(folder, "providers.json", [{
        "_id": {"$oid": OID}, "name": "Dropbox", "slug": "dropbox", "scopes": ["files.metadata.read"], "clientId": "c",
        "authUrl": "https://www.dropbox.com/oauth2/authorize", "tokenUrl": "https://api.dropboxapi.com/oauth2/token",
        "clientSecret": client_secret, "grantType": "authorization_code", "tokenMethod": "POST",
    }])  # fmt: skip
    write(folder, "tenants.json", {"_id": {"$oid": TENANT}, "name": "Copper Bakery", "ownerId": "auth0|1"})
    return "integrations.json", "--providers", "providers.json", "--tenants", "tenants.json"


def encrypted_by_node(*texts: str) -> list[str]:
    assert NODE is not None
    ran = subprocess.run([NODE, "-e", NODE_SCRIPT, MWAP_KEY, *texts], check=True, capture_output=True, text=True)
    found: list[str] = json.loads(ran.stdout)
    return found


def encrypted_here(*texts: str) -> list[str]:
    return [MwapCipher(MWAP_KEY).encrypt(text) for text in texts]


@pytest.mark.parametrize("encrypted", [
    encrypted_here,
    pytest.param(encrypted_by_node, marks=pytest.mark.skipif(NODE is None, reason="NO NODE HERE: not checked by it")),
])  # fmt: skip
async def test_an_export_of_mwap_comes_and_its_refresh_is_planned(cli: Program, url: str, encrypted: object) -> None:
    assert callable(encrypted)
    files = export(cli.folder, encrypted("client-secret", TOKEN, "refresh"))
    key = {"LAMPLIGHTER_MWAP_ENCRYPTION_KEY": MWAP_KEY}
    dry = cli("integrations", "import", *files, "--dry-run", "--json", environ=key)
    assert (dry.code, dry.err, cli("integrations", "--json").json["integrations"]) == (0, "", [])
    done = cli("integrations", "import", *files, "--json", environ=key)
    assert (done.code, done.err) == (0, "")
    assert done.json == {
        "dry_run": False, "added": 1, "known": 0, "refused": 0, "tenants": 1, "providers": ["dropbox"], "refusals": [],
    }  # fmt: skip
    assert dry.json == done.json | {"dry_run": True}
    [planned] = [job for job in cli("jobs", "--json").json["jobs"] if job["name"] == "tokens.refresh"]
    assert planned["state"] == "scheduled"
    assert planned["run_at"].startswith("2035-01-31T17:5")
    async with open_service(Settings(store=_absolute(url, cli), folder=cli.folder), NoPlanner()) as service:
        access = await service.integrations.access(INTEGRATION)
        assert access is not None
        assert access.access_token == Secret(TOKEN)
        assert (await service.registrations.get("dropbox")).client_secret == Secret("client-secret")
    again = cli("integrations", "import", *files, environ=key)
    assert (again.code, again.out) == (0, "0 integrations came, 1 was there already, 0 records were refused.\n")


def _absolute(url: str, cli: Program) -> str:
    return url.replace("sqlite:///", f"sqlite:///{cli.folder}/")


def test_one_bad_record_ends_with_1_and_shows_nothing_of_itself(cli: Program, registered: str) -> None:
    good = {
        "provider": "gdrive",
        "access_token": TOKEN,
        "refresh_token": TOKEN,
        "tenant_name": "B",
        "tenant_owner": "o",
    }
    name = write(
        cli.folder, "crm.json",
        good | {"tenant_id": "t1"}, good | {"tenant_id": "t2", "access_token": TOKEN + "\n"},
        good | {"tenant_id": "t1"}, {"tenant_id": TOKEN, "provider": TOKEN}, good | {"tenant_id": "t3", TOKEN: 1},
    )  # fmt: skip
    for option in ((), ("--dry-run",), ("--json",)):
        answer = cli("integrations", "import", name, *option)
        assert answer.code == 1
        assert TOKEN not in answer.out + answer.err
    first, *lines = cli("integrations", "import", name).out.splitlines()
    assert first == "0 integrations came, 1 was there already, 4 records were refused."
    assert [line.partition(": ")[0] for line in lines] == [f"crm.json, line {n}" for n in range(2, 6)]


def test_csv_comes_from_whatever_file_it_is_in(cli: Program, registered: str) -> None:
    (cli.folder / "crm.txt").write_text(
        'tenant_id,provider,refresh_token,tenant_name,tenant_owner\nt1,gdrive,r,"Bakery, Copper",auth|1\n'
    )
    answer = cli("integrations", "import", "crm.txt")
    assert (answer.code, answer.out) == (
        0, "1 integration came, 0 were there already, 0 records were refused.\n1 tenant added.\n",
    )  # fmt: skip
    [found] = cli("integrations", "--json").json["integrations"]
    assert (found["tenant_id"], found["status"]) == ("t1", "active")
    forced = cli("integrations", "import", "crm.txt", "--format", "json")
    assert (forced.code, "line 1: it is no JSON" in forced.out) == (1, True)


@pytest.mark.parametrize(("options", "words"), [
    (("nowhere.json",), "cannot read nowhere.json"),
    (("a.json", "--format", "xml"), "there is no format 'xml': give one of json, csv, mwap."),
    (("a.json", "--format", "mwap"), "with --providers"),
    (("a.json", "--tenants", "a.json"), "give no others"),
    (("a.json", "--format", "mwap", "--providers", "a.json"), "set mwap_encryption_key"),
    (("a.json", "--store", "sqlite:///mistyped.db"), "there is no file"),
])  # fmt: skip
def test_what_cannot_be_begun_is_one_sentence(cli: Program, options: tuple[str, ...], words: str) -> None:
    assert cli("migrate").code == 0
    write(cli.folder, "a.json", {"tenant_id": "t", "provider": "gdrive"})
    answer = cli("integrations", "import", *options)
    assert answer.code in {2, 3}
    assert words in answer.sentence


def test_the_published_key_of_mwap_is_refused(cli: Program) -> None:
    assert cli("migrate").code == 0
    files = export(cli.folder, ["", "", ""])
    answer = cli("integrations", "import", *files, environ={"LAMPLIGHTER_MWAP_ENCRYPTION_KEY": MWAP_DEFAULT_KEY})
    assert answer.code == 2
    assert "published default" in answer.sentence
