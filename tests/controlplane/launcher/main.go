// The "up" of pguser-controlplane alone, with nothing but the standard library: for a folder that
// has the components already (KUBEBUILDER_ASSETS), where building them again would be a waste.
// It looks for them beside itself.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"pguser.dev/controlplane/launch"
)

func main() {
	if len(os.Args) < 2 || os.Args[1] != "up" {
		fmt.Fprintln(os.Stderr, "usage: pguser-controlplane up --dir DIR [--audit-log FILE] [--kubeconfig FILE]")
		os.Exit(2)
	}
	os.Exit(launch.Main(os.Args[2:], besideItself))
}

func besideItself(component string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(self), component)
	_, err = os.Stat(path)
	return path, err
}
