// Command pgx logs in with pgx.
package main

import (
	"context"
	"os"

	"github.com/jackc/pgx/v5"

	"pguser.dev/drivers/report"
)

type way func(ctx context.Context, secret string) (*pgx.Conn, error)

func main() {
	report.Run("pgx", "github.com/jackc/pgx/v5", report.Way{Name: "published", Ask: ask(published)},
		report.Way{Name: "lines", Ask: ask(lines)},
		report.Way{Name: "preset uri", Ask: ask(presetURI)}, report.Way{Name: "preset libpq", Ask: ask(presetLibpq)})
}

func published(ctx context.Context, secret string) (*pgx.Conn, error) {
	uri, err := os.ReadFile(secret + "/uri")
	if err != nil {
		return nil, err
	}
	return pgx.Connect(ctx, string(uri))
}

func lines(ctx context.Context, secret string) (*pgx.Conn, error) {
	// docs: pgx
	uri, err := os.ReadFile(secret + "/uri")
	if err != nil {
		return nil, err
	}
	return pgx.Connect(ctx, string(uri)+"&sslrootcert="+secret+"/ca.crt")
	// end
}

func presetURI(ctx context.Context, secret string) (*pgx.Conn, error) {
	uri, err := os.ReadFile(secret + "/presets/uri/uri")
	if err != nil {
		return nil, err
	}
	return pgx.Connect(ctx, string(uri))
}

func presetLibpq(ctx context.Context, secret string) (*pgx.Conn, error) {
	if err := report.TakeVariables(secret); err != nil {
		return nil, err
	}
	return pgx.Connect(ctx, "")
}

func ask(connect way) func(string) (string, string, error) {
	return func(secret string) (user, tls string, err error) {
		ctx := context.Background()
		connection, err := connect(ctx, secret)
		if err != nil {
			return "", "", err
		}
		defer connection.Close(ctx)
		err = connection.QueryRow(ctx, report.Query).Scan(&user, &tls)
		return user, tls, err
	}
}
