import { readFileSync } from 'node:fs'
import postgres from 'postgres'

import { QUERY, report } from './report.mjs'

async function ask(sql) {
  try {
    return (await sql.unsafe(QUERY))[0]
  } finally {
    await sql.end({ timeout: 1 })
  }
}

const published = (secret) => ask(postgres(readFileSync(`${secret}/uri`, 'utf8')))

const lines = (secret) => {
  // docs: postgres.js
  const read = (key) => readFileSync(`${secret}/${key}`, 'utf8')
  const tls = read('sslmode').startsWith('verify-') ? { ssl: { ca: read('ca.crt') } } : {}
  const sql = postgres(read('uri'), { database: read('database'), ...tls })
  // end
  return ask(sql)
}

await report('postgres.js', 'postgres', { published, lines })
