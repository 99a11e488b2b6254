// One program holding what a Kubernetes control plane is made of. The name it is called by, or else its first argument,
// says which part of it is meant.
package main

import (
	"os"

	"pguser.dev/controlplane/components"
)

func main() { os.Exit(components.ControlPlane().Main()) }
