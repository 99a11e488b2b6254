import { readFileSync } from 'node:fs'
import pg from 'pg'

import { QUERY, report } from './report.mjs'

async function ask(client) {
  client.on('error', () => {}) // a connection that breaks has been told already
  try {
    await client.connect()
    return (await client.query(QUERY)).rows[0]
  } finally {
    await client.end().catch(() => {})
  }
}

const published = (secret) => ask(new pg.Client({ connectionString: readFileSync(`${secret}/uri`, 'utf8') }))

const lines = (secret) => {
  // docs: node-postgres
  const uri = readFileSync(`${secret}/uri`, 'utf8')
  const connectionString = `${uri}&uselibpqcompat=true&sslrootcert=${secret}/ca.crt`
  const client = new pg.Client({ connectionString })
  // end
  return ask(client)
}

const presetNode = (secret) =>
  ask(new pg.Client({ connectionString: readFileSync(`${secret}/presets/node/DATABASE_URL`, 'utf8') }))

await report('node-postgres', 'pg', { published, lines, 'preset node': presetNode })
