// Writes a container image with nothing in it but the files that are named, as an OCI archive: without a container engine,
// a registry, or root. The same files and settings make the same bytes.
//
//	ociimage --output FILE --name NAME:TAG [--entrypoint PATH] [--user N:N] [--created TIME] [--label K=V]... [--sbom FILE]
//	  [--authorities PATH] PATH=FILE...
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// pairs are arguments of the form KEY=VALUE.
type pairs map[string]string

func (p pairs) String() string { return "" }

func (p pairs) Set(text string) error {
	key, value, found := strings.Cut(text, "=")
	if !found || key == "" {
		return fmt.Errorf("%q is not of the form KEY=VALUE", text)
	}
	p[key] = value
	return nil
}

// settings are what an image is made of.
type settings struct {
	name         string
	output       string
	sbom         string
	authorities  string
	entrypoint   string
	user         string
	architecture string
	created      time.Time
	labels       pairs
	files        pairs
}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "ociimage:", err)
		}
		os.Exit(1)
	}
}

// run says to out what the digest is, and to usage how it is used, if it is not used so.
func run(arguments []string, out, usage io.Writer) error {
	s := settings{labels: pairs{}, files: pairs{}}
	flags := flag.NewFlagSet("ociimage", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&s.output, "output", "", "the archive to write (required)")
	flags.StringVar(&s.sbom, "sbom", "", "an SBOM (CycloneDX, JSON), put beside the image as what refers to it")
	flags.StringVar(&s.authorities, "authorities", "", "where the image has Mozilla's certificate authorities, if anywhere")
	created := flags.String("created", "1970-01-01T00:00:00Z", "when the image says it was made")
	flags.StringVar(&s.name, "name", "", "what it is called where the archive is loaded (required)")
	flags.StringVar(&s.entrypoint, "entrypoint", "", "what a container runs")
	flags.StringVar(&s.user, "user", "65532:65532", "as whom")
	flags.StringVar(&s.architecture, "architecture", runtime.GOARCH, "as Go names it")
	flags.Var(s.labels, "label", "a label, KEY=VALUE; may be repeated")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	for _, argument := range flags.Args() {
		if err := s.files.Set(argument); err != nil {
			return err
		}
	}
	if s.output == "" || s.name == "" || len(s.files) == 0 {
		flags.Usage()
		return flag.ErrHelp
	}
	var err error
	if s.created, err = time.Parse(time.RFC3339, *created); err != nil {
		return fmt.Errorf("--created: %w", err)
	}
	image, err := build(s)
	if err != nil {
		return err
	}
	digest, err := write(image, s)
	if err != nil {
		return fmt.Errorf("writing %s: %w", s.output, err)
	}
	_, err = fmt.Fprintln(out, digest)
	return err
}

// paths are all that the image has, in order.
func (s settings) paths() []string {
	all := maps.Clone(s.files)
	if s.authorities != "" {
		all[s.authorities] = ""
	}
	return slices.Sorted(maps.Keys(all))
}
