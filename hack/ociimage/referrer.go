package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	sbomType  = "application/vnd.cyclonedx+json"
	emptyType = "application/vnd.oci.empty.v1+json"
)

// refer puts an SBOM beside an image, as OCI has it for what refers to another thing: a manifest of its own, which names
// the image as its subject. The image stays what it was.
func refer(to layout.Path, subject v1.Descriptor, file, created string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	config, err := put(to, []byte("{}"), emptyType)
	if err != nil {
		return err
	}
	sbom, err := put(to, content, sbomType)
	if err != nil {
		return err
	}
	annotations := map[string]string{"org.opencontainers.image.created": created}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		ArtifactType:  sbomType,
		Config:        config,
		Layers:        []v1.Descriptor{sbom},
		Subject:       &v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations:   annotations,
	})
	if err != nil {
		return err
	}
	referrer, err := put(to, manifest, types.OCIManifestSchema1)
	if err != nil {
		return err
	}
	referrer.ArtifactType, referrer.Annotations = sbomType, annotations
	return to.AppendDescriptor(referrer)
}

func put(to layout.Path, content []byte, mediaType types.MediaType) (v1.Descriptor, error) {
	digest, size, err := v1.SHA256(bytes.NewReader(content))
	if err != nil {
		return v1.Descriptor{}, err
	}
	blob := io.NopCloser(bytes.NewReader(content))
	return v1.Descriptor{MediaType: mediaType, Digest: digest, Size: size}, to.WriteBlob(digest, blob)
}
