import psycopg2

from report import QUERY, report


def ask(connection):
    try:
        cursor = connection.cursor()
        cursor.execute(QUERY)
        return cursor.fetchone()
    finally:
        connection.close()


def published(secret):
    return ask(psycopg2.connect((secret / "uri").read_text()))


def lines(secret):
    # docs: psycopg2
    uri = (secret / "uri").read_text()
    connection = psycopg2.connect(uri, sslrootcert=secret / "ca.crt")
    # end
    return ask(connection)


report("psycopg2", psycopg2.__version__.split()[0], published=published, lines=lines)
