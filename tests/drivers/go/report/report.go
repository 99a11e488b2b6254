// Package report tries a driver with each folder that the command line names, and prints a line for each.
package report

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// TakeVariables has in the environment, as long as one login takes, what the preset libpq has.
func TakeVariables(secret string) error {
	files, err := filepath.Glob(secret + "/presets/libpq/PG*")
	for _, file := range files {
		value, unreadable := os.ReadFile(file)
		err = errors.Join(err, unreadable, os.Setenv(filepath.Base(file), string(value)))
	}
	return err
}

func dropVariables() {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "PG") {
			os.Unsetenv(name)
		}
	}
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
	dropVariables()
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
