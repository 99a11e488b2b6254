package pods

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/json"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	_ "github.com/CycloneDX/cyclonedx-go" // its schemas are what the SBOM is checked against
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// unpack reads a tar archive: what is in its files, by their names, and the headers of all.
func unpack(t *testing.T, archive io.Reader) (map[string][]byte, []*tar.Header) {
	t.Helper()
	files, headers := map[string][]byte{}, []*tar.Header{}
	for reader := tar.NewReader(archive); ; {
		header, err := reader.Next()
		if err == io.EOF {
			return files, headers
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		headers = append(headers, header)
		if header.Typeflag == tar.TypeReg {
			files[header.Name] = content
		}
	}
}

func parse(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

type descriptor struct {
	Digest      string
	Annotations map[string]string
	Platform    struct{ OS, Architecture string }
}

type imageConfig struct {
	Architecture, OS string
	Config           struct {
		User       string
		Entrypoint []string
		Labels     map[string]string
	}
}

// operatorImage reads the archive of hack/image.
func operatorImage(t *testing.T) (config imageConfig, attached []byte, files map[string][]byte, headers []*tar.Header) {
	t.Helper()
	archive, err := os.ReadFile(operator.archive)
	if err != nil {
		t.Fatal(err)
	}
	blobs, _ := unpack(t, bytes.NewReader(archive))
	blob := func(of descriptor) []byte { return blobs["blobs/"+strings.Replace(of.Digest, ":", "/", 1)] }
	var index struct{ Manifests []descriptor }
	parse(t, blobs["index.json"], &index)
	if len(index.Manifests) != 2 {
		t.Fatalf("%d manifests, and not an image and its SBOM", len(index.Manifests))
	}
	var manifest, referrer struct {
		Config  descriptor
		Layers  []descriptor
		Subject descriptor
	}
	parse(t, blob(index.Manifests[0]), &manifest)
	parse(t, blob(index.Manifests[1]), &referrer)
	parse(t, blob(manifest.Config), &config)
	if len(manifest.Layers) != 1 || len(referrer.Layers) != 1 || referrer.Subject.Digest != index.Manifests[0].Digest {
		t.Fatalf("%d layers, %d SBOMs of %s", len(manifest.Layers), len(referrer.Layers), referrer.Subject.Digest)
	}
	layer, err := gzip.NewReader(bytes.NewReader(blob(manifest.Layers[0])))
	if err != nil {
		t.Fatal(err)
	}
	files, headers = unpack(t, layer)
	return config, blob(referrer.Layers[0]), files, headers
}

func TestImage(t *testing.T) {
	config, attached, files, headers := operatorImage(t)
	t.Run("holds_the_binary_and_the_authorities_and_nothing_else", func(t *testing.T) {
		var names []string
		for _, header := range headers {
			names = append(names, header.Name)
			if header.Uid != 0 || header.Mode&0o022 != 0 {
				t.Errorf("%s is %d's, with mode %o", header.Name, header.Uid, header.Mode)
			}
		}
		expected := []string{"etc/", "etc/ssl/", "etc/ssl/certs/", "etc/ssl/certs/ca-certificates.crt", "pguser-operator"}
		if !slices.Equal(names, expected) {
			t.Error(names)
		}
		if !bytes.Contains(files["etc/ssl/certs/ca-certificates.crt"], []byte("-----BEGIN CERTIFICATE-----")) {
			t.Error("the authorities are none")
		}
	})
	t.Run("its_SBOM_refers_to_it", func(t *testing.T) {
		beside, err := os.ReadFile(sbom)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(attached, beside) {
			t.Error("it is another one than the one beside the archive")
		}
	})
	t.Run("its_binary_is_static", func(t *testing.T) {
		binary, err := elf.NewFile(bytes.NewReader(files["pguser-operator"]))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range binary.Progs {
			if part.Type == elf.PT_INTERP {
				t.Error("it asks for a dynamic linker")
			}
		}
		if libraries, err := binary.ImportedLibraries(); len(libraries) > 0 {
			t.Error(libraries, err)
		}
	})
	t.Run("its_binary_tells_nothing_of_who_built_it", func(t *testing.T) {
		if os.Getenv("PROFILE") == "dev" {
			t.Skip("a debug build is not stripped: its C code names the folders that it was compiled in")
		}
		home, err := os.UserHomeDir()
		if err != nil {
			t.Fatal(err)
		}
		for _, folder := range []string{path.Join(home, ".cargo"), repository(t)} {
			if bytes.Contains(files["pguser-operator"], []byte(folder)) {
				t.Errorf("it names %s", folder)
			}
		}
	})
	t.Run("is_what_the_Dockerfile_makes", func(t *testing.T) {
		build, final, _ := strings.Cut(read(t, "Dockerfile"), "\nFROM scratch\n")
		if user := one(t, final, `USER (\d+:\d+)`); config.Config.User != user {
			t.Errorf("user %s, and not %s", config.Config.User, user)
		}
		if program := one(t, final, `ENTRYPOINT \["(.*)"\]`); !slices.Equal(config.Config.Entrypoint, []string{program}) {
			t.Errorf("it runs %s, and not %s", config.Config.Entrypoint, program)
		}
		labels := config.Config.Labels
		if version := one(t, final, `ARG VERSION=(.*)`); labels["org.opencontainers.image.version"] != version {
			t.Errorf("version %s, and not %s", labels["org.opencontainers.image.version"], version)
		}
		rust := one(t, build, `FROM docker\.io/library/rust:(\d+\.\d+)\.\d+-slim-bookworm AS build`)
		if least := one(t, read(t, "Cargo.toml"), `rust-version = "(.*)"`); rust != least {
			t.Errorf("it is built by Rust %s, and Cargo.toml asks for %s", rust, least)
		}
		for name, script := range map[string]string{"Dockerfile": build, "hack/image": read(t, "hack/image")} {
			if !strings.Contains(script, "binary=$(hack/build-static)") {
				t.Errorf("%s builds the binary otherwise", name)
			}
		}
		for _, label := range regexp.MustCompile(`(org\.opencontainers\.[a-z.]+)="([^"]*)"`).FindAllStringSubmatch(final, -1) {
			if is, found := labels[label[1]]; !found || (is != label[2] && !strings.HasPrefix(label[2], "$")) {
				t.Errorf("label %s is %q, and not %q", label[1], is, label[2])
			}
			delete(labels, label[1])
		}
		if len(labels) > 0 {
			t.Errorf("labels that the Dockerfile does not have: %v", labels)
		}
		for _, copied := range regexp.MustCompile(`(?m)^COPY .* /(\S+)$`).FindAllStringSubmatch(final, -1) {
			if _, found := files[copied[1]]; !found {
				t.Errorf("there is no %s", copied[1])
			}
		}
	})
}

// read reads a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// one is what the group of a pattern matches, on a line of its own.
func one(t *testing.T, text, pattern string) string {
	t.Helper()
	found := regexp.MustCompile("(?m)^" + pattern + "$").FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("there is no %s", pattern)
	}
	return found[1]
}

func repository(t *testing.T) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return path.Dir(path.Dir(folder))
}

