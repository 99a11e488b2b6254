import sqlalchemy
from sqlalchemy import create_engine, text

from report import QUERY, by_preset, report


def ask(engine):
    try:
        with engine.connect() as connection:
            return connection.execute(text(QUERY)).fetchone()
    finally:
        engine.dispose()


def published(secret):
    return ask(create_engine((secret / "uri").read_text()))


def lines(secret):
    # docs: SQLAlchemy with psycopg
    uri = (secret / "uri").read_text().replace("postgresql:", "postgresql+psycopg:", 1)
    engine = create_engine(uri, connect_args={"sslrootcert": secret / "ca.crt"})
    # end
    return ask(engine)


presets = by_preset("sqlalchemy", "SQLALCHEMY_DATABASE_URI", lambda url: ask(create_engine(url)))
report("SQLAlchemy with psycopg", sqlalchemy.__version__, published=published, lines=lines, **presets)
