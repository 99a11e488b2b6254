# Makes tables of what the programs here have printed.
#
#   awk -f tables.awk -v server=VERSION -v ports="PORT…" -v home=HOME results
#
# A line of results is tab-separated: DRIVER, "version", VERSION; or DRIVER, WAY, FOLDER, "in", USER, TLS; or DRIVER, WAY,
# FOLDER, "refused", ERROR. A folder ends with CASE/LOGIN. A way is "published", "lines" or "preset NAME".
BEGIN {
  FS = "\t"
  modes = split("disable allow prefer require verify-ca verify-full", mode, " ")
  names = split("plain spaces quotes url commas star latin emoji emoji-name prepared database", name, " ")
  traps = split("prefer-without-tls require-without-tls verify-full-without-tls require-other-authority " \
    "verify-ca-other-authority verify-full-other-authority verify-ca-other-name verify-full-other-name " \
    "verify-full-other-address", trap, " ")
  gsub(/ /, "|", ports)
  title["published"] = "The key as it is published, and nothing else"
  title["lines"] = "With the lines of this page"
  title["presets"] = "By `secret.presets`, with `mountPath`, and nothing else"
}

$2 == "version" { driver[++drivers] = $1; version[$1] = $3; next }

{
  if (!(($1, $2) in way_seen)) { way_seen[$1, $2] = 1; way[$1, ++ways[$1]] = $2 }
  parts = split($3, path, "/")
  judge($1, $2, path[parts - 1], path[parts], $3)
}

function judge(who, by, situation, login, folder,   was) {
  was = $4 == "in" ? judged($5, $6, situation, folder) : "no"
  result[who, by, situation, login] = was
  if (was == "no" && is_to_work(situation)) explain(who, by, situation, login, generalised($5, folder))
}

# What a login is that succeeded.
function judged(user, tls, situation, folder,   wanted) {
  getline wanted <(folder "/username")
  close(folder "/username")
  if (user != wanted) return "as somebody else"
  if (situation == "disable" && tls == "TLS") return "yes, with TLS"
  if (situation ~ /^(prefer|require|verify)/ && situation != "prefer-without-tls" && tls != "TLS") return "yes, without TLS"
  return "yes"
}

function is_to_work(situation) { return situation !~ /other|without/ || situation == "prefer-without-tls" }

# What is different each time, or on each machine, is not worth telling.
function generalised(said, folder) {
  gsub(/^ +| +$/, "", said)
  said = replaced(said, folder, "/etc/postgres")
  said = replaced(said, home, "~")
  gsub(ports, "5432", said)
  gsub(/`user=.* database=.*`:/, "`user=… database=…`:", said)
  gsub(/\|/, "\\|", said)
  gsub(/</, "\\&lt;", said)
  return said
}

function replaced(text, old, new,   at) {
  while (old != "" && (at = index(text, old)) > 0) text = substr(text, 1, at - 1) new substr(text, at + length(old))
  return text
}

function explain(who, by, situation, login, said,   key) {
  key = who SUBSEP said
  if (!(key in ways_of)) reason[++reasons] = key
  ways_of[key] = added(ways_of[key], by == "published" ? "the key alone" : by == "lines" ? "the lines" : by)
  cases[key] = added(cases[key], situation)
  logins[key] = added(logins[key], login)
}

function added(list, item) { return index(", " list ",", ", " item ",") ? list : list (list == "" ? "" : ", ") item }

# One field of a table: what came of all logins, or of which.
function all_of(who, by, situation,   i, k, was, kinds, kind, who_has, text) {
  for (i = 1; i <= names; i++) {
    was = result[who, by, situation, name[i]]
    if (was == "") was = "not tried"
    if (!(was in who_has)) kind[++kinds] = was
    who_has[was] = added(who_has[was], name[i])
  }
  if (kinds == 1) return kind[1]
  for (k = 1; k <= kinds; k++)
    if (kind[k] != "yes") text = text (text == "" ? "" : "; ") kind[k] ": *" who_has[kind[k]] "*"
  return text
}

function is_of(kind, by) { return kind == "presets" ? by ~ /^preset / : by == kind }

# Who has logged in by this, and of which version.
function start_of_row(who, by) {
  return "| " who (by ~ /^preset / ? ", `" substr(by, 8) "`" : "") " | " version[who] " |"
}

function row(who, by,   i, line) {
  line = start_of_row(who, by)
  for (i = 1; i <= modes; i++) line = line " " all_of(who, by, mode[i]) " |"
  return line
}

function row_of_traps(who, by,   i, line) {
  line = start_of_row(who, by)
  for (i = 1; i <= traps; i++) line = line " " result[who, by, trap[i], "plain"] " |"
  return line
}

function table(kind,   i, w) {
  print "\n" title[kind] ":\n"
  print "| driver | version | `disable` | `allow` | `prefer` | `require` | `verify-ca` | `verify-full` |"
  print "|---|---|---|---|---|---|---|---|"
  for (i = 1; i <= drivers; i++)
    for (w = 1; w <= ways[driver[i]]; w++)
      if (is_of(kind, way[driver[i], w])) print row(driver[i], way[driver[i], w])
}

function table_of_traps(kind,   i, w) {
  print "\n" title[kind] ", where the server is not as it should be:\n"
  print "| driver | version | `prefer`, no TLS | `require`, no TLS | `verify-full`, no TLS | `require`, another authority " \
    "| `verify-ca`, another authority | `verify-full`, another authority | `verify-ca`, another name | `verify-full`, another name " \
    "| `verify-full`, another address |"
  print "|---|---|---|---|---|---|---|---|---|---|---|"
  for (i = 1; i <= drivers; i++)
    for (w = 1; w <= ways[driver[i]]; w++)
      if (is_of(kind, way[driver[i], w])) print row_of_traps(driver[i], way[driver[i], w])
}

function table_of_reasons(   i, part) {
  print "\nWhat was said where a login was refused that should not have been:\n"
  print "| driver | with | `sslmode` | logins | error |"
  print "|---|---|---|---|---|"
  for (i = 1; i <= reasons; i++) {
    split(reason[i], part, SUBSEP)
    print "| " part[1] " | " ways_of[reason[i]] " | " unless_all(cases[reason[i]], mode, modes) " | " \
      unless_all(logins[reason[i]], name, names) " | " part[2] " |"
  }
}

# A list of some of these, or "all".
function unless_all(list, all, count,   i) {
  for (i = 1; i <= count; i++) if (!index(", " list ",", ", " all[i] ",")) return list
  return "all"
}

END {
  print "PostgreSQL " server "; " names " logins by each `sslmode`."
  table("published")
  table("lines")
  table("presets")
  table_of_traps("lines")
  table_of_traps("presets")
  if (reasons) table_of_reasons()
}
