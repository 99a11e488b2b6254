package pods

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/jackc/pgx/v5"
)

const (
	databaseName  = "orders.db.test"
	administrator = "pguser_admin"
	adminPassword = "an-administrators-password"
)

// database is a PostgreSQL on the node, outside of Kubernetes.
var database struct{ port, ca, superuser string }

func startDatabase() (stop func(), err error) {
	command := exec.Command("../../hack/postgres", "run", filepath.Join(work, "postgres"))
	command.Env = append(os.Environ(), "PGLISTEN="+address, "PGNAME="+databaseName)
	said, stop, err := start(command, "CAFILE=")
	if err != nil {
		return stop, err
	}
	field := func(name string) string {
		return regexp.MustCompile("(?m)^" + name + "=(.*)$").FindStringSubmatch(said)[1]
	}
	ca, err := os.ReadFile(field("CAFILE"))
	database.port, database.ca = field("PGPORT"), string(ca)
	database.superuser = "host=" + field("PGSOCKETDIR") + " port=" + database.port + " user=postgres dbname=postgres"
	if err != nil {
		return stop, err
	}
	_, err = ask("CREATE ROLE " + administrator + " LOGIN CREATEROLE PASSWORD '" + adminPassword + "'")
	return stop, err
}

// ask is the one value that a statement returns, if any, as text.
func ask(statement string) (string, error) {
	connection, err := pgx.Connect(context.Background(), database.superuser)
	if err != nil {
		return "", err
	}
	defer connection.Close(context.Background())
	results, err := connection.PgConn().Exec(context.Background(), statement).ReadAll()
	if err != nil || len(results) == 0 || len(results[0].Rows) == 0 {
		return "", err
	}
	return string(results[0].Rows[0][0]), nil
}

// roleVersion tells whether anybody has written to a login: its attributes, its password, its comment.
func roleVersion(t *testing.T, name string) string {
	t.Helper()
	version, err := ask(`SELECT concat_ws(' ', r.xmin, d.xmin) FROM pg_authid r
		LEFT JOIN pg_shdescription d ON d.objoid = r.oid AND d.classoid = 'pg_authid'::regclass WHERE rolname = '` + name + `'`)
	if err != nil || version == "" {
		t.Fatalf("login %s: %q, %v", name, version, err)
	}
	return version
}

// hold keeps everybody from changing a login until it is let go.
func hold(t *testing.T, name string) (letGo func()) {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), database.superuser)
	if err == nil {
		_, err = connection.Exec(t.Context(), "BEGIN; ALTER ROLE "+name+" CONNECTION LIMIT 1")
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { connection.Close(context.Background()) }
}
