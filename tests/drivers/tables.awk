# Makes tables of what the programs here have printed, and says what was not to be expected.
#
#   awk -f tables.awk -v server=VERSION known results
#
# known has what drivers are known to do otherwise: a line of DRIVER;WAY;CASE;LOGIN;WHY each, where * stands for all.
# It exits with 1 if something else is otherwise, or something of these is not so any more.
BEGIN {
  FS = ";"
  modes = split("disable allow prefer require verify-ca verify-full", mode, " ")
  names = split("plain spaces quotes url star latin emoji prepared database", name, " ")
  unexpected = 0
}

FNR == 1 { file++; if (file == 2) FS = "\t"; $0 = $0 }

file == 1 {
  if ($0 !~ /^#/ && NF) { known[++knowns] = $0; split($0, field, ";"); known_driver[knowns] = field[1] }
  next
}

$2 == "version" { driver[++drivers] = $1; version[$1] = $3; next }

{
  parts = split($3, path, "/")
  judge($1, $2, path[parts - 1], path[parts], $3, $4, $5, $6)
}

function judge(who, way, situation, login, folder, outcome, said, tls,   wanted, was, key) {
  was = outcome
  if (outcome == "in") {
    getline wanted <(folder "/username")
    close(folder "/username")
    if (said != wanted) was = "in as somebody else"
    else if (situation == "disable" && tls == "TLS") was = "in with TLS"
    else if (situation ~ /^(require|verify)/ && tls != "TLS") was = "in without TLS"
  }
  result[who, way, situation, login] = was
  if (was == "refused") explain(who, way, situation, login, generalised(said, folder))
  # Whether "require" looks at the authority is told, not asked for.
  if (situation == "require-other-authority") return
  tries++
  if ((was == expected(situation)) == is_known(who, way, situation, login)) {
    unexpected++
    print "unexpected: " who ", " way ", " situation ", " login ": " was (was == "refused" ? ": " said : "") >"/dev/stderr"
  }
}

function expected(situation) {
  return situation ~ /other-authority$/ || situation == "verify-full-other-name" ? "refused" : "in"
}

function is_known(who, way, situation, login,   i, field, found) {
  for (i = 1; i <= knowns; i++) {
    split(known[i], field, ";")
    if (fits(field[1], who) && fits(field[2], way) && fits(field[3], situation) && fits(field[4], login)) {
      met[i] = 1
      found = 1
    }
  }
  return found + 0
}

function fits(pattern, text) { return pattern == "*" || pattern == text }

# What is different each time, or on each machine, is not worth telling.
function generalised(said, folder) {
  gsub(/^ +| +$/, "", said)
  said = replaced(said, folder, "/etc/postgres")
  said = replaced(said, home, "~")
  gsub(port, "5432", said)
  gsub(/\|/, "\\|", said)
  return said
}

function replaced(text, old, new,   at) {
  while (old != "" && (at = index(text, old)) > 0) text = substr(text, 1, at - 1) new substr(text, at + length(old))
  return text
}

function explain(who, way, situation, login, said,   key) {
  if (expected(situation) != "in" || situation == "require-other-authority") return
  key = who SUBSEP way SUBSEP said
  if (!(key in seen)) { seen[key] = 1; reason[++reasons] = key }
  if (index(cases[key] ",", " " situation ",") == 0) cases[key] = cases[key] (cases[key] == "" ? "" : ",") " " situation
  if (index(logins[key] ",", " " login ",") == 0) logins[key] = logins[key] (logins[key] == "" ? "" : ",") " " login
}

# One field of a table: whether all logins were let in, or which were not.
function all_of(who, way, situation,   i, was, not, others, good) {
  for (i = 1; i <= names; i++) {
    was = result[who, way, situation, name[i]]
    if (was == "in") good++
    else if (was == "refused") not = not (not == "" ? "" : ", ") name[i]
    else others = was
  }
  if (others != "") return others
  if (good == names) return "yes"
  return good ? "not *" not "*" : "no"
}

function trap(who, way, situation) { return result[who, way, situation, "plain"] }

function row(who, way,   i, line) {
  line = "| " who " | " version[who] " |"
  for (i = 1; i <= modes; i++) line = line " " all_of(who, way, mode[i]) " |"
  return line
}

function heading(more) {
  print "| driver | version | `disable` | `allow` | `prefer` | `require` | `verify-ca` | `verify-full` |" more
}

END {
  print "PostgreSQL " server "; " names " logins by each `sslmode`."
  print ""
  print "The key as it is published, and nothing else:"
  print ""
  heading("")
  print "|---|---|---|---|---|---|---|---|"
  for (i = 1; i <= drivers; i++) print row(driver[i], "published")
  print ""
  print "With the lines of this page:"
  print ""
  heading(" `verify-full`, another name | `verify-ca`, another name | `verify-ca`, another authority | `require`, another authority |")
  print "|---|---|---|---|---|---|---|---|---|---|---|---|"
  for (i = 1; i <= drivers; i++) {
    d = driver[i]
    print row(d, "lines") " " trap(d, "lines", "verify-full-other-name") " | " trap(d, "lines", "verify-ca-other-name") " | " \
      trap(d, "lines", "verify-ca-other-authority") " | " trap(d, "lines", "require-other-authority") " |"
  }
  print ""
  print "What was said where a login was refused that should not have been:"
  print ""
  print "| driver | with | `sslmode` | logins | error |"
  print "|---|---|---|---|---|"
  for (i = 1; i <= reasons; i++) {
    split(reason[i], part, SUBSEP)
    count = split(logins[reason[i]], each, ",")
    print "| " part[1] " | " (part[2] == "lines" ? "the lines" : "the key alone") " |" cases[reason[i]] " |" \
      (count == names ? " all" : logins[reason[i]]) " | " part[3] " |"
  }
  for (i = 1; i <= knowns; i++) if (!met[i] && (known_driver[i] == "*" || known_driver[i] in version)) {
    unexpected++
    print "not so any more, take it out of tests/drivers/known: " known[i] >"/dev/stderr"
  }
  print tries " logins tried, " unexpected " unexpected" >"/dev/stderr"
  exit unexpected > 0
}
