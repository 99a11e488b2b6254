package main

import (
	"archive/tar"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
)

// write writes an image, and its SBOM if there is one, to an OCI archive, and returns the image's digest. The name is there
// twice: skopeo and podman look at the one, containerd at the other, which has to be in full.
func write(image v1.Image, s settings) (v1.Hash, error) {
	folder, err := os.MkdirTemp("", "ociimage.")
	if err != nil {
		return v1.Hash{}, err
	}
	defer os.RemoveAll(folder)
	digest, err := image.Digest()
	if err != nil {
		return v1.Hash{}, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return v1.Hash{}, err
	}
	to, err := layout.Write(folder, empty.Index)
	if err != nil {
		return v1.Hash{}, err
	}
	err = to.AppendImage(image,
		layout.WithPlatform(v1.Platform{OS: config.OS, Architecture: config.Architecture}),
		layout.WithAnnotations(map[string]string{
			"org.opencontainers.image.ref.name": s.name[strings.LastIndex(s.name, ":")+1:],
			"io.containerd.image.name":          inFull(s.name),
		}))
	if err != nil {
		return v1.Hash{}, err
	}
	if s.sbom != "" {
		subject, err := partial.Descriptor(image)
		if err != nil {
			return v1.Hash{}, err
		}
		if err := refer(to, *subject, s.sbom, s.created.UTC().Format(time.RFC3339)); err != nil {
			return v1.Hash{}, err
		}
	}
	return digest, pack(os.DirFS(folder), s.output)
}

// inFull is an image's name as Kubernetes completes it.
func inFull(name string) string {
	first, _, path := strings.Cut(name, "/")
	switch {
	case !path:
		return "docker.io/library/" + name
	case strings.ContainsAny(first, ".:") || first == "localhost":
		return name
	default:
		return "docker.io/" + name
	}
}

// pack writes a folder to a tar archive, in order, and without what differs from one time to the next.
func pack(folder fs.FS, output string) error {
	file, err := os.Create(output)
	if err != nil {
		return err
	}
	defer file.Close()
	archive := tar.NewWriter(file)
	err = fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if entry.IsDir() {
			return addFolder(archive, name, time.Time{})
		}
		content, err := fs.ReadFile(folder, name)
		if err != nil {
			return err
		}
		return addFile(archive, name, 0o644, time.Time{}, content)
	})
	if err != nil {
		return err
	}
	return errors.Join(archive.Close(), file.Close())
}

func addFolder(archive *tar.Writer, name string, modified time.Time) error {
	return archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755, ModTime: modified})
}

func addFile(archive *tar.Writer, name string, mode int64, modified time.Time, content []byte) error {
	header := tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, ModTime: modified, Size: int64(len(content))}
	if err := archive.WriteHeader(&header); err != nil {
		return err
	}
	_, err := archive.Write(content)
	return err
}
