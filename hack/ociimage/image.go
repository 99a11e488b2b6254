package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// build makes an image with one layer.
func build(s settings) (v1.Image, error) {
	content, err := layer(s)
	if err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	compressed, err := tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.Append(image, mutate.Addendum{
		Layer:   compressed,
		History: v1.History{Created: v1.Time{Time: s.created}, CreatedBy: "COPY " + strings.Join(s.paths(), " ")},
	})
	if err != nil {
		return nil, err
	}
	config := v1.ConfigFile{Architecture: s.architecture, OS: "linux", Created: v1.Time{Time: s.created}}
	made, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config.RootFS, config.History = made.RootFS, made.History
	config.Config = v1.Config{User: s.user, Labels: s.labels, WorkingDir: "/"}
	if s.entrypoint != "" {
		config.Config.Entrypoint = []string{s.entrypoint}
	}
	return mutate.ConfigFile(image, &config)
}

// layer is a tar archive of the files, and of the folders that they are in. All are root's, whom no container is.
func layer(s settings) ([]byte, error) {
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	folders := map[string]bool{".": true}
	for _, name := range s.paths() {
		inside := strings.TrimPrefix(path.Clean("/"+name), "/")
		if err := addFolders(archive, s, path.Dir(inside), folders); err != nil {
			return nil, err
		}
		content, mode, err := s.content(name)
		if err != nil {
			return nil, err
		}
		if err := addFile(archive, inside, mode, s.created, content); err != nil {
			return nil, err
		}
	}
	// Closing it writes its end.
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func addFolders(archive *tar.Writer, s settings, folder string, have map[string]bool) error {
	if have[folder] {
		return nil
	}
	have[folder] = true
	if err := addFolders(archive, s, path.Dir(folder), have); err != nil {
		return err
	}
	return addFolder(archive, folder, s.created)
}

// content is what a file of the image holds, and its mode: that of a program or that of a text.
func (s settings) content(name string) ([]byte, int64, error) {
	if name == s.authorities {
		content, err := authorities(bundle.Roots())
		return content, 0o644, err
	}
	info, err := os.Stat(s.files[name])
	if err != nil {
		return nil, 0, err
	}
	content, err := os.ReadFile(s.files[name])
	if info.Mode()&0o111 != 0 {
		return content, 0o755, err
	}
	return content, 0o644, err
}
