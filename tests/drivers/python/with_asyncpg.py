import asyncpg

from report import QUERY, by_preset, report, take_variables


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


async def preset_uri(uri):
    return await ask(await asyncpg.connect(uri))


async def preset_libpq(secret):
    take_variables(secret)
    return await ask(await asyncpg.connect())


presets = by_preset("uri", "uri", preset_uri) | {"preset libpq": preset_libpq}
report("asyncpg", asyncpg.__version__, published=published, lines=lines, **presets)
