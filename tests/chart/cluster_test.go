package chart

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// These run one after the other on one API server, and each leaves it as the next expects it.

// must runs a program that must not fail, and returns all that it says.
func must(t *testing.T, stdin, name string, arguments ...string) string {
	t.Helper()
	_, all, err := run(stdin, name, arguments...)
	if err != nil {
		t.Fatalf("%s %s: %s", filepath.Base(name), strings.Join(arguments, " "), all)
	}
	return all
}

func inNamespace(arguments ...string) []string {
	return append(arguments, "--namespace", namespace)
}

// install and upgrade are Helm's, with values in YAML.
func install(t *testing.T, values string, more ...string) string {
	t.Helper()
	return must(t, values, helm, append(inNamespace("install", release, chart, "--values", "-"), more...)...)
}

func upgrade(t *testing.T, values string) string {
	t.Helper()
	return must(t, values, helm, inNamespace("upgrade", release, chart, "--values", "-")...)
}

func uninstall(t *testing.T) {
	t.Helper()
	must(t, "", helm, inNamespace("uninstall", release)...)
}

// crds are ours in the cluster.
func crds(t *testing.T) []string {
	t.Helper()
	names := strings.Fields(must(t, "", kubectl, "get", "crds", "--output", "jsonpath={.items[*].metadata.name}"))
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, ".pguser.dev") })
}

// disownCRDs makes them such as somebody else has installed: Helm does not know them any more.
func disownCRDs(t *testing.T) {
	t.Helper()
	for _, crd := range allCRDs {
		must(t, "", kubectl, "annotate", "crd", crd, "meta.helm.sh/release-name-", "meta.helm.sh/release-namespace-")
		must(t, "", kubectl, "label", "crd", crd, "app.kubernetes.io/managed-by-")
	}
}

var allCRDs = []string{"clusterpostgresservers.pguser.dev", "postgresservers.pguser.dev", "postgresusers.pguser.dev"}

// may asks whether the operator's ServiceAccount may.
func may(t *testing.T, verb, resource, in string) bool {
	t.Helper()
	out, _, _ := run("", kubectl, "auth", "can-i", verb, resource, "--namespace", in,
		"--as", "system:serviceaccount:"+namespace+":"+release)
	return strings.TrimSpace(out) == "yes"
}

// versions tell of every object that a release has made whether it was written. Of the Deployment it is the generation,
// for a controller writes its status.
func versions(t *testing.T) string {
	t.Helper()
	manifest := must(t, "", helm, inNamespace("get", "manifest", release)...)
	all := must(t, manifest, kubectl, "get", "--filename", "-", "--output",
		`jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.generation} {.metadata.resourceVersion}{"\n"}{end}`)
	return regexp.MustCompile(`(?m)^(Deployment .*) \d+$`).ReplaceAllString(all, "$1")
}

const user = `
apiVersion: pguser.dev/v1alpha1
kind: PostgresUser
metadata: {name: checkout, namespace: shop}
spec: {serverRef: {name: orders}}
`

