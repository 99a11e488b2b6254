package pods

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	release   = "pguser-operator"
	namespace = "pguser-system"
	chart     = "../../charts/pguser-operator"
)

// helm runs Helm in the operator's namespace.
func helm(t *testing.T, values string, arguments ...string) string {
	t.Helper()
	return must(t, values, helmProgram, append(arguments, "--namespace", namespace, "--wait", "--timeout", "2m")...)
}

// values are those that all tests install with. Its times are short, so that a test need not wait for what takes minutes.
func values(name string) string {
	repository, tag, _ := strings.Cut(name, ":")
	return fmt.Sprintf(`
image: {repository: %s, tag: %s}
replicas: 2
allowEndpoints: ["%s:%s"]
times: {tLive: 5s, writeWindow: 2s, readLag: 1s, minRefreshInterval: 1s}
`, repository, tag, databaseName, database.port)
}

func install(t *testing.T) {
	t.Helper()
	helm(t, values(operator.name), "install", release, chart, "--values", "-")
}

// makeNamespace makes one where nothing may run that Pod Security "restricted" refuses.
func makeNamespace(t *testing.T, name string) {
	t.Helper()
	kubectl(t, "create", "namespace", name)
	kubectl(t, "label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
}

// operatorPods are the names of those that are ready and not about to end.
func operatorPods() []string {
	listed := get(`{range .items[*]}{.metadata.name} {.metadata.deletionTimestamp} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}`,
		"pods", "--namespace", namespace, "--selector", "app.kubernetes.io/name=pguser-operator")
	var ready []string
	for line := range strings.Lines(listed) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[1] == "True" {
			ready = append(ready, fields[0])
		}
	}
	return ready
}

// leader is the Pod whose operator has the Lease. What it is known by there is the Pod's name and something of its own.
func leader() string {
	holder := get("{.spec.holderIdentity}", "lease", "pguser-operator", "--namespace", namespace)
	return holder[:max(0, strings.LastIndex(holder, "-"))]
}

// process is one of the operator's, as the kernel shows it.
type process struct{ pid, status string }

func (p process) field(name string) string {
	found := regexp.MustCompile(`(?m)^` + name + `:\s*(.*)$`).FindStringSubmatch(p.status)
	if found == nil {
		return ""
	}
	return found[1]
}

// startUp is how long a process took from its start until it served probes, which is what it logs first.
func (p process) startUp(t *testing.T) time.Duration {
	t.Helper()
	stat, errs := os.ReadFile("/proc/" + p.pid + "/stat")
	uptime, err := os.ReadFile("/proc/uptime")
	now := time.Now()
	environment, erre := os.ReadFile("/proc/" + p.pid + "/environ")
	if err := errors.Join(errs, err, erre); err != nil {
		t.Fatal(err)
	}
	// Its start, in hundredths of a second since the machine's.
	ticks, errs := strconv.ParseFloat(strings.Fields(string(stat))[21], 64)
	up, err := strconv.ParseFloat(strings.Fields(string(uptime))[0], 64)
	if err := errors.Join(errs, err); err != nil {
		t.Fatal(err)
	}
	started := now.Add(-time.Duration((up - ticks/100) * float64(time.Second)))
	pod := regexp.MustCompile(`(?:^|\x00)HOSTNAME=([^\x00]*)`).FindStringSubmatch(string(environment))[1]
	first := regexp.MustCompile(`"timestamp":"([^"]*)"`).FindStringSubmatch(kubectl(t, "logs", pod, "--namespace", namespace))
	serving, err := time.Parse(time.RFC3339Nano, first[1])
	if err != nil {
		t.Fatal(err)
	}
	return serving.Sub(started).Round(10 * time.Millisecond)
}

func processes(t *testing.T) []process {
	t.Helper()
	var found []process
	files, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		status, err := os.ReadFile(file)
		if p := (process{filepath.Base(filepath.Dir(file)), string(status)}); err == nil && p.field("Name") == "pguser-operator" {
			found = append(found, p)
		}
	}
	return found
}

// user is what a team writes to get a login.
func user(name string) string {
	return fmt.Sprintf(`
apiVersion: pguser.dev/v1alpha1
kind: PostgresUser
metadata: {name: %s, namespace: shop}
spec: {serverRef: {name: orders}}
`, name)
}

func ready(name string) bool {
	return get(`{.status.conditions[?(@.type=="Ready")].status}`, "postgresuser", name, "--namespace", "shop") == "True"
}

// readySoon waits for a login.
func readySoon(t *testing.T, name string) time.Duration {
	t.Helper()
	return eventually(t, time.Minute, name+" is ready", func() bool { return ready(name) })
}

// published is the output Secret's version and its password, encoded.
func published(t *testing.T, name string) (version, password string) {
	t.Helper()
	version, password, _ = strings.Cut(get("{.metadata.resourceVersion} {.data.password}",
		"secret", name+"-postgres", "--namespace", "shop"), " ")
	if password == "" {
		t.Fatalf("%s has no Secret", name)
	}
	return version, password
}
