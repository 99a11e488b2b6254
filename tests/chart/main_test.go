package chart

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A control plane of their own for all tests: they install CRDs, and take them away.
func TestMain(m *testing.M) { os.Exit(withControlPlane(m.Run)) }

func withControlPlane(run func() int) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "start the control plane:", err)
		return 1
	}
	if helm == "" || controlplane == "" {
		return fail(fmt.Errorf("HELM and CONTROLPLANE are not set: run hack/chart-test"))
	}
	home, err := os.MkdirTemp("", "pguser-chart.")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(home)
	// Neither the user's clusters nor the user's settings.
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "HELM_") {
			os.Unsetenv(name)
		}
	}
	for name, value := range map[string]string{
		"KUBECONFIG":       filepath.Join(home, "kubeconfig"),
		"HELM_CONFIG_HOME": filepath.Join(home, "helm/config"),
		"HELM_CACHE_HOME":  filepath.Join(home, "helm/cache"),
		"HELM_DATA_HOME":   filepath.Join(home, "helm/data"),
		"KUBECACHEDIR":     filepath.Join(home, "kubectl"),
	} {
		os.Setenv(name, value)
	}
	plane := exec.Command(filepath.Join(controlplane, "pguser-controlplane"),
		"up", "--dir", filepath.Join(home, "plane"), "--kubeconfig", os.Getenv("KUBECONFIG"))
	plane.Stderr = os.Stderr
	// It ends when this is closed, and so at the latest when this process does.
	stdin, err := plane.StdinPipe()
	if err != nil {
		return fail(err)
	}
	stdout, err := plane.StdoutPipe()
	if err != nil {
		return fail(err)
	}
	if err := plane.Start(); err != nil {
		return fail(err)
	}
	defer plane.Wait()
	defer stdin.Close()
	lines := bufio.NewReader(stdout)
	if line, err := lines.ReadString('\n'); err != nil || !strings.HasPrefix(line, "ready ") {
		return fail(fmt.Errorf("it says %q (%v)", line, err))
	}
	go io.Copy(io.Discard, lines)
	return run()
}