func TestOnAnAPIServer(t *testing.T) {
	for _, name := range []string{namespace, "shop", "web"} {
		must(t, "", kubectl, "create", "namespace", name)
		must(t, "", kubectl, "label", "namespace", name, "pod-security.kubernetes.io/warn=restricted")
	}
	t.Run("all_objects_are_valid_and_pass_Pod_Security_restricted", func(t *testing.T) {
		for _, values := range []string{"{}", ha, namespaced, restarting, everything} {
			out, all, err := tryTemplate(values)
			if err != nil {
				t.Fatal(all)
			}
			said := must(t, out, kubectl, "apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename", "-")
			if strings.Contains(said, "Warning") {
				t.Error(said)
			}
		}
	})
	t.Run("the_operator_runs_under_OpenShifts_restricted_v2", runsUnderRestrictedV2)
	t.Run("installing_makes_the_operator_and_the_CRDs", func(t *testing.T) {
		install(t, "{}")
		must(t, "", kubectl, inNamespace("get", "deployment", release)...)
		if found := crds(t); !slices.Equal(found, allCRDs) {
			t.Error(found)
		}
	})
	t.Run("an_upgrade_with_the_same_values_changes_nothing", func(t *testing.T) {
		established := []string{"wait", "--for=condition=Established"}
		for _, crd := range allCRDs {
			established = append(established, "crd/"+crd)
		}
		must(t, "", kubectl, established...)
		before := versions(t)
		upgrade(t, "{}")
		if after := versions(t); after != before || strings.Count(after, "\n") < 12 {
			t.Errorf("before\n%s\nafter\n%s", before, after)
		}
	})
	t.Run("by_default_the_operator_has_its_rights_everywhere", func(t *testing.T) {
		for _, resource := range []string{"postgresusers.pguser.dev", "clusterpostgresservers.pguser.dev", "secrets", "namespaces"} {
			if !may(t, "watch", resource, "web") {
				t.Error(resource)
			}
		}
		if may(t, "get", "pods", "web") {
			t.Error("pods")
		}
		if mayRestart(t, "web") {
			t.Error("restarts are off by default")
		}
	})
	t.Run("it_writes_no_Secrets_but_its_own", func(t *testing.T) {
		isOfTheRightTypes(t, release)
		holds(t, namespace, "web", release)
		holdsNobodyElse(t, "web")
	})
	t.Run("with_restarts_it_restarts_workloads_and_changes_nothing_else_of_them", func(t *testing.T) {
		upgrade(t, restarting)
		if !mayRestart(t, "web") {
			t.Error("it has no right to restarts")
		}
		isOfTheRightTypes(t, release+"-restarts")
		restartsAlone(t, namespace, "web", release+"-restarts")
	})
	t.Run("with_watched_namespaces_it_has_them_there_and_nowhere_else", func(t *testing.T) {
		upgrade(t, namespaced)
		for _, resource := range []string{"postgresusers.pguser.dev", "postgresservers.pguser.dev", "secrets"} {
			if !may(t, "watch", resource, "shop") || may(t, "watch", resource, "web") {
				t.Error(resource)
			}
		}
		for _, resource := range []string{"clusterpostgresservers.pguser.dev", "namespaces"} {
			if may(t, "watch", resource, "shop") {
				t.Error(resource)
			}
		}
		if mayRestart(t, "shop") {
			t.Error("restarts are off by default")
		}
		if !may(t, "get", "namespaces/"+namespace, namespace) || may(t, "get", "namespaces/kube-system", "kube-system") {
			t.Error("it reads the UID of its own namespace alone")
		}
		if !may(t, "update", "leases.coordination.k8s.io", namespace) || !may(t, "create", "secrets", namespace) {
			t.Error("its own namespace")
		}
	})
	t.Run("uninstalling_leaves_CRDs_and_PostgresUsers", func(t *testing.T) {
		must(t, user, kubectl, "apply", "--filename", "-")
		uninstall(t)
		must(t, "", kubectl, "get", "postgresuser", "checkout", "--namespace", "shop")
		if _, said, err := run("", kubectl, inNamespace("get", "deployment", release)...); err == nil {
			t.Error(said)
		}
	})
	t.Run("installing_again_takes_up_the_CRDs_that_were_left", func(t *testing.T) {
		install(t, "{}")
		must(t, "", kubectl, "get", "postgresuser", "checkout", "--namespace", "shop")
	})
	t.Run("handing_the_CRDs_to_others_leaves_them_and_the_PostgresUsers", func(t *testing.T) {
		upgrade(t, "crds: {install: false}")
		must(t, "", kubectl, "get", "postgresuser", "checkout", "--namespace", "shop")
		uninstall(t)
		must(t, "", kubectl, "get", "postgresuser", "checkout", "--namespace", "shop")
	})
	t.Run("CRDs_of_others_are_not_touched_unless_told", func(t *testing.T) {
		disownCRDs(t)
		_, said, err := run("", helm, inNamespace("install", release, chart)...)
		if err == nil || !strings.Contains(said, "invalid ownership metadata") {
			t.Error(said)
		}
		install(t, "{}", "--take-ownership")
		uninstall(t)
	})
	t.Run("two_operators_can_share_a_cluster", func(t *testing.T) {
		install(t, "selector: tier=a")
		must(t, "{selector: tier=b, crds: {install: false}, userRoles: {aggregate: false, serviceBinding: false}}",
			helm, "install", "other", chart, "--namespace", "web", "--values", "-")
		must(t, "", helm, "uninstall", "other", "--namespace", "web")
		uninstall(t)
	})
	for _, overlay := range []string{"base", "overlays/ha", "overlays/namespaced", "overlays/restarts"} {
		t.Run("kustomize_applies_"+strings.TrimPrefix(overlay, "overlays/"), func(t *testing.T) {
			path := filepath.Join(repository, "deploy", overlay)
			said := must(t, "", kubectl, "apply", "--server-side", "--force-conflicts", "--validate=strict", "--dry-run=server", "-k", path)
			if strings.Contains(said, "Warning") {
				t.Error(said)
			}
		})
	}
	t.Run("kustomize_holds_the_operator_to_its_own_Secrets", func(t *testing.T) {
		base := filepath.Join(repository, "deploy/base")
		must(t, "", kubectl, "apply", "--server-side", "--force-conflicts", "-k", base)
		isOfTheRightTypes(t, release)
		holds(t, namespace, "web", release)
		must(t, "", kubectl, "delete", "-k", base)
	})
	t.Run("kustomize_holds_the_operator_to_restarts", func(t *testing.T) {
		overlay := filepath.Join(repository, "deploy/overlays/restarts")
		must(t, "", kubectl, "apply", "--server-side", "--force-conflicts", "-k", overlay)
		isOfTheRightTypes(t, release+"-restarts")
		restartsAlone(t, namespace, "web", release+"-restarts")
		must(t, "", kubectl, "delete", "-k", overlay)
	})
	t.Run("kustomize_holds_an_operator_in_another_namespace", func(t *testing.T) {
		overlay := elsewhereOverlay(t)
		must(t, "", kubectl, "apply", "--server-side", "-k", overlay)
		holds(t, "logins", "web", release)
		must(t, "", kubectl, "delete", "-k", overlay)
	})
	pretendArgoCD(t)
	pretendFlux(t)
	for _, guide := range []string{"helm", "kustomize", "sharding", "argocd", "flux"} {
		t.Run("docs_install_"+guide+"_can_be_followed_to_the_letter", func(t *testing.T) { follow(t, "docs/install/"+guide+".md") })
	}
	t.Run("Argo_CD_keeps_its_own_settings_beside_ours", hasCustomizations)
	t.Run("CRDs_change_under_the_objects_of_earlier_versions", upgradesOnAnAPIServer)
}

// follow runs every command of a guide, in its order, in a copy of what it speaks of.
func follow(t *testing.T, guide string) {
	checkout, tools := t.TempDir(), t.TempDir()
	for _, folder := range []string{"charts", "crds", "deploy"} {
		if err := os.CopyFS(filepath.Join(checkout, folder), os.DirFS(filepath.Join(repository, folder))); err != nil {
			t.Fatal(err)
		}
	}
	for name, program := range map[string]string{"helm": helm, "kubectl": kubectl} {
		if err := os.Symlink(program, filepath.Join(tools, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", tools+":"+os.Getenv("PATH"))
	t.Chdir(checkout)
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(read(t, guide), -1)
	if len(blocks) < 3 {
		t.Errorf("%s has %d blocks of commands", guide, len(blocks))
	}
	for _, block := range blocks {
		said := must(t, "set -ex\n"+block[1], "bash")
		if strings.Contains(said, "Warning: would violate") {
			t.Error(said)
		}
	}
	if found := crds(t); !slices.Equal(found, allCRDs) {
		t.Errorf("CRDs are %q afterwards", found)
	}
}
