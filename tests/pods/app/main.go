// An application that lives by a PostgreSQL login: it logs in again and again with the Secret that is mounted at
// /var/run/postgres, reading it anew each time, and says as whom, or that it was refused.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	uriFile = "/var/run/postgres/uri"
	pause   = 200 * time.Millisecond
)

func main() {
	for {
		user, err := login()
		switch refused := new(pgconn.PgError); {
		case err == nil:
			say("logged in as " + user)
		case errors.As(err, &refused):
			say("refused " + refused.Code)
		default:
			say("failed: " + err.Error())
		}
		time.Sleep(pause)
	}
}

// login connects as libpq would by the URI, and asks the server who that was.
func login() (string, error) {
	uri, err := os.ReadFile(uriFile)
	if err != nil {
		return "", err
	}
	limited, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	connection, err := pgx.Connect(limited, strings.TrimSpace(string(uri)))
	if err != nil {
		return "", err
	}
	defer connection.Close(limited)
	var user string
	err = connection.QueryRow(limited, "SELECT current_user").Scan(&user)
	return user, err
}

func say(what string) { fmt.Println(time.Now().UTC().Format(time.RFC3339Nano), what) }
