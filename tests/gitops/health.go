package main

import (
	"fmt"
	"os"
	"strings"

	argo "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/gitops-engine/pkg/health"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kstatus "sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"
)

// healthPrefix begins the keys of argocd-cm that hold Lua; GROUP_KIND follows.
const healthPrefix = "resource.customizations.health."

type healthVerdict struct {
	Kstatus string `json:"kstatus"`
	Argo    string `json:"argo"`
	Message string `json:"message"`
}

// readOverrides reads Argo CD's ConfigMap as Argo CD does.
func readOverrides(file string) (lua.ResourceHealthOverrides, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var configMap corev1.ConfigMap
	if err := yaml.UnmarshalStrict(text, &configMap); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	overrides := lua.ResourceHealthOverrides{}
	for key, script := range configMap.Data {
		if kind, found := strings.CutPrefix(key, healthPrefix); found {
			overrides[strings.Replace(kind, "_", "/", 1)] = argo.ResourceOverride{HealthLua: script}
		}
	}
	if len(overrides) == 0 {
		return nil, fmt.Errorf("%s has no key that begins with %s", file, healthPrefix)
	}
	return overrides, nil
}

func judgeHealth(object *unstructured.Unstructured, overrides lua.ResourceHealthOverrides) (any, error) {
	computed, err := kstatus.Compute(object)
	if err != nil {
		return nil, fmt.Errorf("kstatus: %w", err)
	}
	evaluated, err := health.GetResourceHealth(object, overrides)
	if err != nil {
		return nil, fmt.Errorf("Argo CD: %w", err)
	}
	if evaluated == nil {
		return nil, fmt.Errorf("Argo CD has no opinion: no key %s%s_%s", healthPrefix, object.GroupVersionKind().Group, object.GetKind())
	}
	return healthVerdict{computed.Status.String(), string(evaluated.Status), evaluated.Message}, nil
}
