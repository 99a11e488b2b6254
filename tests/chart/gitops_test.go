package chart

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What Argo CD and Flux bring into a cluster is taken from their own modules.
var (
	gitops = filepath.Join(repository, "tests/gitops")

	// Of Flux no package is used, so no go.mod can name these.
	fluxModules = []struct{ module, sum string }{
		{"github.com/fluxcd/helm-controller@v1.6.2", "h1:cEirkQjLFF721EomwtH5fHuhpiYCW9HkAje1HTzCTsM="},
		{"github.com/fluxcd/kustomize-controller@v1.7.3", "h1:SzNnGn/4ObAPEHHleM5U7y/AKxKXph3Vj6ZhteeXw8M="},
		{"github.com/fluxcd/source-controller@v1.8.5", "h1:3zKSTGc2FPoZcQ5BjnyOrwdHDWeYqst3uAoZ+c0DG3c="},
	}
)

// download fetches a Go module and returns its folder. Without a version it is the one of tests/gitops.
func download(t *testing.T, module, sum string) string {
	t.Helper()
	command := exec.Command("go", "mod", "download", "-json", module)
	command.Dir = gitops
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go mod download %s: %v\n%s", module, err, out)
	}
	var found struct{ Dir, Sum string }
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	if sum != "" && found.Sum != sum {
		t.Fatalf("%s is not what it was: %s", module, found.Sum)
	}
	return found.Dir
}

// pretendArgoCD and pretendFlux make the cluster one that the tool was installed in, as far as our guides meet it.
func pretendArgoCD(t *testing.T) {
	argo := download(t, "github.com/argoproj/argo-cd/v3", "")
	must(t, "", kubectl, "create", "namespace", "argocd")
	must(t, "", kubectl, "apply", "--server-side", "-k", filepath.Join(argo, "manifests/crds"))
	must(t, "", kubectl, "apply", "--namespace", "argocd", "--filename", filepath.Join(argo, "manifests/base/config/argocd-cm.yaml"))
	established(t)
}

func pretendFlux(t *testing.T) {
	must(t, "", kubectl, "create", "namespace", "flux-system")
	for _, it := range fluxModules {
		folder := filepath.Join(download(t, it.module, it.sum), "config/crd/bases")
		must(t, "", kubectl, "apply", "--server-side", "--filename", folder)
	}
	established(t)
}

func established(t *testing.T) {
	t.Helper()
	must(t, "", kubectl, "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
}

// Argo CD's own settings are still there, and ours beside them.
func hasCustomizations(t *testing.T) {
	text := must(t, "", kubectl, "get", "configmap", "argocd-cm", "--namespace", "argocd", "--output", "jsonpath={.data}")
	var data map[string]string
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		t.Fatal(err)
	}
	script := read(t, "deploy/argocd/customizations/health.lua")
	for _, kind := range []string{"PostgresUser", "PostgresServer", "ClusterPostgresServer"} {
		if data["resource.customizations.health.pguser.dev_"+kind] != script {
			t.Errorf("of %s: %q", kind, data)
		}
	}
	if data["resource.customizations.ignoreResourceUpdates.all"] == "" {
		t.Errorf("Argo CD's own are gone: %q", data)
	}
}

// ours is where the examples say that this repository is.
const ours = "https://git.example.com/platform/pguser-operator.git"

const image = "registry.example.com/pguser-operator:0.1.0"

// TestGitOpsExamples builds what the examples point at, with the values and images that they give. That their own fields
// are right is for an API server to say: see TestOnAnAPIServer.
func TestGitOpsExamples(t *testing.T) {
	for _, file := range []string{"argocd/operator_helm", "argocd/operator_kustomize", "flux/operator_helm", "flux/operator_kustomize"} {
		t.Run(strings.ReplaceAll(file, "/", "_"), func(t *testing.T) {
			var crds, operators int
			for _, it := range parse(t, read(t, "deploy/"+file+".yaml")) {
				for _, made := range buildExample(t, it) {
					switch made.kind() {
					case "CustomResourceDefinition":
						crds++
					case "Deployment":
						operators++
						same(t, "image", objects{made}.container(t)["image"], image)
					}
				}
			}
			if crds != len(allCRDs) || operators != 1 {
				t.Errorf("it makes %d CRDs and %d operators", crds, operators)
			}
		})
	}
}

// buildExample makes what a tool would make of an object of its own.
func buildExample(t *testing.T, it object) objects {
	switch it.kind() {
	case "Application":
		same(t, "repository", it.at("spec", "source", "repoURL"), ours)
		path := it.at("spec", "source", "path").(string)
		if values := it.at("spec", "source", "helm", "valuesObject"); values != nil {
			same(t, "path", path, "charts/pguser-operator")
			return template(t, asYAML(values))
		}
		var images []any
		for _, text := range texts(it.at("spec", "source", "kustomize", "images")) {
			name, replacement, _ := strings.Cut(text, "=")
			newName, tag, _ := strings.Cut(replacement, ":")
			images = append(images, map[string]any{"name": name, "newName": newName, "newTag": tag})
		}
		return kustomizeWith(t, path, images)
	case "GitRepository":
		same(t, "repository", it.at("spec", "url"), ours)
	case "HelmRelease":
		same(t, "path", it.at("spec", "chart", "spec", "chart"), "charts/pguser-operator")
		return template(t, asYAML(it.at("spec", "values")))
	case "Kustomization":
		return kustomizeWith(t, it.at("spec", "path").(string), it.at("spec", "images"))
	}
	return nil
}

// kustomizeWith builds a folder of the repository with other images.
func kustomizeWith(t *testing.T, path string, images any) objects {
	t.Helper()
	overlay := t.TempDir()
	// Kustomize knows no paths from the root.
	resource, err := filepath.Rel(overlay, filepath.Join(repository, path))
	if err != nil {
		t.Fatal(err)
	}
	text := asYAML(map[string]any{"resources": []string{resource}, "images": images})
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return parse(t, must(t, "", kubectl, "kustomize", overlay))
}

// Whichever way they were installed, no tool prunes the CRDs, and with them every login.
func TestNothingPrunesTheCRDs(t *testing.T) {
	for name, all := range map[string]objects{"chart": template(t, "{}"), "kustomize": kustomize(t, "crds")} {
		count := 0
		for _, it := range all {
			if it.kind() != "CustomResourceDefinition" {
				continue
			}
			count++
			for annotation, value := range map[string]string{
				"argocd.argoproj.io/sync-options":   "Prune=false,Delete=false",
				"helm.sh/resource-policy":           "keep",
				"kustomize.toolkit.fluxcd.io/prune": "disabled",
			} {
				same(t, name+" "+it.name()+" "+annotation, it.at("metadata", "annotations", annotation), value)
			}
		}
		if count != len(allCRDs) {
			t.Errorf("%s has %d CRDs", name, count)
		}
	}
}
