package main

import (
	"context"
	"fmt"

	argocd "github.com/argoproj/argo-cd/v3/common"
	"github.com/argoproj/gitops-engine/pkg/diff"
	"github.com/argoproj/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/gitops-engine/pkg/utils/tracing"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// diffVerdict has, of each way in which Argo CD compares, the object that a sync would lead to; absent where that is the
// one that is there.
type diffVerdict struct {
	Name string `json:"name"`
	// Without any option: by kubectl's annotation, where it is there.
	ThreeWay string `json:"threeWay,omitempty"`
	// With the option ServerSideApply=true.
	StructuredMerge string `json:"structuredMerge,omitempty"`
	// With ServerSideDiff=true and IncludeMutationWebhook=true, which overlooks nothing.
	ServerSide string `json:"serverSide,omitempty"`
}

type differ struct {
	config  *rest.Config
	kubectl *kube.KubectlCmd
	parser  *managedfields.GvkParser
	applier diff.KubeApplier
	close   func()
}

func newDiffer(kubeconfig string) (*differ, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	kubectl := &kube.KubectlCmd{Log: logr.Discard(), Tracer: tracing.NopTracer{}}
	schema, parser, err := kubectl.LoadOpenAPISchema(config)
	if err != nil {
		return nil, err
	}
	applier, closeApplier, err := kube.ManageServerSideDiffDryRuns(config, schema, kubectl.Tracer, kubectl.Log, nil)
	if err != nil {
		return nil, err
	}
	return &differ{config, kubectl, parser, applier, closeApplier}, nil
}

func (d *differ) judge(manifest *unstructured.Unstructured) (any, error) {
	live, err := d.kubectl.GetResource(context.Background(), d.config, manifest.GroupVersionKind(), manifest.GetName(), manifest.GetNamespace())
	if err != nil {
		return nil, err
	}
	verdict := diffVerdict{Name: manifest.GetName()}
	for _, way := range []struct {
		name    string
		said    *string
		options []diff.Option
	}{
		{"three-way diff", &verdict.ThreeWay, nil},
		{"structured merge diff", &verdict.StructuredMerge, []diff.Option{diff.WithStructuredMergeDiff(true)}},
		{"server-side diff", &verdict.ServerSide, []diff.Option{
			diff.WithServerSideDiff(true),
			diff.WithServerSideDryRunner(diff.NewK8sServerSideDryRunner(d.applier)),
			diff.WithIgnoreMutationWebhook(false),
		}},
	} {
		options := append(way.options, diff.WithGVKParser(d.parser), diff.WithManager(argocd.ArgoCDSSAManager), diff.WithLogr(logr.Discard()))
		result, err := diff.Diff(manifest.DeepCopy(), live.DeepCopy(), options...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", way.name, err)
		}
		if result.Modified {
			*way.said = string(result.PredictedLive)
		}
	}
	return verdict, nil
}
