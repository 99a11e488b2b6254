# Tries a driver with each folder that the command line names, and prints a line for each.

QUERY = "SELECT current_user, CASE WHEN ssl THEN 'TLS' ELSE 'no TLS' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()"

# What a login comes to: who it is and how, or why it is none.
def attempt(way, secret)
  ["in", *way.call(secret)]
rescue StandardError => e
  ["refused", "#{e.class}: #{e.message.split.join(' ')}"]
end

def report(driver, version, **ways)
  $stdout.sync = true
  puts [driver, "version", version].join("\t")
  ARGV.each do |folder|
    ways.each { |name, way| puts [driver, name, folder, *attempt(way, folder)].join("\t") }
  end
end
