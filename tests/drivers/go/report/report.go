// Package report tries a driver with each folder that the command line names, and prints a line for each.
package report

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
)

// Query asks who it is that has logged in, and how.
const Query = `SELECT current_user, CASE WHEN ssl THEN 'TLS' ELSE 'no TLS' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()`

// Way logs in with what a folder holds, and asks.
type Way struct {
	Name string
	Ask  func(secret string) (user, tls string, err error)
}

// Run tries all ways with each folder. The module is the driver's.
func Run(driver, module string, ways ...Way) {
	fmt.Printf("%s\tversion\t%s\n", driver, version(module))
	for _, folder := range os.Args[1:] {
		for _, way := range ways {
			fmt.Printf("%s\t%s\t%s\t%s\n", driver, way.Name, folder, attempt(way, folder))
		}
	}
}

// What a login comes to: who it is and how, or why it is none.
func attempt(way Way, secret string) string {
	user, tls, err := way.Ask(secret)
	if err != nil {
		return "refused\t" + strings.Join(strings.Fields(err.Error()), " ")
	}
	return "in\t" + user + "\t" + tls
}

func version(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return strings.TrimPrefix(dependency.Version, "v")
		}
	}
	return "unknown"
}
