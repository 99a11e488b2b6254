import psycopg

from report import QUERY, by_preset, report


def ask(connection):
    with connection:
        return connection.execute(QUERY).fetchone()


def published(secret):
    return ask(psycopg.connect((secret / "uri").read_text()))


def lines(secret):
    # docs: psycopg
    uri = (secret / "uri").read_text()
    connection = psycopg.connect(uri, sslrootcert=secret / "ca.crt")
    # end
    return ask(connection)


presets = by_preset("uri", "uri", lambda uri: ask(psycopg.connect(uri)))
report("psycopg", psycopg.__version__, published=published, lines=lines, **presets)
