package chart

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What may differ between the chart and kustomize, and why. Anything else is an error.
//
//   - The Namespace: Helm makes it, or does not, by --create-namespace.
//   - The CRDs: in the base they are applied by themselves.
//   - Labels that say of which chart and release an object is; they are in the Deployment's selectors, too.
func normal(all objects) map[string]string {
	found := map[string]string{}
	for _, it := range all {
		if it.kind() == "Namespace" || it.kind() == "CustomResourceDefinition" {
			continue
		}
		strip(map[string]any(it))
		found[it.id()] = asYAML(it)
	}
	return found
}

// strip takes off the labels that tell of the release, wherever they are.
func strip(value any) {
	switch value := value.(type) {
	case map[string]any:
		for _, label := range []string{"helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "app.kubernetes.io/instance"} {
			delete(value, label)
		}
		for _, inner := range value {
			strip(inner)
		}
	case []any:
		for _, inner := range value {
			strip(inner)
		}
	}
}

func TestKustomize(t *testing.T) {
	for name, it := range map[string]struct{ path, values string }{
		"base_is_the_chart_with_default_values":                      {"deploy/base", "{}"},
		"overlay_ha_is_the_chart_with_two_replicas_spread":           {"deploy/overlays/ha", ha},
		"overlay_restarts_is_the_chart_with_restarts":                {"deploy/overlays/restarts", restarting},
		"overlay_namespaced_is_the_chart_with_one_namespace_watched": {"deploy/overlays/namespaced", namespaced},
	} {
		t.Run(name, func(t *testing.T) {
			built, rendered := normal(kustomize(t, it.path)), normal(template(t, it.values))
			same(t, "the chart's objects", slices.Sorted(maps.Keys(rendered)), asYAML(slices.Sorted(maps.Keys(built))))
			for id, wanted := range built {
				if got, ok := rendered[id]; ok && got != wanted {
					t.Errorf("%s is by kustomize\n%s\nand by the chart\n%s", id, wanted, got)
				}
			}
		})
	}
	t.Run("overlay_namespaced_differs_from_the_base_by_what_is_not_in_a_namespace", func(t *testing.T) {
		everywhere := kustomize(t, "deploy/base").get(t, "ClusterRole", release)
		watched := kustomize(t, "deploy/overlays/namespaced").get(t, "Role", release+"-watched")
		var wanted []any
		for _, rule := range everywhere["rules"].([]any) {
			rule := rule.(map[string]any)
			resources := slices.DeleteFunc(rule["resources"].([]any), func(resource any) bool {
				return resource == "namespaces" || strings.HasPrefix(resource.(string), "clusterpostgresservers")
			})
			if rule["resources"] = resources; len(resources) > 0 {
				wanted = append(wanted, rule)
			}
		}
		same(t, "rules", watched["rules"], asYAML(wanted))
	})
	t.Run("policy_names_the_ServiceAccount_of_an_overlay_with_another_namespace", func(t *testing.T) {
		overlay := elsewhereOverlay(t)
		same(t, "subject", subject(t, kustomize(t, overlay), release), "system:serviceaccount:logins:"+release)
		addTo(t, overlay, "nameSuffix: -b\n")
		all := kustomize(t, overlay)
		same(t, "subject", subject(t, all, release+"-b"), "system:serviceaccount:logins:"+release+"-b")
		bound := all.get(t, "ValidatingAdmissionPolicyBinding", release+"-b")
		same(t, "policyName", bound.at("spec", "policyName"), release+"-b")
		for _, id := range []string{"ValidatingAdmissionPolicy /" + release + "-b", "ValidatingAdmissionPolicyBinding /" + release + "-b"} {
			if !slices.Contains(all.ids(), id) {
				t.Errorf("%s is not among %q", id, all.ids())
			}
		}
	})
	t.Run("component_restarts_can_be_added_to_an_overlay_with_another_namespace", func(t *testing.T) {
		overlay := elsewhereOverlay(t)
		addTo(t, overlay, "components: [../../components/restarts]\n")
		all := kustomize(t, overlay)
		same(t, "subject", subject(t, all, release+"-restarts"), "system:serviceaccount:logins:"+release)
		same(t, "subjects", all.get(t, "ClusterRoleBinding", release+"-restarts")["subjects"],
			"[{kind: ServiceAccount, name: "+release+", namespace: logins}]")
		if !slices.Contains(all.ids(), "ValidatingAdmissionPolicy /"+release+"-restarts") {
			t.Error(all.ids())
		}
	})
	t.Run("overlay_namespaced_has_no_policy", func(t *testing.T) {
		if all := kustomize(t, "deploy/overlays/namespaced"); all.has("ValidatingAdmissionPolicy") || all.has("ValidatingAdmissionPolicyBinding") {
			t.Error(all.ids())
		}
	})
}

// subject is whom the policy holds, put together from the pieces in its text.
func subject(t *testing.T, all objects, name string) string {
	t.Helper()
	conditions, _ := all.get(t, "ValidatingAdmissionPolicy", name).at("spec", "matchConditions").([]any)
	if len(conditions) != 1 {
		t.Fatalf("%d conditions", len(conditions))
	}
	text := conditions[0].(map[string]any)["expression"].(string)
	pieces, ok := strings.CutPrefix(text, "request.userInfo.username == ")
	if !ok {
		t.Fatal(text)
	}
	return strings.ReplaceAll(strings.Trim(pieces, "'"), "' + '", "")
}

// addTo adds lines to the kustomization of an overlay.
func addTo(t *testing.T, overlay, lines string) {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(overlay, "kustomization.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(lines); err != nil {
		t.Fatal(err)
	}
}

// elsewhereOverlay writes the overlay for another namespace that docs/install/kustomize.md shows, in a copy of deploy.
func elsewhereOverlay(t *testing.T) string {
	t.Helper()
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(read(t, "docs/install/kustomize.md"), -1)
	if len(blocks) != 1 {
		t.Fatalf("the guide shows %d overlays", len(blocks))
	}
	checkout := t.TempDir()
	if err := os.CopyFS(filepath.Join(checkout, "deploy"), os.DirFS(filepath.Join(repository, "deploy"))); err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(checkout, "deploy/overlays/mine")
	if err := os.Mkdir(overlay, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(blocks[0][1]), 0o644); err != nil {
		t.Fatal(err)
	}
	return overlay
}
