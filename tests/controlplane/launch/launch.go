// Package launch starts a Kubernetes control plane for tests and takes it down again.
//
// It uses nothing but the standard library, so that it builds in a second without the components.
package launch

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Locate says which program to start for a component, by its name.
type Locate func(component string) (path string, err error)

const startTimeout = 3 * time.Minute

type options struct {
	dir        string
	auditLog   string
	kubeconfig string
	node       string
	cgroup     string
}

// Main is the subcommand "up". It returns the exit code.
func Main(args []string, locate Locate) int {
	// A child is killed when the thread that started it ends (see processes.go): stay on this one.
	runtime.LockOSThread()

	options, err := parse(args)
	if err != nil {
		return 2
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer cancel()
	go cancelWhenStdinCloses(cancel)

	if err := up(stop, options, locate); err != nil {
		fmt.Fprintln(os.Stderr, "pguser-controlplane:", err)
		return 1
	}
	return 0
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.StringVar(&o.dir, "dir", "", "folder for certificates, data and logs; created if missing (required)")
	flags.StringVar(&o.auditLog, "audit-log", "", "where the API server writes its audit log (default DIR/audit.log)")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "where to write the administrator's kubeconfig (default DIR/kubeconfig)")
	flags.StringVar(&o.node, "node", "", "run a node as well, at this address (see node.go; only in the program with a node)")
	flags.StringVar(&o.cgroup, "cgroup", "/", "the cgroup that the node's Pods are put into; it has to exist")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.dir == "" || flags.NArg() > 0 {
		flags.Usage()
		return o, flag.ErrHelp
	}
	var err error
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return o, err
	}
	if o.auditLog == "" {
		o.auditLog = filepath.Join(o.dir, "audit.log")
	}
	if o.kubeconfig == "" {
		o.kubeconfig = filepath.Join(o.dir, "kubeconfig")
	}
	return o, nil
}

// cancelWhenStdinCloses ends the control plane with whoever holds the other end of our stdin.
// Only a pipe or a socket has another end: /dev/null and files are always at theirs.
func cancelWhenStdinCloses(cancel context.CancelFunc) {
	info, err := os.Stdin.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	cancel()
}

// up runs the control plane until stop is done, or one of its parts ends.
func up(stop context.Context, options options, locate Locate) (err error) {
	plane, err := prepare(options)
	if err != nil {
		return fmt.Errorf("preparing %s: %w", options.dir, err)
	}
	processes := processes{locate: locate, logs: plane.path("logs")}
	defer func() {
		processes.stop()
		_ = os.RemoveAll(plane.path("etcd"))
	}()

	starting, cancel := context.WithTimeout(stop, startTimeout)
	defer cancel()
	if err := start(starting, plane, &processes); err != nil {
		if stop.Err() != nil {
			return nil // told to stop before it was ready
		}
		return err
	}
	fmt.Printf("ready KUBECONFIG=%s\n", options.kubeconfig)
	return processes.watch(stop, func(stop context.Context) error {
		<-stop.Done()
		return nil
	})
}

// start starts the components, in order, and waits until they work.
func start(ctx context.Context, plane *plane, processes *processes) error {
	for _, component := range plane.components() {
		if component.name == "kube-controller-manager" {
			// It gives up on an API server that takes more than ten seconds, as it does on a busy machine.
			if err := processes.watch(ctx, plane.waitUntilServing); err != nil {
				return err
			}
		}
		if err := processes.start(component.name, component.args...); err != nil {
			return err
		}
	}
	return processes.watch(ctx, plane.waitUntilReady)
}
