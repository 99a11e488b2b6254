require "active_record"

require_relative "report"

# What `DATABASE_URL` or `url:` of database.yml is given to.
def ask(url)
  ActiveRecord::Base.establish_connection(url)
  ActiveRecord::Base.connection.select_rows(QUERY).first
ensure
  ActiveRecord::Base.remove_connection
end

published = ->(secret) { ask(File.read("#{secret}/uri")) }

lines = lambda do |secret|
  # docs: Rails
  url = "#{File.read("#{secret}/uri")}&sslrootcert=#{secret}/ca.crt"
  # end
  ask(url)
end

ways = { published: published, lines: lines, "preset rails": ->(secret) { ask(File.read("#{secret}/presets/rails/DATABASE_URL")) } }
report("Rails (Active Record)", ActiveRecord::VERSION::STRING, **ways)
