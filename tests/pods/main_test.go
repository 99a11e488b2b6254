package pods

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// One node and one database server for all tests.
func TestMain(m *testing.M) {
	code, err := withEverything(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withEverything(tests func() int) (code int, err error) {
	if work == "" || node == "" || helmProgram == "" {
		return 1, errors.New("WORK, NODE and HELM are not set: run hack/test-pods")
	}
	forgetSettings()
	stopNode, err := startNode()
	defer stopNode()
	if err != nil {
		return 1, err
	}
	stopDatabase, err := startDatabase()
	defer stopDatabase()
	if err != nil {
		return 1, err
	}
	if err := answerNames(); err != nil {
		return 1, err
	}
	for _, archive := range []string{filepath.Join(work, "pause.tar"), filepath.Join(work, "app.tar"), operator.archive} {
		if err := importImage(archive); err != nil {
			return 1, err
		}
	}
	return tests(), nil
}

// forgetSettings keeps Helm and kubectl from the user's clusters and settings.
func forgetSettings() {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "HELM_") {
			os.Unsetenv(name)
		}
	}
	os.Setenv("KUBECONFIG", filepath.Join(work, "plane/kubeconfig"))
	os.Setenv("KUBECACHEDIR", filepath.Join(work, "kubectl"))
	for _, name := range []string{"CONFIG", "CACHE", "DATA"} {
		os.Setenv("HELM_"+name+"_HOME", filepath.Join(work, "helm", name))
	}
}

func startNode() (stop func(), err error) {
	command := exec.Command(filepath.Join(node, "pguser-controlplane"), "up", "--dir", filepath.Join(work, "plane"),
		"--node", address, "--cgroup", os.Getenv("NODE_CGROUP"))
	_, stop, err = start(command, "ready ")
	return stop, err
}

// start starts a program, waits for a line that begins so, and returns what was said up to there. The program ends when its
// stdin is closed.
func start(command *exec.Cmd, ready string) (said string, stop func(), err error) {
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return "", func() {}, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return "", func() {}, err
	}
	if err := command.Start(); err != nil {
		return "", func() {}, err
	}
	stop = func() {
		stdin.Close()
		_ = command.Wait()
	}
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return said, stop, fmt.Errorf("%s ended after saying %q", command.Args[0], said)
		}
		said += line
		if strings.HasPrefix(line, ready) {
			go io.Copy(io.Discard, lines)
			return said, stop, nil
		}
	}
}