// crates are those, with their versions, that the operator is made of: by edges of these kinds.
func crates(t *testing.T, edges string) map[string]bool {
	t.Helper()
	out := must(t, "", "cargo", "tree", "--manifest-path", "../../Cargo.toml", "--locked", "--offline",
		"--package", "pguser-operator", "--edges", edges, "--target", architecture(t)+"-unknown-linux-gnu",
		"--prefix", "none", "--format", "{p}")
	found := map[string]bool{}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		found[fields[0]+" "+strings.TrimPrefix(fields[1], "v")] = true
	}
	return found
}

func architecture(t *testing.T) string {
	t.Helper()
	return must(t, "", "uname", "-m")
}

func TestSBOM(t *testing.T) {
	text, err := os.ReadFile(sbom)
	if err != nil {
		t.Fatal(err)
	}
	var bill struct {
		SpecVersion string
		Components  []struct{ Name, Version string }
	}
	parse(t, text, &bill)
	named := map[string]bool{}
	for _, component := range bill.Components {
		named[component.Name+" "+component.Version] = true
	}
	compiled := crates(t, "normal")
	t.Run("names_every_crate_that_is_compiled_in", func(t *testing.T) {
		for crate := range compiled {
			if !named[crate] && !strings.HasPrefix(crate, "pguser-operator ") {
				t.Errorf("%s is missing", crate)
			}
		}
		if len(compiled) < 200 {
			t.Errorf("only %d crates are compiled in", len(compiled))
		}
	})
	t.Run("names_none_that_only_tests_or_builds_use", func(t *testing.T) {
		others := 0
		for crate := range crates(t, "all") {
			if compiled[crate] {
				continue
			}
			others++
			if named[crate] {
				t.Errorf("%s is there", crate)
			}
		}
		if others == 0 {
			t.Error("there are no such crates")
		}
	})
	t.Run("is_valid_CycloneDX", func(t *testing.T) {
		folder := must(t, "", "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go") + "/schema/"
		compiler := jsonschema.NewCompiler()
		for _, name := range []string{"bom-" + bill.SpecVersion + ".schema.json", "spdx.schema.json", "jsf-0.82.schemax.json"} {
			schema, err := os.Open(folder + name)
			if err != nil {
				t.Fatal(err)
			}
			defer schema.Close()
			content, err := jsonschema.UnmarshalJSON(schema)
			if err != nil {
				t.Fatal(err)
			}
			id := "http://cyclonedx.org/schema/" + strings.Replace(name, "schemax", "schema", 1)
			if err := compiler.AddResource(id, content); err != nil {
				t.Fatal(err)
			}
		}
		schema, err := compiler.Compile("http://cyclonedx.org/schema/bom-" + bill.SpecVersion + ".schema.json")
		if err != nil {
			t.Fatal(err)
		}
		content, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(content); err != nil {
			t.Error(err)
		}
	})
}
