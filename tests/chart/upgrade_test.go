package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// upgradesOnAnAPIServer changes the CRDs, with objects there: from each version that is kept in tests/upgrade to today's,
// and back. Every object keeps all that it has, and can be written afterwards.
func upgradesOnAnAPIServer(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(repository, "tests/upgrade/*/objects.yaml"))
	if err != nil || len(files) < 2 {
		t.Fatal("no versions are kept", err)
	}
	today, newest := filepath.Join(repository, "crds"), readObjects(t, files[len(files)-1])
	for _, file := range files {
		version, earlier := filepath.Base(filepath.Dir(file)), filepath.Join(filepath.Dir(file), "crds")
		kept := readObjects(t, file)
		t.Run("from_"+version, func(t *testing.T) {
			withoutCRDs(t)
			installCRDs(t, earlier)
			create(t, kept)
			before := live(t, kept)
			installCRDs(t, today)
			after := live(t, kept)
			for i := range kept {
				kept[i].isIn(t, "the manifest", after[i])
				before[i].isIn(t, "what was stored", after[i])
			}
			if said := write(t, after); strings.Contains(said, "Warning") {
				t.Error(said)
			}
			// What is already there is let off rules that it breaks; what is new is not.
			for _, it := range kept {
				it["metadata"].(map[string]any)["name"] = "anew-" + it.name()
			}
			must(t, kept.manifest(), kubectl, "create", "--dry-run=server", "--validate=strict", "--filename", "-")
		})
		t.Run("back_to_"+version, func(t *testing.T) {
			withoutCRDs(t)
			installCRDs(t, today)
			create(t, newest)
			installCRDs(t, earlier)
			// With a warning, where the version knows nothing of a server's provider.
			write(t, live(t, newest))
		})
	}
	withoutCRDs(t)
}

func readObjects(t *testing.T, file string) objects {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(text))
}

// manifest is all of them in one text.
func (all objects) manifest() string {
	var documents []string
	for _, it := range all {
		documents = append(documents, asYAML(it))
	}
	return strings.Join(documents, "---\n")
}

// withoutCRDs removes ours with all objects, which nobody else lets go here.
func withoutCRDs(t *testing.T) {
	t.Helper()
	all := must(t, "", kubectl, "get", strings.Join(crds(t), ","), "--all-namespaces", "--output=yaml")
	if left := listed(t, all); len(left) > 0 {
		for _, it := range left {
			delete(it["metadata"].(map[string]any), "finalizers")
		}
		must(t, left.manifest(), kubectl, "replace", "--filename", "-")
	}
	must(t, "", kubectl, append([]string{"delete", "crd"}, crds(t)...)...)
}

func installCRDs(t *testing.T, folder string) {
	t.Helper()
	must(t, "", kubectl, "apply", "--server-side", "--force-conflicts", "--filename", folder)
	established(t)
}

// create makes objects, and then their status, which an API server takes in a request of its own.
func create(t *testing.T, all objects) {
	t.Helper()
	must(t, all.manifest(), kubectl, "create", "--validate=strict", "--filename", "-")
	var reported objects
	for _, it := range all {
		if it["status"] != nil {
			reported = append(reported, it)
		}
	}
	must(t, reported.manifest(), kubectl, "replace", "--subresource=status", "--filename", "-")
}

// live is what has become of objects, in the same order.
func live(t *testing.T, all objects) objects {
	t.Helper()
	return listed(t, must(t, all.manifest(), kubectl, "get", "--output=yaml", "--filename", "-"))
}

// listed is what is in a List.
func listed(t *testing.T, list string) objects {
	t.Helper()
	var found objects
	items, _ := parse(t, list)[0]["items"].([]any)
	for _, item := range items {
		found = append(found, item.(map[string]any))
	}
	return found
}

// write does what the operator and people do to objects: their status, and an annotation.
func write(t *testing.T, all objects) string {
	t.Helper()
	for _, it := range all {
		it["status"].(map[string]any)["observedGeneration"] = 7
	}
	said := must(t, all.manifest(), kubectl, "replace", "--subresource=status", "--filename", "-")
	return said + must(t, all.manifest(), kubectl, "annotate", "--filename", "-", "example.com/touched=yes")
}

// isIn fails unless another object has all that this one has, but for what an API server counts by.
func (o object) isIn(t *testing.T, what string, other object) {
	t.Helper()
	part := parse(t, asYAML(o))[0]
	for _, field := range []string{"resourceVersion", "managedFields"} {
		delete(part["metadata"].(map[string]any), field)
	}
	if path := lacking(map[string]any(other), map[string]any(part), ""); path != "" {
		t.Errorf("%s: %s has%s, and what there is now has not:\n%s", o.id(), what, path, asYAML(other))
	}
}

// lacking is the first path at which part has what whole has not.
func lacking(whole, part any, path string) string {
	switch part := part.(type) {
	case map[string]any:
		fields, _ := whole.(map[string]any)
		for name, value := range part {
			if found := lacking(fields[name], value, path+" "+name); found != "" {
				return found
			}
		}
		return ""
	default:
		one, _ := yaml.Marshal(whole)
		other, _ := yaml.Marshal(part)
		if string(one) != string(other) {
			return path
		}
		return ""
	}
}
