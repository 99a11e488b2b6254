// Tests of the chart and of the kustomize overlays: by real Helm, and kubectl of the test control plane.
// hack/chart-test runs them; HELM names the one program, CONTROLPLANE the folder with the other.
package chart

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	release   = "pguser-operator"
	namespace = "pguser-system"
)

var (
	repository = mustAbs("../..")
	chart      = filepath.Join(repository, "charts/pguser-operator")
)

func mustAbs(path string) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		panic(err)
	}
	return absolute
}

// object is any Kubernetes object.
type object map[string]any

func (o object) kind() string { return o["kind"].(string) }
func (o object) name() string { return o.at("metadata", "name").(string) }

// at is what is under a path of keys (strings) and indices (ints), or nil.
func (o object) at(path ...any) any {
	var here any = map[string]any(o)
	for _, step := range path {
		switch step := step.(type) {
		case string:
			fields, _ := here.(map[string]any)
			here = fields[step]
		case int:
			items, _ := here.([]any)
			if step >= len(items) {
				return nil
			}
			here = items[step]
		}
	}
	return here
}

// id is what an object is known by in the cluster.
func (o object) id() string {
	ns, _ := o.at("metadata", "namespace").(string)
	return fmt.Sprintf("%s %s/%s", o.kind(), ns, o.name())
}

var (
	helm         = os.Getenv("HELM")
	controlplane = os.Getenv("CONTROLPLANE")
	kubectl      = filepath.Join(controlplane, "kubectl")
)

// run runs a program and returns what it says on stdout, and all that it says.
func run(stdin, name string, arguments ...string) (stdout, all string, err error) {
	var out bytes.Buffer
	var both transcript
	command := exec.Command(name, arguments...)
	command.Stdin = strings.NewReader(stdin)
	command.Stdout = io.MultiWriter(&out, &both)
	command.Stderr = &both
	err = command.Run()
	return out.String(), both.text.String(), err
}

// transcript is what is said from two sides.
type transcript struct {
	lock sync.Mutex
	text strings.Builder
}

func (t *transcript) Write(p []byte) (int, error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	return t.text.Write(p)
}

// tryTemplate renders the chart with values in YAML.
func tryTemplate(values string, arguments ...string) (string, string, error) {
	all := append([]string{"template", release, chart, "--namespace", namespace, "--values", "-"}, arguments...)
	return run(values, helm, all...)
}

func template(t *testing.T, values string) objects {
	t.Helper()
	out, all, err := tryTemplate(values)
	if err != nil {
		t.Fatalf("helm template: %s", all)
	}
	return parse(t, out)
}

// refused renders the chart, which must fail, and returns what Helm says.
func refused(t *testing.T, values string) string {
	t.Helper()
	_, all, err := tryTemplate(values)
	if err == nil {
		t.Fatalf("was taken: %s", values)
	}
	return all
}

func kustomize(t *testing.T, path string) objects {
	t.Helper()
	if !filepath.IsAbs(path) {
		path = filepath.Join(repository, path)
	}
	out, all, err := run("", kubectl, "kustomize", path)
	if err != nil {
		t.Fatalf("kustomize %s: %s", path, all)
	}
	return parse(t, out)
}

type objects []object

func parse(t *testing.T, text string) objects {
	t.Helper()
	var found objects
	for document := range strings.SplitSeq("\n"+text, "\n---") {
		var it object
		if err := yaml.UnmarshalStrict([]byte(document), &it); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if it != nil {
			found = append(found, it)
		}
	}
	return found
}

// get returns the one object of a kind and name.
func (all objects) get(t *testing.T, kind, name string) object {
	t.Helper()
	for _, it := range all {
		if it.kind() == kind && it.name() == name {
			return it
		}
	}
	t.Fatalf("there is no %s %s among %v", kind, name, all.ids())
	return nil
}

func (all objects) has(kind string) bool {
	for _, it := range all {
		if it.kind() == kind {
			return true
		}
	}
	return false
}

func (all objects) ids() []string {
	var ids []string
	for _, it := range all {
		ids = append(ids, it.id())
	}
	return ids
}

// deployment is the operator's.
func (all objects) deployment(t *testing.T) object { return all.get(t, "Deployment", release) }

// pod is the operator's PodSpec.
func (all objects) pod(t *testing.T) object {
	return all.deployment(t).at("spec", "template", "spec").(map[string]any)
}

// container is the operator's.
func (all objects) container(t *testing.T) object {
	return all.pod(t).at("containers", 0).(map[string]any)
}

func (all objects) args(t *testing.T) []string { return texts(all.container(t)["args"]) }

func texts(value any) []string {
	var found []string
	items, _ := value.([]any)
	for _, item := range items {
		found = append(found, fmt.Sprint(item))
	}
	return found
}

// asYAML shows a value.
func asYAML(value any) string {
	text, err := yaml.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// same fails unless two values are the same, as YAML.
func same(t *testing.T, what string, got any, want string) {
	t.Helper()
	var wanted any
	if err := yaml.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	if asYAML(got) != asYAML(wanted) {
		t.Errorf("%s is\n%s\nand not\n%s", what, asYAML(got), asYAML(wanted))
	}
}
