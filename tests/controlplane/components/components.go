// Package components has the programs that a Kubernetes control plane is made of, to be put into one: etcd,
// kube-apiserver, kube-controller-manager and kubectl, and "up", which starts them.
package components

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"

	"pguser.dev/controlplane/launch"
)

// Set has programs by their names. Each returns its exit code.
type Set map[string]func() int

// ControlPlane has what every control plane needs.
func ControlPlane() Set {
	return Set{
		"etcd": func() int {
			etcdmain.Main(os.Args)
			return 0
		},
		"kube-apiserver":          Command(apiserver.NewAPIServerCommand),
		"kube-controller-manager": Command(controllermanager.NewControllerManagerCommand),
		"kubectl":                 runKubectl,
		"up":                      func() int { return launch.Main(os.Args[1:], locate) },
	}
}

// Command is a component of Kubernetes.
func Command(command func() *cobra.Command) func() int {
	return func() int { return cli.Run(command()) }
}

// Main runs the program that the name of this one, or else its first argument, says, and returns its exit code.
func (s Set) Main() int {
	component, found := s[filepath.Base(os.Args[0])]
	if !found && len(os.Args) > 1 {
		os.Args = os.Args[1:]
		component, found = s[os.Args[0]]
	}
	if !found {
		names := slices.Sorted(maps.Keys(s))
		fmt.Fprintf(os.Stderr, "usage: pguser-controlplane %s ARGUMENT...\n", strings.Join(names, "|"))
		return 2
	}
	return component()
}

// locate finds a component: in the running program, or, as containerd alone is not in it, where programs are installed.
func locate(component string) (string, error) {
	if component == "containerd" {
		return exec.LookPath(component)
	}
	return os.Executable()
}

func runKubectl() int {
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err) // prints as kubectl does, and exits
	}
	return 0
}
