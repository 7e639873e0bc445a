"""Every example, run as its first line says, in a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
KEY = "a key of the shop"
SOON = 60  # seconds that anything may take on a machine under load


def run(name: str, folder: Path) -> str:
    """What the example prints."""
    shutil.copy(EXAMPLES / name, folder)
    ended = subprocess.run(
        [sys.executable, "-W", "error", name], cwd=folder, capture_output=True, text=True, timeout=SOON, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_each_example_is_tested_here() -> None:
    tested = {
        "archive_audit.py",
        "breaker.py",
        "client.mjs",
        "dashboard_in_a_web_app.py",
        "django_project.py",
        "fair_shares.py",
        "flows.py",
        "full_queue.py",
        "hello.py",
        "in_a_web_app.py",
        "index_files.py",
        "integrations_in_a_web_app.py",
        "keep_databases_well.py",
        "limits.py",
        "measure.py",
        "plan_capacity.py",
        "tell_people.py",
        "unique.py",
        "why_it_waits.py",
        "with_your_data.py",
    }
    assert {path.name for path in EXAMPLES.glob("*.*")} == tested


def test_databases_are_kept_well(tmp_path: Path) -> None:
    *found, backup, done = run("keep_databases_well.py", tmp_path).splitlines()
    assert found[0] == "check of jobs.db: It is read whole once a week, to see that nothing in it is damaged."
    assert any(line.startswith("backup of jobs.db: There is none in ") for line in found)
    assert re.search(r" is good: \d+ jobs and tables of version \d+, read whole\.$", backup)
    assert done == "2 done, 0 stopped, 0 failed"


def test_hello_greets(tmp_path: Path) -> None:
    assert run("hello.py", tmp_path) == "Good evening, Ada (attempt 1)\n"
    assert run("hello.py", tmp_path) == "Good evening, Ada (attempt 1)\n"  # what it left does not get in the way


def test_a_host_tells_a_tenant_something_of_its_own_once(tmp_path: Path) -> None:
    assert run("tell_people.py", tmp_path).splitlines() == [
        "told",
        "told before",
        "The invoice of May is ready",
        "To do:  Fetch it from your account.",
    ]


def test_an_audit_log_is_archived_and_found_and_a_forgery_shows(tmp_path: Path) -> None:
    assert run("archive_audit.py", tmp_path).splitlines() == [
        "2 sealed, 1 archived",
        "auth|bea queue.resume (live)",
        "auth|ada queue.pause (archived)",
        "whole",
        "altered at 2",
    ]


def test_files_of_a_folder_are_found_by_what_they_say(tmp_path: Path) -> None:
    assert run("index_files.py", tmp_path).splitlines() == [
        "ledger.html (text/html): [Cinnamon]: 12 crowns. Flour: 40 crowns.",
        "recipes/buns.md (text/markdown): # Buns [Cinnamon] buns need patience, and a warm kitchen.",
    ]


def test_orders_are_counted_by_the_days_of_a_tenants_own_clock(tmp_path: Path) -> None:
    assert run("measure.py", tmp_path).splitlines() == [
        "T00:00+05:30 orders: 1",
        "T00:00+05:30 orders: 2",
        "baskets of all: 3",
    ]


def test_a_job_that_waits_says_why(tmp_path: Path) -> None:
    paused, no_worker, greeting = run("why_it_waits.py", tmp_path).splitlines()
    assert paused == "paused: its queue mail is paused: `lamplighter queues resume mail` lets it go on."
    assert no_worker.startswith("no_worker: no worker is alive: start one")
    assert greeting == "Good evening, Ada (attempt 1)"


def test_jobs_run_in_sequence_and_in_parallel(tmp_path: Path) -> None:
    letters, images, children, end = run("flows.py", tmp_path).splitlines()
    assert letters == "letters: 25"
    assert images == "images: 0: 0, 1: 10, 2: it is no image, 3: 30"
    assert "total=4" in children
    assert "done=3, failed=1" in children
    assert end == "cancelled or failed: True"


def test_a_flood_delays_nobody(tmp_path: Path) -> None:
    assert run("fair_shares.py", tmp_path).splitlines() == [
        "the first ten: acme globex initech globex acme globex globex acme globex globex",
        "initech's only job came as number 3",
        "globex, of weight 2, had 2.0 times the turns of acme",
    ]


def test_providers_are_asked_no_more_than_they_allow(tmp_path: Path) -> None:
    assert run("limits.py", tmp_path).splitlines() == [
        "at most 3 of google at once",
        "20 calls at 20 a second, 5 of them together: in time",
        "box, which asked for a second: left alone",
    ]


def test_an_outage_is_waited_out(tmp_path: Path) -> None:
    opened, others, closed, all_done = run("breaker.py", tmp_path).splitlines()
    assert (opened, closed) == ("breaker opened for provider:dropbox", "breaker closed for provider:dropbox")
    assert others == "google did not notice"
    assert all_done == "all 100 of dropbox are done; few of them had failed before"


def test_a_full_queue_refuses_or_drops(tmp_path: Path) -> None:
    refused, *frames = run("full_queue.py", tmp_path).splitlines()
    assert refused.startswith("the queue 'imports' takes 3 waiting jobs of tenant 'acme'")
    assert [frame.partition(" - ")[0] for frame in frames] == ["cancelled", "cancelled", "queued", "queued"]


def test_the_load_of_a_million_is_told_before_they_are_there(tmp_path: Path) -> None:
    needs, *options, advice = run("plan_capacity.py", tmp_path).splitlines()
    assert needs == "needs 309/s, at most 361/s, 45 minutes late"
    assert options[1] == "no limit: 16,667/s, the latest 0 minutes late"
    assert advice.endswith("Or connected over 54m: 349/s in the busiest second, none late, and no token runs out.")


def test_what_is_asked_for_again_is_put_off_or_kept_out(tmp_path: Path) -> None:
    added, *replaced, saved, digest, again = run("unique.py", tmp_path).splitlines()
    assert (added, replaced) == ("added", ["replaced", "replaced"])
    assert saved == "note 7 is saved at attempt 1: Lamps are lit."
    assert digest.startswith("user 1 has a digest, under ")
    assert again == "not again within the hour"


def test_an_order_and_its_job_are_there_together(tmp_path: Path) -> None:
    told = run("with_your_data.py", tmp_path)
    assert told.startswith("order 1 is confirmed, under ")
    assert run("with_your_data.py", tmp_path).startswith("order 2 is confirmed, under ")


@pytest.fixture
def listener() -> socket.socket:
    """A socket that listens already, so that no request comes too early."""
    made = socket.create_server(("127.0.0.1", 0))
    made.set_inheritable(True)
    return made


@contextmanager
def serving(name: str, folder: Path, listener: socket.socket) -> Iterator[httpx2.Client]:
    """A client of the example's `web`, which has to start and end well."""
    shutil.copy(EXAMPLES / name, folder)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", f"{name.removesuffix('.py')}:web", "--fd", str(listener.fileno())],
        cwd=folder,
        env=os.environ | {"PUBLIC_URL": url, "SHOP_KEY": KEY},
        pass_fds=[listener.fileno()],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with httpx2.Client(base_url=url, timeout=SOON) as http:
            yield http
    finally:
        listener.close()
        server.terminate()
        told, _ = server.communicate(timeout=SOON)
    assert "Application shutdown complete." in told
    assert "Traceback" not in told


