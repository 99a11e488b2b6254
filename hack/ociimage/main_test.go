package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// archive writes one with a program and a text, and returns its bytes.
func archive(t *testing.T, content string, more ...string) []byte {
	t.Helper()
	folder := t.TempDir()
	program, text, output := filepath.Join(folder, "a"), filepath.Join(folder, "b"), filepath.Join(folder, "out.tar")
	for file, mode := range map[string]os.FileMode{program: 0o700, text: 0o600} {
		if err := os.WriteFile(file, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	arguments := append([]string{"--output", output, "--name", "localhost/it:1"}, more...)
	arguments = append(arguments, "/bin/program="+program, "/etc/text="+text)
	if err := run(arguments, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	return written
}

func TestTheSameMakesTheSame(t *testing.T) {
	first := archive(t, "content")
	time.Sleep(1100 * time.Millisecond) // the resolution of times in an archive is a second
	if !bytes.Equal(first, archive(t, "content")) {
		t.Error("the same files make another archive later, elsewhere")
	}
	if bytes.Equal(first, archive(t, "another content")) || bytes.Equal(first, archive(t, "content", "--label", "a=b")) {
		t.Error("other files or labels make the same archive")
	}
}

// containerd reads an archive without an end, others refuse it.
func TestTheLayerHasAnEnd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	content, err := layer(settings{files: pairs{"/file": file}})
	if err != nil {
		t.Fatal(err)
	}
	if end := make([]byte, 1024); len(content)%512 != 0 || !bytes.HasSuffix(content, end) {
		t.Errorf("%d bytes, ending in %q", len(content), content[max(0, len(content)-8):])
	}
}

func TestNamesAreCompletedAsKubernetesDoes(t *testing.T) {
	for name, full := range map[string]string{
		"operator:1":                      "docker.io/library/operator:1",
		"team/operator:1":                 "docker.io/team/operator:1",
		"localhost/operator:1":            "localhost/operator:1",
		"registry.example.com/operator:1": "registry.example.com/operator:1",
		"registry:5000/team/operator:1":   "registry:5000/team/operator:1",
	} {
		if is := inFull(name); is != full {
			t.Errorf("%s is %s, and not %s", name, is, full)
		}
	}
}

func TestWhatCannotBeMeantIsRefused(t *testing.T) {
	for _, arguments := range [][]string{
		{"--output", "x", "--name", "it:1"},
		{"--output", "x", "--name", "it:1", "/no-file"},
		{"--output", "x", "--name", "it:1", "--created", "yesterday", "/a=/b"},
		{"--output", "x", "--name", "it:1", "--label", "=b", "/a=/b"},
	} {
		if run(arguments, io.Discard, io.Discard) == nil {
			t.Errorf("taken: %s", strings.Join(arguments, " "))
		}
	}
}

// layoutOf is what an archive holds, by name, and its index.
func layoutOf(t *testing.T, archive []byte) (files map[string][]byte, index v1.IndexManifest) {
	t.Helper()
	files = map[string][]byte{}
	reader := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			files[header.Name], err = io.ReadAll(reader)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	parse(t, files["index.json"], &index)
	return files, index
}

func parse(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func TestAnSBOMRefersToTheImage(t *testing.T) {
	sbom := filepath.Join(t.TempDir(), "sbom.json")
	if err := os.WriteFile(sbom, []byte(`{"bomFormat":"CycloneDX"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	files, index := layoutOf(t, archive(t, "content", "--sbom", sbom, "--created", "2026-01-02T03:04:05Z"))
	_, without := layoutOf(t, archive(t, "content", "--created", "2026-01-02T03:04:05Z"))
	if len(index.Manifests) != 2 || len(without.Manifests) != 1 {
		t.Fatalf("%d manifests, and %d without it", len(index.Manifests), len(without.Manifests))
	}
	image, referrer := index.Manifests[0], index.Manifests[1]
	if image.Digest != without.Manifests[0].Digest {
		t.Error("the image is another one with it")
	}
	if referrer.ArtifactType != sbomType || referrer.Platform != nil || referrer.Annotations["io.containerd.image.name"] != "" {
		t.Errorf("it is taken for an image: %+v", referrer)
	}
	blob := func(of v1.Descriptor) []byte {
		content := files["blobs/sha256/"+of.Digest.Hex]
		digest, size, err := v1.SHA256(bytes.NewReader(content))
		if err != nil || digest != of.Digest || size != of.Size {
			t.Fatalf("%s is not what it is called", of.Digest)
		}
		return content
	}
	var manifest v1.Manifest
	parse(t, blob(referrer), &manifest)
	if manifest.Subject == nil || manifest.Subject.Digest != image.Digest || manifest.Subject.Size != image.Size ||
		manifest.Subject.MediaType != image.MediaType {
		t.Errorf("it refers to %+v, and not to %+v", manifest.Subject, image)
	}
	if manifest.ArtifactType != sbomType || manifest.Annotations["org.opencontainers.image.created"] != "2026-01-02T03:04:05Z" {
		t.Errorf("%+v", manifest)
	}
	if len(manifest.Layers) != 1 || manifest.Layers[0].MediaType != sbomType || string(blob(manifest.Config)) != "{}" {
		t.Fatalf("%+v", manifest)
	}
	if content := blob(manifest.Layers[0]); string(content) != `{"bomFormat":"CycloneDX"}` {
		t.Errorf("%s", content)
	}
}

func TestTheAuthoritiesAreMozillas(t *testing.T) {
	text, err := authorities(bundle.Roots())
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		count++
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil || !certificate.IsCA {
			t.Errorf("number %d is none: %v", count, err)
		}
	}
	if count < 100 {
		t.Errorf("%d authorities", count)
	}
}

func TestAnAuthorityThatIsTrustedWithReservationsIsLeftOut(t *testing.T) {
	free := bundle.Root{Certificate: []byte("free")}
	bound := bundle.Root{Certificate: []byte("bound"), Constraint: func([]*x509.Certificate) error { return nil }}
	text, err := authorities(slices.Values([]bundle.Root{bound, free}))
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(text)
	if block == nil || string(block.Bytes) != "free" || len(rest) > 0 {
		t.Errorf("%s", text)
	}
	if _, err := authorities(slices.Values([]bundle.Root{bound})); err == nil {
		t.Error("an image without any would trust nobody, and was made")
	}
}

func TestTheAuthoritiesAreWhereTheyAreAskedFor(t *testing.T) {
	asked := settings{files: pairs{}, authorities: "/etc/ssl/certs/ca-certificates.crt"}
	content, err := layer(asked)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for reader := tar.NewReader(bytes.NewReader(content)); ; {
		header, err := reader.Next()
		if err != nil {
			break
		}
		names = append(names, header.Name)
		if header.Typeflag == tar.TypeReg && header.Mode != 0o644 {
			t.Errorf("%s has the mode %o", header.Name, header.Mode)
		}
	}
	if want := []string{"etc/", "etc/ssl/", "etc/ssl/certs/", "etc/ssl/certs/ca-certificates.crt"}; !slices.Equal(names, want) {
		t.Error(names)
	}
}
