// What GitOps tools think of objects, by their own code: kstatus, by which Flux waits, and Argo CD's evaluator of health
// and its three ways to tell a difference.
//
//	judge health --argocd-cm FILE      objects from stdin; FILE is Argo CD's ConfigMap, with our Lua in it
//	judge diff --kubeconfig FILE       manifests from stdin, compared with what is in the cluster
//
// Both print a line of JSON for each object.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("usage: judge health --argocd-cm FILE | judge diff --kubeconfig FILE")
	}
	flags := flag.NewFlagSet("judge "+arguments[0], flag.ContinueOnError)
	switch arguments[0] {
	case "health":
		file := flags.String("argocd-cm", "", "Argo CD's ConfigMap, as YAML")
		if err := flags.Parse(arguments[1:]); err != nil {
			return err
		}
		overrides, err := readOverrides(*file)
		if err != nil {
			return err
		}
		return each(func(object *unstructured.Unstructured) (any, error) { return judgeHealth(object, overrides) })
	case "diff":
		file := flags.String("kubeconfig", os.Getenv("KUBECONFIG"), "how to reach the cluster")
		if err := flags.Parse(arguments[1:]); err != nil {
			return err
		}
		differ, err := newDiffer(*file)
		if err != nil {
			return err
		}
		defer differ.close()
		return each(differ.judge)
	default:
		return fmt.Errorf("%q is neither health nor diff", arguments[0])
	}
}

// each prints what is thought of every object in stdin, which holds YAML or JSON documents.
func each(judge func(*unstructured.Unstructured) (any, error)) error {
	decoder := yaml.NewYAMLOrJSONDecoder(os.Stdin, 4096)
	out := json.NewEncoder(os.Stdout)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read an object: %w", err)
		}
		verdict, err := judge(object)
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		if err := out.Encode(verdict); err != nil {
			return err
		}
	}
}