def test_a_web_app_answers_with_what_its_job_found(tmp_path: Path, listener: socket.socket) -> None:
    with serving("in_a_web_app.py", tmp_path, listener) as http:
        answers = [http.post("/measure", content="x" * length) for length in (3, 5, 0)]
    assert [answer.json()["length"] for answer in answers] == [3, 5, 0]
    assert len({answer.json()["job"] for answer in answers}) == 3


def test_a_tenant_connects_in_a_web_app_and_services_call_its_provider(tmp_path: Path, listener: socket.socket) -> None:
    with serving("integrations_in_a_web_app.py", tmp_path, listener) as http:
        theirs, ada = "/cloud/api/v1/tenants/acme/integrations", {"User": "ada"}
        begun = http.post(f"{theirs}/connect", json={"provider": "lantern-drive", "return_to": "/done"}, headers=ada)
        consent = httpx2.get(f"{begun.json()['data']['url']}&login_hint=ada")
        back = http.get(consent.headers["Location"])
        assert (back.status_code, back.headers["Location"]) == (303, "/done?connected=lantern-drive")
        [integration] = http.get(theirs, headers=ada).json()["data"]
        path = f"{theirs}/{integration['id']}/access-token"
        assert http.post(path, headers=ada).status_code == 403
        assert http.post(path, headers={"User": "indexer"}).json()["data"]["accessToken"]
        assert http.get(f"/files/{integration['id']}").json()["files"]


