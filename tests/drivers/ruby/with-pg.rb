require "pg"

require_relative "report"

def ask(connection)
  connection.exec(QUERY).values.first
ensure
  connection.close
end

published = ->(secret) { ask(PG.connect(File.read("#{secret}/uri"))) }

lines = lambda do |secret|
  # docs: pg
  uri = File.read("#{secret}/uri")
  connection = PG.connect(uri, sslrootcert: "#{secret}/ca.crt")
  # end
  ask(connection)
end

report("Ruby, pg", PG::VERSION, published: published, lines: lines)
