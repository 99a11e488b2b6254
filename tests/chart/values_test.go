package chart

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write snapshots and the README's table anew")

// documentedValue is a value with a comment that begins with "-- ".
type documentedValue struct{ path, preset, comment string }

// documented returns the values of values.yaml. What has a comment is one, with all that is in it; what has none must
// be a map of such.
func documented(t *testing.T) []documentedValue {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	var found []documentedValue
	var walk func(prefix string, node *yaml.Node)
	walk = func(prefix string, node *yaml.Node) {
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			path := prefix + key.Value
			_, comment, ok := strings.Cut(key.HeadComment, "# -- ")
			switch {
			case ok:
				comment = strings.ReplaceAll(comment, "\n# ", " ")
				found = append(found, documentedValue{path, inline(t, value), comment})
			case value.Kind == yaml.MappingNode && len(value.Content) > 0:
				walk(path+".", value)
			default:
				t.Errorf("%s has no comment", path)
			}
		}
	}
	walk("", root.Content[0])
	return found
}

func inline(t *testing.T, node *yaml.Node) string {
	t.Helper()
	var value any
	if err := node.Decode(&value); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestValues(t *testing.T) {
	values := documented(t)
	t.Run("are_each_documented", func(t *testing.T) {
		for _, value := range values {
			if !strings.HasSuffix(value.comment, ".") {
				t.Errorf("%s: a comment is a sentence, not %q", value.path, value.comment)
			}
		}
	})
	t.Run("are_listed_in_the_README", func(t *testing.T) {
		const begin, end = "<!-- values: begin -->\n", "<!-- values: end -->"
		table := "| value | default | meaning |\n|---|---|---|\n"
		for _, value := range values {
			table += "| `" + value.path + "` | `" + value.preset + "` | " + value.comment + " |\n"
		}
		path := filepath.Join(chart, "README.md")
		readme, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		head, rest, _ := strings.Cut(string(readme), begin)
		_, tail, ok := strings.Cut(rest, end)
		wanted := head + begin + table + end + tail
		switch {
		case !ok:
			t.Fatal("the README has no table of values")
		case wanted == string(readme):
		case *update:
			if err := os.WriteFile(path, []byte(wanted), 0o644); err != nil {
				t.Fatal(err)
			}
		default:
			t.Error("the README's table is not that of values.yaml: run hack/chart-test --update")
		}
	})
	t.Run("set_every_flag_or_leave_it_to_extraArgs_on_purpose", func(t *testing.T) {
		left := map[string]string{
			"--allow-http":                          "for tests alone",
			"--journal-namespace":                   "the Pod's own, by the environment",
			"--max-list-memory":                     "an eighth of the limit that the chart sets, unless somebody has very many users",
			"--max-users-per-server":                "for whoever has a server with very many users",
			"--requests-per-minute-per-credentials": "for whoever shares credentials between many server objects",
		}
		flags := read(t, "docs/flags.md")
		deployment := read(t, "charts/pguser-operator/templates/deployment.yaml")
		for _, row := range regexp.MustCompile("(?m)^\\| `(--[a-z-]+)`").FindAllStringSubmatch(flags, -1) {
			if _, ok := left[row[1]]; !ok && !regexp.MustCompile(row[1]+`[^a-z-]`).MatchString(deployment) {
				t.Errorf("%s cannot be set", row[1])
			}
		}
		cli := read(t, "src/cli.rs")
		for _, used := range regexp.MustCompile(`--[a-z][a-z-]+`).FindAllString(deployment, -1) {
			if field := strings.ReplaceAll(strings.TrimPrefix(used, "--"), "-", "_"); !strings.Contains(cli, "    "+field+": ") {
				t.Errorf("the operator has no %s", used)
			}
		}
	})
}

// read returns a file of the repository.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
