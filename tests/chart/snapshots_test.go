package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// snapshots are sets of values; what is made of each is in snapshots/. The CRDs are left out: another test compares them.
var snapshots = map[string]string{
	"default":    "{}",
	"ha":         ha,
	"namespaced": namespaced,
	"monitored":  monitored,
	"everything": everything,
}

// The values that make of the chart what the overlays make of the base.
const (
	ha         = "{replicas: 2, topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway}]}"
	namespaced = "watchNamespaces: [shop]"
)

const everything = `
fullnameOverride: logins
commonLabels: {team: db}
image: {repository: registry.example.com/pguser-operator, digest: "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", pullPolicy: IfNotPresent}
imagePullSecrets: [{name: registry}]
replicas: 2
clusterResourceNamespace: vault
selector: team=db
allowEndpoints: ["*.example.com:5432"]
extraCA: {configMapName: corporate}
proxy: {https: "http://proxy.example.com:3128", noProxy: .svc}
extraArgs: [--log=debug]
extraEnv: [{name: RUST_BACKTRACE, value: "0"}]
times: {tLive: 3m}
podSecurityContext: {runAsUser: 65532, fsGroup: 65532}
podAnnotations: {a: b}
podLabels: {c: d}
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: infra, operator: Exists, effect: NoSchedule}]
affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, podAffinityTerm: {topologyKey: zone, labelSelector: {matchLabels: {a: b}}}}]}}
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]
priorityClassName: system-cluster-critical
serviceAccount: {annotations: {a: b}}
restartWorkloads: {enabled: true}
metrics: {service: {enabled: true}, dashboard: {enabled: true}}
networkPolicy: {enabled: true, ingressFrom: [{namespaceSelector: {}}], egress: [{ports: [{port: 443, protocol: TCP}]}]}
`

func TestSnapshots(t *testing.T) {
	for name, values := range snapshots {
		t.Run(name, func(t *testing.T) {
			out, all, err := tryTemplate(values+"\n", "--set", "crds.install=false")
			if err != nil {
				t.Fatal(all)
			}
			path := filepath.Join("snapshots", name+".yaml")
			if *update {
				if err := os.WriteFile(path, []byte(out), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			known, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(known) != out {
				at := 0
				wanted, got := strings.Split(string(known), "\n"), strings.Split(out, "\n")
				for at < min(len(wanted), len(got))-1 && wanted[at] == got[at] {
					at++
				}
				t.Errorf("%s:%d has %q, rendered is %q. If that is meant: hack/chart-test --update, and look at the difference",
					path, at+1, wanted[at], got[at])
			}
		})
	}
	t.Run("are_all_of_known_values", func(t *testing.T) {
		files, _ := filepath.Glob("snapshots/*")
		if len(files) != len(snapshots) {
			t.Errorf("%q", files)
		}
	})
}
