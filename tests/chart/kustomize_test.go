package chart

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// What may differ between the chart and kustomize, and why. Anything else is an error.
//
//   - The Namespace: Helm makes it, or does not, by --create-namespace.
//   - The CRDs: in the base they are applied by themselves.
//   - Labels that say of which chart and release an object is; they are in the Deployment's selectors, too.
//   - User and group of the Pod: the base names them for images that do not; the chart leaves them to the image, or to
//     OpenShift, which refuses any that it has not chosen.
func normal(all objects) map[string]string {
	found := map[string]string{}
	for _, it := range all {
		if it.kind() == "Namespace" || it.kind() == "CustomResourceDefinition" {
			continue
		}
		strip(map[string]any(it))
		if security, ok := it.at("spec", "template", "spec", "securityContext").(map[string]any); ok {
			delete(security, "runAsUser")
			delete(security, "runAsGroup")
		}
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
}