def manage(folder: Path, *arguments: str) -> None:
    """Run a command of the Django project."""
    shutil.copy(EXAMPLES / "django_project.py", folder)
    environment = os.environ | {"DJANGO_SUPERUSER_PASSWORD": KEY}
    command = [sys.executable, "-W", "error", "django_project.py", *arguments]
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=SOON, capture_output=True)


def test_a_django_project_shows_its_own_staff_what_its_views_enqueued(tmp_path: Path, listener: socket.socket) -> None:
    manage(tmp_path, "migrate")
    manage(tmp_path, "createsuperuser", "--noinput", "--username", "ada", "--email", "ada@shop.example")
    with serving("django_project.py", tmp_path, listener) as http:
        stranger = http.get("/admin/queues/")
        assert stranger.headers["Location"] == "/admin/login/?next=/admin/queues/"
        assert http.get("/lamplighter/api/v1/workers").status_code == 401
        http.get(stranger.headers["Location"])
        form = {"username": "ada", "password": KEY, "csrfmiddlewaretoken": http.cookies["csrftoken"]}
        came = http.post(stranger.headers["Location"], data=form)
        assert (came.status_code, came.headers["Location"]) == (302, "/admin/queues/")
        token = {"X-CSRFToken": http.cookies["csrftoken"]}
        begun = http.post("/count/", data={"text": "the lamps are lit"}, headers=token)
        assert begun.status_code == 202
        job = begun.json()["job"]
        answer = http.get(f"/lamplighter/api/v1/jobs/{job}/result?timeout=30").json()
        assert answer["data"]["result"] == {"words": 4}
        assert "count_words" in http.get(f"/admin/queues/jobs/{job}").text.replace("<wbr>", "")
        assert http.post("/admin/queues/queues/reports/pause").status_code == 303


def test_a_worker_of_a_django_project_may_be_apart(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "django_project.py", tmp_path)
    program = [sys.executable, "-m", "lamplighter.cli.main", "work", "django_project:app", "--until-idle"]
    ended = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=SOON, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.usefixtures("node_modules")
def test_a_program_in_another_language_has_a_job_done_and_people_see_it(
    tmp_path: Path, listener: socket.socket
) -> None:
    with serving("dashboard_in_a_web_app.py", tmp_path, listener) as http:
        told = subprocess.run(
            [shutil.which("node") or "node", EXAMPLES / "client.mjs", "the lamps are lit"],
            env=os.environ | {"LAMPLIGHTER_URL": f"{http.base_url}/lamplighter", "LAMPLIGHTER_KEY": KEY},
            capture_output=True,
            text=True,
            timeout=SOON,
            check=False,
        )
        assert (told.stdout, told.stderr) == ("4 words\n", "")
        assert "count_words" in http.get("/admin/queues/jobs").text.replace("<wbr>", "")
        assert http.post("/admin/queues/queues/reports/pause").status_code == 403, "visitors only look"
        refused = http.post("/lamplighter/api/v1/jobs", json={"name": "count_words", "args": {"text": ""}})
        assert refused.json()["error"]["code"] == "auth/insufficient-permissions"
