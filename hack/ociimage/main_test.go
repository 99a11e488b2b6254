package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
