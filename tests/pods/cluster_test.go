// Tests of the operator as it is installed: its image, the Helm chart, and Pods that really run. hack/test-pods builds what
// they need, and puts them into namespaces of their own.
package pods

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What hack/test-pods says.
var (
	work        = os.Getenv("WORK")
	address     = os.Getenv("NODE_ADDRESS")
	node        = os.Getenv("NODE")
	helmProgram = os.Getenv("HELM")
	operator    = image{archive: os.Getenv("OPERATOR_ARCHIVE"), name: os.Getenv("OPERATOR_IMAGE")}
	sbom        = os.Getenv("OPERATOR_SBOM")
)

// image is one that containerd has been given.
type image struct{ archive, name string }

// run runs a program, and returns what it says.
func run(stdin, name string, arguments ...string) (string, error) {
	limited, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	command := exec.CommandContext(limited, name, arguments...)
	var out, errors bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &out, &errors
	if err := command.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s%s", filepath.Base(name), strings.Join(arguments, " "), err, &out, &errors)
	}
	return strings.TrimSpace(out.String()), nil
}

// must runs a program that must not fail.
func must(t *testing.T, stdin, name string, arguments ...string) string {
	t.Helper()
	out, err := run(stdin, name, arguments...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func kubectl(t *testing.T, arguments ...string) string {
	t.Helper()
	return must(t, "", filepath.Join(node, "kubectl"), arguments...)
}

func apply(t *testing.T, manifests string) {
	t.Helper()
	must(t, manifests, filepath.Join(node, "kubectl"), "apply", "--filename", "-")
}

// get is what a JSONPath finds, or nothing.
func get(path string, arguments ...string) string {
	arguments = append([]string{"get", "--output", "jsonpath=" + path}, arguments...)
	found, err := run("", filepath.Join(node, "kubectl"), arguments...)
	if err != nil {
		return ""
	}
	return found
}

// eventually waits until something is so, and says how long that took.
func eventually(t *testing.T, limit time.Duration, what string, is func() bool) time.Duration {
	t.Helper()
	started := time.Now()
	for !is() {
		if time.Since(started) > limit {
			t.Fatalf("waited %s in vain until %s", limit, what)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(started).Round(100 * time.Millisecond)
}

// importImage gives an archive to containerd.
func importImage(archive string) error {
	_, err := run("", "ctr", "--namespace", "k8s.io", "images", "import", archive)
	return err
}
