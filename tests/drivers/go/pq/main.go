// Command pq logs in with lib/pq.
package main

import (
	"database/sql"
	"os"

	_ "github.com/lib/pq"

	"pguser.dev/drivers/report"
)

type way func(secret string) (*sql.DB, error)

func main() {
	report.Run("lib/pq", "github.com/lib/pq", report.Way{Name: "published", Ask: ask(published)},
		report.Way{Name: "lines", Ask: ask(lines)},
		report.Way{Name: "preset uri", Ask: ask(presetURI)}, report.Way{Name: "preset libpq", Ask: ask(presetLibpq)})
}

func published(secret string) (*sql.DB, error) {
	uri, err := os.ReadFile(secret + "/uri")
	if err != nil {
		return nil, err
	}
	return sql.Open("postgres", string(uri))
}

func lines(secret string) (*sql.DB, error) {
	// docs: lib/pq
	uri, err := os.ReadFile(secret + "/uri")
	if err != nil {
		return nil, err
	}
	return sql.Open("postgres", string(uri)+"&sslrootcert="+secret+"/ca.crt")
	// end
}

func presetURI(secret string) (*sql.DB, error) {
	uri, err := os.ReadFile(secret + "/presets/uri/uri")
	if err != nil {
		return nil, err
	}
	return sql.Open("postgres", string(uri))
}

func presetLibpq(secret string) (*sql.DB, error) {
	if err := report.TakeVariables(secret); err != nil {
		return nil, err
	}
	return sql.Open("postgres", "")
}

func ask(open way) func(string) (string, string, error) {
	return func(secret string) (user, tls string, err error) {
		db, err := open(secret)
		if err != nil {
			return "", "", err
		}
		defer db.Close()
		err = db.QueryRow(report.Query).Scan(&user, &tls)
		return user, tls, err
	}
}
