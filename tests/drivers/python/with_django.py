from importlib.metadata import version

import dj_database_url
import django
from django.conf import settings
from django.db.utils import ConnectionHandler

from report import QUERY, by_preset, report


def ask(databases):
    connection = ConnectionHandler(databases)["default"]
    try:
        with connection.cursor() as cursor:
            cursor.execute(QUERY)
            return cursor.fetchone()
    finally:
        connection.close()


def published(secret):
    return ask({"default": dj_database_url.parse((secret / "uri").read_text())})


def lines(secret):
    # docs: Django
    uri = (secret / "uri").read_text() + f"&sslrootcert={secret}/ca.crt"
    DATABASES = {"default": dj_database_url.parse(uri)}
    # end
    return ask(DATABASES)


settings.configure()
versions = f"{django.__version__}, dj-database-url {version('dj-database-url')}"
presets = by_preset("django", "DATABASE_URL", lambda url: ask({"default": dj_database_url.parse(url)}))
report("Django", versions, published=published, lines=lines, **presets)
