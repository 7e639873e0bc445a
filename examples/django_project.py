"""The dashboard and the HTTP API in a Django project, for its own users, and a view that enqueues.

    python django_project.py migrate
    python django_project.py createsuperuser
    uvicorn django_project:web            # the project, its dashboard at /admin/queues, and a worker beside them

Without the worker in `lifespan`, `lamplighter work django_project:app` is one in a process of its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

import django
from django.conf import settings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from lamplighter import App, Ctx
from lamplighter.web import Caller, Role, dashboard, http_api

settings.configure(  # in a project of your own this is settings.py
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.sqlite3"}},
    INSTALLED_APPS=[f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "sessions", "messages")],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY", "for this example only"),
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    LOGIN_URL="/admin/login/",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()

from django.contrib import admin, auth  # noqa: E402 - they need the settings
from django.contrib.auth.decorators import login_required  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

app = App("sqlite:///jobs.db")


@app.job(queue="reports", timeout=60)
async def count_words(ctx: Ctx[None], text: str) -> dict[str, int]:
    ctx.progress(1, of=1)
    return {"words": len(text.split())}


async def count(request: HttpRequest) -> JsonResponse:
    """A view of the project: what it asks for is done later, and nobody waits for it here."""
    job = await count_words.enqueue(request.POST.get("text", ""))
    return JsonResponse({"job": job.id}, status=202)


urlpatterns = [path("admin/", admin.site.urls), path("count/", login_required(count))]


async def identify(request: Request) -> Caller | None:
    """Whoever is signed in to the project: its superusers may do everything, its staff looks after jobs."""
    asked = HttpRequest()
    sessions = import_module(settings.SESSION_ENGINE)
    asked.session = sessions.SessionStore(request.cookies.get(settings.SESSION_COOKIE_NAME))
    user = await auth.aget_user(asked)
    if not user.is_staff:
        return None
    return Caller(user_id=user.get_username(), role=Role.SUPERADMIN if user.is_superuser else Role.OPERATOR)


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    async with app, app.worker():
        yield


web = Starlette(
    routes=[
        Mount(
            "/admin/queues", dashboard(app, identify=identify, login_url=f"{settings.LOGIN_URL}?next=/admin/queues/")
        ),
        Mount("/lamplighter", http_api(app, identify=identify)),
        Mount("", get_asgi_application()),
    ],
    lifespan=lifespan,
)

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
