package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var digest = "sha256:" + strings.Repeat("a", 64)

func TestReleasedChart(t *testing.T) {
	folder := t.TempDir()
	pack := func(reference string) (string, string, error) {
		return run("", filepath.Join(repository, "hack/release"), "chart", folder, reference)
	}
	t.Run("names_the_image_by_its_digest", func(t *testing.T) {
		out, all, err := pack("r.example.com/team/o@" + digest)
		if err != nil {
			t.Fatal(all)
		}
		packaged := strings.TrimSpace(strings.TrimPrefix(out, "CHART="))
		rendered, all, err := run("", helm, "template", release, packaged, "--namespace", namespace)
		if err != nil {
			t.Fatal(all)
		}
		same(t, "image", parse(t, rendered).container(t)["image"], "r.example.com/team/o@"+digest)
	})
	for _, reference := range []string{"r.example.com/o:1.2.3", "r.example.com/o@sha256:a", "r.example.com/o@"} {
		t.Run("takes_no_"+reference, func(t *testing.T) {
			if out, _, err := pack(reference); err == nil {
				t.Error(out)
			}
		})
	}
}

// released runs hack/release on a copy of what it reads, with a docker that says this, and returns the Dockerfile.
func released(t *testing.T, docker string, arguments ...string) (dockerfile string, err error) {
	t.Helper()
	folder, programs := t.TempDir(), t.TempDir()
	for _, name := range []string{"hack/release", "Dockerfile", "Cargo.toml", "CHANGELOG.md", "charts/pguser-operator/Chart.yaml"} {
		content, err := os.ReadFile(filepath.Join(repository, name))
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), content, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(programs, "docker"), []byte("#!/bin/sh\n"+docker+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", programs+":"+os.Getenv("PATH"))
	_, all, err := run("", filepath.Join(folder, "hack/release"), arguments...)
	t.Log(all)
	written, readError := os.ReadFile(filepath.Join(folder, "Dockerfile"))
	if readError != nil {
		t.Fatal(readError)
	}
	return string(written), err
}

func TestBaseImages(t *testing.T) {
	before, err := os.ReadFile(filepath.Join(repository, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("get_the_digest_that_they_have", func(t *testing.T) {
		after, err := released(t, "echo "+digest, "pin")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(after, "-bookworm@"+digest+" AS build\n") || !strings.Contains(after, "\nFROM scratch\n") {
			t.Error(after)
		}
		if strings.ReplaceAll(after, "@"+digest, "") != string(before) {
			t.Error("something else has changed")
		}
	})
	for name, docker := range map[string]string{
		"cannot_be_resolved":  "exit 1",
		"have_no_digest":      "echo latest",
		"have_half_a_digest":  "echo sha256:abc",
		"have_nothing_to_say": "true",
	} {
		t.Run("stay_as_they_are_if_they_"+name, func(t *testing.T) {
			if after, err := released(t, docker, "pin"); err == nil || after != string(before) {
				t.Errorf("%v: %s", err, after)
			}
		})
	}
}

func TestATagIsTheVersion(t *testing.T) {
	for _, tag := range []string{"v0.0.9", "0.1.0", "v0.1.0-rc.1", ""} {
		if _, err := released(t, "true", "check", tag); err == nil {
			t.Errorf("%q is taken", tag)
		}
	}
}
