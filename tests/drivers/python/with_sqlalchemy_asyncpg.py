import asyncpg
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from report import QUERY, report, take_variables


async def ask(engine):
    try:
        async with engine.connect() as connection:
            return (await connection.execute(text(QUERY))).fetchone()
    finally:
        await engine.dispose()


async def published(secret):
    uri = (secret / "uri").read_text().replace("postgresql:", "postgresql+asyncpg:", 1)
    return await ask(create_async_engine(uri))


async def lines(secret):
    # docs: SQLAlchemy with asyncpg
    uri = (secret / "uri").read_text() + f"&sslrootcert={secret}/ca.crt"
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(uri))
    # end
    return await ask(engine)


# asyncpg finds the authorities by a variable alone, which is why the two presets go together.
async def presets(secret):
    take_variables(secret, "PGSSLROOTCERT")
    uri = (secret / "presets/sqlalchemy/SQLALCHEMY_ASYNC_DATABASE_URI").read_text()
    return await ask(create_async_engine(uri))


presets = {"preset sqlalchemy": presets}
report("SQLAlchemy with asyncpg", sqlalchemy.__version__, published=published, lines=lines, **presets)
