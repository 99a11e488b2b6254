// Tries a driver with each folder that the command line names, and prints a line for each.
import { readFileSync } from 'node:fs'

export const QUERY = `SELECT current_user AS name, CASE WHEN ssl THEN 'TLS' ELSE 'no TLS' END AS tls
  FROM pg_stat_ssl WHERE pid = pg_backend_pid()`

// What a login comes to: who it is and how, or why it is none.
async function attempt(way, secret) {
  try {
    const { name, tls } = await way(secret)
    return ['in', name, tls]
  } catch (error) {
    return ['refused', `${error.code ?? error.name}: ${error.message}`.replace(/\s+/g, ' ')]
  }
}

const version = (name) =>
  JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url), 'utf8')).version

export async function report(driver, packageName, ways) {
  console.log([driver, 'version', version(packageName)].join('\t'))
  for (const folder of process.argv.slice(2)) {
    for (const [name, way] of Object.entries(ways)) {
      console.log([driver, name, folder, ...(await attempt(way, folder))].join('\t'))
    }
  }
}
