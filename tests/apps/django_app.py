"""A Django project in one file, with its own users and sessions. Sessions are files of a FOLDER, or rows of the database:
    NAME=… DATABASE=… [FOLDER=…] gunicorn django_app:application
"""

import os

import django
from django.conf import settings

NAME, FOLDER = os.environ["NAME"], os.environ.get("FOLDER")

settings.configure(
    SECRET_KEY="the same on every server",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    **({"SESSION_ENGINE": "django.contrib.sessions.backends.file", "SESSION_FILE_PATH": FOLDER} if FOLDER else {}),
)
django.setup()

from django.contrib import auth  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402


def basket(request):
    request.session["basket"] = request.session.get("basket", 0) + 1
    return JsonResponse({"basket": request.session["basket"], "server": NAME})


def login(request):
    user, _ = auth.get_user_model().objects.get_or_create(username=request.GET["user"])
    auth.login(request, user)
    request.session["visits"] = 0
    return JsonResponse({"user": user.username, "server": NAME})


def whoami(request):
    if not request.user.is_authenticated:
        return JsonResponse({"user": None, "server": NAME, "visits": 0}, status=401)
    request.session["visits"] += 1
    return JsonResponse({"user": request.user.username, "server": NAME, "visits": request.session["visits"]})


def logout(request):
    auth.logout(request)
    return JsonResponse({"user": None, "server": NAME})


urlpatterns = [path("basket", basket), path("login", login), path("whoami", whoami), path("logout", logout),
               path("healthz", lambda request: HttpResponse("ok"))]
application = get_wsgi_application()
