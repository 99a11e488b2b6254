import asyncpg

from report import QUERY, report


async def ask(connection):
    try:
        return await connection.fetchrow(QUERY)
    finally:
        await connection.close()


async def published(secret):
    return await ask(await asyncpg.connect((secret / "uri").read_text()))


async def lines(secret):
    # docs: asyncpg
    uri = (secret / "uri").read_text() + f"&sslrootcert={secret}/ca.crt"
    connection = await asyncpg.connect(uri)
    # end
    return await ask(connection)


report("asyncpg", asyncpg.__version__, published=published, lines=lines)
