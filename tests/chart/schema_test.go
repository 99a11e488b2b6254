package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLint(t *testing.T) {
	t.Run("has_nothing_to_say_even_when_strict", func(t *testing.T) {
		_, all, err := run("", helm, "lint", "--strict", chart)
		if err != nil {
			t.Error(all)
		}
	})
}

func TestValuesThatAreRefused(t *testing.T) {
	for name, it := range map[string]struct{ values, says string }{
		"a_misspelled_value":                       {"replicaCount: 2", "replicaCount"},
		"a_misspelled_value_further_in":            {"image: {repo: x}", "repo"},
		"a_misspelled_time":                        {"times: {tlive: 5s}", "tlive"},
		"a_misspelled_field_of_a_toleration":       {"tolerations: [{keys: a}]", "keys"},
		"a_misspelled_field_of_an_affinity":        {"affinity: {podAntiAfinity: {}}", "podAntiAfinity"},
		"a_misspelled_field_of_a_security_context": {"securityContext: {readOnlyRootFileSystem: true}", "readOnlyRootFileSystem"},
		"replicas_in_words":                        {"replicas: two", "replicas"},
		"replicas_below_zero":                      {"replicas: -1", "replicas"},
		"a_namespace_instead_of_a_list":            {"watchNamespaces: shop", "watchNamespaces"},
		"a_namespace_with_a_capital":               {"watchNamespaces: [Shop]", "watchNamespaces"},
		"a_namespace_twice":                        {"watchNamespaces: [shop, shop]", "watchNamespaces"},
		"a_duration_without_a_unit":                {`times: {tLive: "120"}`, "tLive"},
		"a_duration_as_a_number":                   {"times: {tLive: 120}", "tLive"},
		"an_endpoint_without_a_port":               {"allowEndpoints: [db.example.com]", "allowEndpoints"},
		"two_endpoints_in_one":                     {`allowEndpoints: ["a:1,b:2"]`, "allowEndpoints"},
		"a_digest_that_is_none":                    {"image: {digest: latest}", "digest"},
		"a_pull_policy_that_is_none":               {"image: {pullPolicy: Sometimes}", "pullPolicy"},
		"a_log_format_that_is_none":                {"log: {format: xml}", "format"},
		"a_label_that_is_no_text":                  {"podLabels: {a: 1}", "podLabels"},
		"root":                                     {"podSecurityContext: {runAsUser: 0}", "runAsUser"},
		"text_instead_of_a_switch":                 {`crds: {install: "false"}`, "install"},
		"several_replicas_without_election":        {"{replicas: 2, leaderElection: {enabled: false}}", "more than one needs leaderElection.enabled"},
		"a_CA_from_two_places":                     {"extraCA: {secretName: a, configMapName: b}", "not both"},
	} {
		t.Run(name, func(t *testing.T) {
			if all := refused(t, it.values); !strings.Contains(all, it.says) {
				t.Errorf("it does not say %q: %s", it.says, all)
			}
		})
	}
}

func readJSON(t *testing.T, path string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chart, path))
	if err != nil {
		t.Fatal(err)
	}
	var value map[string]any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// each calls a function for every schema within one, with its path.
func each(schema any, path string, visit func(path string, schema map[string]any)) {
	switch schema := schema.(type) {
	case map[string]any:
		visit(path, schema)
		for key, value := range schema {
			each(value, path+"/"+key, visit)
		}
	case []any:
		for _, value := range schema {
			each(value, path, visit)
		}
	}
}

func TestSchema(t *testing.T) {
	schema := readJSON(t, "values.schema.json")
	t.Run("leaves_no_object_open", func(t *testing.T) {
		each(schema, "", func(path string, it map[string]any) {
			if it["type"] == "object" && it["additionalProperties"] == nil && path != "/properties/global" {
				t.Errorf("%s takes anything", path)
			}
		})
	})
	t.Run("knows_no_value_that_values_yaml_has_not", func(t *testing.T) {
		// Two that Helm itself may hand down.
		known := []string{"global", "enabled"}
		for _, value := range documented(t) {
			key, _, _ := strings.Cut(value.path, ".")
			known = append(known, key)
		}
		for key := range schema["properties"].(map[string]any) {
			if !slices.Contains(known, key) {
				t.Errorf("%s is not in values.yaml", key)
			}
		}
	})
	t.Run("lets_the_chart_be_a_dependency", func(t *testing.T) {
		template(t, "{enabled: true, global: {anything: 1}}")
	})
}
