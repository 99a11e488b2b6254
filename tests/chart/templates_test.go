package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestImage(t *testing.T) {
	for name, it := range map[string]struct{ values, want string }{
		"has_the_charts_version_by_default": {"{}", "pguser-operator:0.1.0"},
		"has_repository_and_tag":            {"image: {repository: r.example.com/o, tag: v2}", "r.example.com/o:v2"},
		"has_the_digest_before_the_tag": {"image: {repository: r.example.com/o, tag: v2, digest: 'sha256:" + strings.Repeat("a", 64) + "'}",
			"r.example.com/o@sha256:" + strings.Repeat("a", 64)},
	} {
		t.Run(name, func(t *testing.T) { same(t, "image", template(t, it.values).container(t)["image"], it.want) })
	}
	t.Run("is_pulled_with_policy_and_secrets", func(t *testing.T) {
		all := template(t, "{image: {pullPolicy: Always}, imagePullSecrets: [{name: registry}]}")
		same(t, "imagePullPolicy", all.container(t)["imagePullPolicy"], "Always")
		same(t, "imagePullSecrets", all.pod(t)["imagePullSecrets"], "[{name: registry}]")
	})
}

func TestFlags(t *testing.T) {
	t.Run("are_few_by_default", func(t *testing.T) {
		same(t, "args", template(t, "{}").container(t)["args"], "[run, --leader-elect=true, --lease-name=pguser-operator, '--admin-addr=[::]:8080']")
	})
	for name, it := range map[string]struct{ values, want string }{
		"watch_namespaces":           {"watchNamespaces: [a, b]", "--watch-namespaces=a,b"},
		"cluster_servers_off":        {"clusterServers: false", "--cluster-servers=false"},
		"cluster_resource_namespace": {"clusterResourceNamespace: vault", "--cluster-resource-namespace=vault"},
		"selector":                   {"selector: 'team in (a, b)'", "--selector=team in (a, b)"},
		"allow_insecure_postgresql":  {"allowInsecurePostgresql: true", "--allow-insecure-postgresql"},
		"verify_logins_off":          {"logins: {verify: false}", "--verify-logins=false"},
		"login_timeout":              {"logins: {timeout: 2s}", "--login-timeout=2s"},
		"leader_elect_off":           {"leaderElection: {enabled: false}", "--leader-elect=false"},
		"lease_duration":             {"leaderElection: {leaseDuration: 30s}", "--lease-duration=30s"},
		"t_live":                     {"times: {tLive: 200s}", "--t-live=200s"},
		"write_window":               {"times: {writeWindow: 20s}", "--write-window=20s"},
		"read_lag":                   {"times: {readLag: 6s}", "--read-lag=6s"},
		"state_lag":                  {"times: {stateLag: 2s}", "--state-lag=2s"},
		"gone_after":                 {"times: {goneAfter: 10m}", "--gone-after=10m"},
		"min_refresh_interval":       {"times: {minRefreshInterval: 1m}", "--min-refresh-interval=1m"},
		"min_rotation_interval":      {"times: {minRotationInterval: 24h}", "--min-rotation-interval=24h"},
		"request_timeout":            {"times: {requestTimeout: 20s}", "--request-timeout=20s"},
		"retry_base":                 {"times: {retryBase: 500ms}", "--retry-base=500ms"},
		"retry_cap":                  {"times: {retryCap: 1h}", "--retry-cap=1h"},
		"busy_poll_interval":         {"times: {busyPollInterval: 2s}", "--busy-poll-interval=2s"},
		"log":                        {"log: {level: 'info,kube=warn'}", "--log=info,kube=warn"},
		"log_format":                 {"log: {format: text}", "--log-format=text"},
		"admin_addr":                 {"admin: {address: 0.0.0.0, port: 9000}", "--admin-addr=0.0.0.0:9000"},
	} {
		t.Run(name, func(t *testing.T) {
			if args := template(t, it.values).args(t); !slices.Contains(args, it.want) {
				t.Errorf("%s is not among %q", it.want, args)
			}
		})
	}
	t.Run("allow_endpoint_is_given_once_for_each", func(t *testing.T) {
		args := template(t, `allowEndpoints: ["*.example.com:5432", "10.0.0.0/8:*"]`).args(t)
		same(t, "args", args[4:], `["--allow-endpoint=*.example.com:5432", "--allow-endpoint=10.0.0.0/8:*"]`)
	})
	t.Run("extraArgs_come_last", func(t *testing.T) {
		args := template(t, "{extraArgs: [--allow-http, --log=debug], log: {format: json}}").args(t)
		same(t, "args", args[4:], "[--log-format=json, --allow-http, --log=debug]")
	})
}

func TestEnvironment(t *testing.T) {
	t.Run("has_the_journals_namespace", func(t *testing.T) {
		same(t, "env", template(t, "{}").container(t)["env"],
			"[{name: PGUSER_JOURNAL_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}]")
	})
	t.Run("has_proxy_and_what_else_is_asked_for", func(t *testing.T) {
		all := template(t, `{proxy: {https: "http://proxy:3128", noProxy: ".svc"}, extraEnv: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]}`)
		same(t, "env", all.container(t)["env"].([]any)[1:],
			`[{name: HTTPS_PROXY, value: "http://proxy:3128"}, {name: NO_PROXY, value: .svc}, {name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]`)
	})
	for name, it := range map[string]struct{ values, want string }{
		"has_a_CA_from_a_Secret":    {"extraCA: {secretName: ca, key: corp.pem}", "{name: extra-ca, secret: {secretName: ca, items: [{key: corp.pem, path: ca.crt}]}}"},
		"has_a_CA_from_a_ConfigMap": {"extraCA: {configMapName: ca}", "{name: extra-ca, configMap: {name: ca, items: [{key: ca.crt, path: ca.crt}]}}"},
	} {
		t.Run(name, func(t *testing.T) {
			all := template(t, it.values)
			same(t, "volumes", all.pod(t)["volumes"], "["+it.want+"]")
			same(t, "volumeMounts", all.container(t)["volumeMounts"], "[{name: extra-ca, mountPath: /etc/pguser/extra-ca, readOnly: true}]")
			if args := all.args(t); !slices.Contains(args, "--extra-ca=/etc/pguser/extra-ca/ca.crt") {
				t.Errorf("%q", args)
			}
		})
	}
}

func TestPod(t *testing.T) {
	t.Run("is_restricted_and_leaves_the_user_to_the_cluster", func(t *testing.T) {
		all := template(t, "{}")
		same(t, "of the Pod", all.pod(t)["securityContext"], "{runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}")
		same(t, "of the container", all.container(t)["securityContext"],
			"{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}")
	})
	t.Run("runs_as_the_user_that_is_asked_for", func(t *testing.T) {
		all := template(t, "podSecurityContext: {runAsUser: 65532}")
		same(t, "runAsUser", all.pod(t).at("securityContext", "runAsUser"), "65532")
		same(t, "runAsNonRoot", all.pod(t).at("securityContext", "runAsNonRoot"), "true")
	})
	t.Run("is_placed_as_asked", func(t *testing.T) {
		placement := `
nodeSelector: {disk: fast}
tolerations: [{key: infra, operator: Exists}]
affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [a]}]}]}}}
priorityClassName: system-cluster-critical
terminationGracePeriodSeconds: 90
`
		pod := template(t, placement).pod(t)
		placed := map[string]any{}
		for _, key := range []string{"nodeSelector", "tolerations", "affinity", "priorityClassName", "terminationGracePeriodSeconds"} {
			placed[key] = pod[key]
		}
		same(t, "placement", placed, placement)
	})
	t.Run("is_spread_by_its_own_labels_unless_others_are_named", func(t *testing.T) {
		one := "maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule"
		pod := template(t, "topologySpreadConstraints: [{"+one+"}, {"+one+", labelSelector: {matchLabels: {a: b}}}]").pod(t)
		same(t, "topologySpreadConstraints", pod["topologySpreadConstraints"],
			"[{"+one+", labelSelector: {matchLabels: {app.kubernetes.io/name: pguser-operator, app.kubernetes.io/instance: pguser-operator}}}, {"+
				one+", labelSelector: {matchLabels: {a: b}}}]")
	})
	t.Run("asks_for_resources_and_is_probed_as_told", func(t *testing.T) {
		c := template(t, `{resources: {requests: {cpu: 1}, limits: {memory: 1Gi}}, livenessProbe: {failureThreshold: 9}}`).container(t)
		same(t, "resources", c["resources"], `{requests: {cpu: 1, memory: 64Mi}, limits: {memory: 1Gi}}`)
		same(t, "livenessProbe", c["livenessProbe"], "{httpGet: {path: /livez, port: metrics}, periodSeconds: 20, timeoutSeconds: 5, failureThreshold: 9}")
		same(t, "readinessProbe", c["readinessProbe"], "{httpGet: {path: /readyz, port: metrics}, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 3}")
	})
	t.Run("and_its_Deployment_have_the_labels_and_annotations_asked_for", func(t *testing.T) {
		d := template(t, "{podLabels: {a: b}, podAnnotations: {c: d}, deploymentAnnotations: {e: f}, commonLabels: {g: h}}").deployment(t)
		same(t, "label", d.at("spec", "template", "metadata", "labels", "a"), "b")
		same(t, "annotations", d.at("spec", "template", "metadata", "annotations"), "{c: d}")
		same(t, "annotations", d.at("metadata", "annotations"), "{e: f}")
		same(t, "label", d.at("metadata", "labels", "g"), "h")
		same(t, "selector", d.at("spec", "selector", "matchLabels", "g"), "null")
	})
}

func TestReplicas(t *testing.T) {
	t.Run("one_is_recreated_and_has_no_disruption_budget", func(t *testing.T) {
		all := template(t, "{}")
		same(t, "strategy", all.deployment(t).at("spec", "strategy"), "{type: Recreate}")
		if all.has("PodDisruptionBudget") {
			t.Error("a PodDisruptionBudget of one replica only blocks the draining of nodes")
		}
	})
	t.Run("several_roll_and_have_a_disruption_budget", func(t *testing.T) {
		all := template(t, "replicas: 3")
		same(t, "strategy", all.deployment(t).at("spec", "strategy"), "{type: RollingUpdate}")
		same(t, "budget", all.get(t, "PodDisruptionBudget", release).at("spec", "maxUnavailable"), "1")
	})
	t.Run("several_may_do_without_a_disruption_budget", func(t *testing.T) {
		if template(t, "{replicas: 2, podDisruptionBudget: {enabled: false}}").has("PodDisruptionBudget") {
			t.Error("there is one")
		}
	})
	t.Run("are_updated_as_asked", func(t *testing.T) {
		strategy := "{type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 50%}}"
		same(t, "strategy", template(t, "strategy: "+strategy).deployment(t).at("spec", "strategy"), strategy)
	})
}

func TestRights(t *testing.T) {
	t.Run("are_a_role_in_each_watched_namespace_and_nothing_in_the_cluster", func(t *testing.T) {
		all := template(t, "{watchNamespaces: [shop, web], userRoles: {aggregate: false, serviceBinding: false}}")
		var roles []string
		for _, it := range all {
			if strings.HasSuffix(it.kind(), "Role") || strings.HasSuffix(it.kind(), "Binding") {
				roles = append(roles, it.id())
			}
		}
		slices.Sort(roles)
		same(t, "roles", roles, `
- Role pguser-system/pguser-operator
- Role shop/pguser-operator-watched
- Role web/pguser-operator-watched
- RoleBinding pguser-system/pguser-operator
- RoleBinding shop/pguser-operator-watched
- RoleBinding web/pguser-operator-watched
`)
		for _, it := range all {
			if it.kind() != "Role" {
				continue
			}
			if text := asYAML(it["rules"]); strings.Contains(text, "clusterpostgresservers") {
				t.Errorf("%s: %s", it.id(), text)
			}
		}
	})
	t.Run("do_not_reach_ClusterPostgresServers_that_are_not_looked_after", func(t *testing.T) {
		text := asYAML(template(t, "clusterServers: false").get(t, "ClusterRole", release)["rules"])
		if strings.Contains(text, "clusterpostgresservers") {
			t.Error(text)
		}
	})
	t.Run("do_not_reach_Leases_where_nobody_stands_for_election", func(t *testing.T) {
		text := asYAML(template(t, "leaderElection: {enabled: false}").get(t, "Role", release)["rules"])
		if strings.Contains(text, "leases") {
			t.Error(text)
		}
	})
	t.Run("can_be_left_to_others", func(t *testing.T) {
		all := template(t, "{rbac: {create: false}, userRoles: {aggregate: false, serviceBinding: false}}")
		if all.has("Role") || all.has("ClusterRole") || all.has("RoleBinding") || all.has("ClusterRoleBinding") {
			t.Error(all.ids())
		}
	})
	t.Run("of_users_can_be_left_out_one_by_one", func(t *testing.T) {
		one := template(t, "userRoles: {aggregate: false}").ids()
		if slices.Contains(one, "ClusterRole /pguser-edit") || !slices.Contains(one, "ClusterRole /pguser-service-binding") {
			t.Error(one)
		}
		other := template(t, "userRoles: {serviceBinding: false}").ids()
		if !slices.Contains(other, "ClusterRole /pguser-edit") || slices.Contains(other, "ClusterRole /pguser-service-binding") {
			t.Error(other)
		}
	})
	for name, it := range map[string]struct{ values, want string }{
		"go_to_an_account_with_the_releases_name":  {"{}", release},
		"go_to_an_account_with_a_name_of_its_own":  {"serviceAccount: {name: db}", "db"},
		"go_to_an_account_that_somebody_else_made": {"serviceAccount: {create: false, name: theirs}", "theirs"},
	} {
		t.Run(name, func(t *testing.T) {
			all := template(t, it.values)
			same(t, "serviceAccountName", all.pod(t)["serviceAccountName"], it.want)
			for _, kind := range []string{"RoleBinding", "ClusterRoleBinding"} {
				same(t, kind, all.get(t, kind, release)["subjects"], "[{kind: ServiceAccount, name: "+it.want+", namespace: pguser-system}]")
			}
			same(t, "the policy's subject", subject(t, all, release), "system:serviceaccount:pguser-system:"+it.want)
			if all.has("ServiceAccount") == (it.want == "theirs") {
				t.Error(all.ids())
			}
		})
	}
	t.Run("of_the_account_can_be_annotated", func(t *testing.T) {
		all := template(t, "serviceAccount: {annotations: {a: b}}")
		same(t, "annotations", all.get(t, "ServiceAccount", release).at("metadata", "annotations"), "{a: b}")
	})
}

func TestAdmissionPolicy(t *testing.T) {
	t.Run("is_of_the_namespace_that_the_release_is_in", func(t *testing.T) {
		out, all, err := tryTemplate("{}", "--namespace", "logins")
		if err != nil {
			t.Fatal(all)
		}
		same(t, "subject", subject(t, parse(t, out), release), "system:serviceaccount:logins:"+release)
	})
	t.Run("fails_closed_and_is_bound", func(t *testing.T) {
		all := template(t, "fullnameOverride: logins")
		same(t, "failurePolicy", all.get(t, "ValidatingAdmissionPolicy", "logins").at("spec", "failurePolicy"), "Fail")
		same(t, "binding", all.get(t, "ValidatingAdmissionPolicyBinding", "logins")["spec"], "{policyName: logins, validationActions: [Deny]}")
	})
	for name, values := range map[string]string{
		"can_be_left_out": "admissionPolicy: {enabled: false}",
		"is_left_out_where_the_rights_are_not_the_clusters": namespaced,
	} {
		t.Run(name, func(t *testing.T) {
			all := template(t, values)
			if all.has("ValidatingAdmissionPolicy") || all.has("ValidatingAdmissionPolicyBinding") {
				t.Error(all.ids())
			}
		})
	}
}

func TestCRDs(t *testing.T) {
	t.Run("are_those_of_the_repository", func(t *testing.T) {
		files, err := filepath.Glob(filepath.Join(repository, "crds/*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatal("no CRDs", err)
		}
		all := template(t, "{}")
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if copied := read(t, "charts/pguser-operator/files/crds/"+filepath.Base(file)); copied != string(text) {
				t.Errorf("%s is not what the chart has: run make generate", filepath.Base(file))
			}
			crd := parse(t, string(text))[0]
			same(t, crd.name(), all.get(t, crd.kind(), crd.name()), string(text))
		}
		copies, err := filepath.Glob(filepath.Join(chart, "files/crds/*"))
		if err != nil || len(copies) != len(files) {
			t.Errorf("the chart has %d CRDs, the repository %d", len(copies), len(files))
		}
	})
	t.Run("can_be_left_to_others", func(t *testing.T) {
		if template(t, "crds: {install: false}").has("CustomResourceDefinition") {
			t.Error("there are some")
		}
	})
}

func TestNames(t *testing.T) {
	for name, it := range map[string]struct{ values, want string }{
		"follow_nameOverride":     {"nameOverride: logins", release + "-logins"},
		"follow_fullnameOverride": {"fullnameOverride: logins", "logins"},
	} {
		t.Run(name, func(t *testing.T) {
			all := template(t, it.values)
			for _, kind := range []string{"Deployment", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"} {
				all.get(t, kind, it.want)
			}
		})
	}
}

const monitored = `
metrics:
  service: {port: 9090, annotations: {a: b}}
  serviceMonitor: {enabled: true, labels: {team: db}, interval: 1m, scrapeTimeout: 10s}
  prometheusRule: {enabled: true, labels: {team: db}}
  dashboard: {enabled: true, annotations: {folder: db}}
`

func TestMonitoring(t *testing.T) {
	t.Run("is_off_by_default", func(t *testing.T) {
		all := template(t, "{}")
		for _, kind := range []string{"Service", "ServiceMonitor", "PrometheusRule", "ConfigMap", "NetworkPolicy"} {
			if all.has(kind) {
				t.Error(kind)
			}
		}
	})
	t.Run("may_be_a_Service_alone", func(t *testing.T) {
		all := template(t, "metrics: {service: {enabled: true}}")
		if !all.has("Service") || all.has("ServiceMonitor") {
			t.Error(all.ids())
		}
	})
	all := template(t, monitored)
	t.Run("finds_the_Service_that_finds_the_Pods", func(t *testing.T) {
		service := all.get(t, "Service", release+"-metrics")
		same(t, "ports", service.at("spec", "ports"), "[{name: metrics, port: 9090, targetPort: metrics}]")
		same(t, "annotations", service.at("metadata", "annotations"), "{a: b}")
		same(t, "selector", service.at("spec", "selector"), asYAML(all.deployment(t).at("spec", "selector", "matchLabels")))
		same(t, "container ports", all.container(t)["ports"], "[{name: metrics, containerPort: 8080}]")
		monitor := all.get(t, "ServiceMonitor", release)
		same(t, "endpoints", monitor.at("spec", "endpoints"), "[{port: metrics, path: /metrics, interval: 1m, scrapeTimeout: 10s}]")
		same(t, "label", monitor.at("metadata", "labels", "team"), "db")
		for label, value := range monitor.at("spec", "selector", "matchLabels").(map[string]any) {
			same(t, label, service.at("metadata", "labels", label), value.(string))
		}
	})
	t.Run("asks_for_metrics_labels_and_values_that_are_documented", func(t *testing.T) {
		page := read(t, "docs/metrics.md") // which is compared with a running operator elsewhere
		var expressions []string
		for _, rule := range all.get(t, "PrometheusRule", release).at("spec", "groups", 0, "rules").([]any) {
			expressions = append(expressions, rule.(map[string]any)["expr"].(string))
		}
		for _, panel := range readJSON(t, "files/dashboard.json")["panels"].([]any) {
			for _, target := range panel.(map[string]any)["targets"].([]any) {
				expressions = append(expressions, target.(map[string]any)["expr"].(string))
			}
		}
		if len(expressions) < 25 {
			t.Errorf("only %d expressions", len(expressions))
		}
		for _, expression := range expressions {
			selectors := regexp.MustCompile(`(pguser_[a-z_]+)\{([^}]*)\}`).FindAllStringSubmatch(expression, -1)
			if len(selectors) == 0 {
				t.Errorf("no metric in %s", expression)
			}
			for _, selector := range selectors {
				name := strings.TrimSuffix(selector[1], "_bucket")
				row := regexp.MustCompile("(?m)^\\| `" + name + "` \\| [a-z]+ \\|([^|]*)\\|").FindStringSubmatch(page)
				if row == nil {
					t.Errorf("no metric %s is documented", name)
					continue
				}
				for _, matcher := range regexp.MustCompile(`([a-z_]+)(?:=~|!=|=)"([^"]*)"`).FindAllStringSubmatch(selector[2], -1) {
					label, values := matcher[1], matcher[2]
					if label == "namespace" || label == "service" {
						continue // the ServiceMonitor gives them
					}
					if !strings.Contains(row[1], "`"+label+"`") {
						t.Errorf("%s has no label %s", name, label)
					}
					for value := range strings.SplitSeq(values, "|") {
						if !strings.Contains(page, "`"+value+"`") {
							t.Errorf("no value %s of the label %s is documented", value, label)
						}
					}
				}
			}
			for _, by := range regexp.MustCompile(`(?:by|on) \(([a-z_, ]+)\)`).FindAllStringSubmatch(expression, -1) {
				for label := range strings.SplitSeq(by[1], ", ") {
					if label != "le" && !strings.Contains(page, "`"+label+"`") {
						t.Errorf("no metric has a label %s", label)
					}
				}
			}
		}
	})
	t.Run("has_alerts_that_fill_in_their_labels", func(t *testing.T) {
		var rules string
		for _, rule := range all.get(t, "PrometheusRule", release).at("spec", "groups", 0, "rules").([]any) {
			rules += object(rule.(map[string]any)).at("annotations", "description").(string) + rule.(map[string]any)["expr"].(string)
		}
		for _, wanted := range []string{"{{ $value }}", "{{ $labels.reason }}", `service="pguser-operator-metrics"`, `namespace="pguser-system"`} {
			if !strings.Contains(rules, wanted) {
				t.Errorf("no %s in %s", wanted, rules)
			}
		}
	})
	t.Run("has_a_dashboard_that_is_JSON", func(t *testing.T) {
		dashboard := all.get(t, "ConfigMap", release+"-dashboard")
		same(t, "label", dashboard.at("metadata", "labels", "grafana_dashboard"), `"1"`)
		same(t, "annotations", dashboard.at("metadata", "annotations"), "{folder: db}")
		var parsed map[string]any
		if err := json.Unmarshal([]byte(dashboard.at("data", "pguser-operator.json").(string)), &parsed); err != nil {
			t.Error(err)
		}
	})
}

func TestNetworkPolicy(t *testing.T) {
	t.Run("lets_in_to_the_port_of_probes_and_metrics_alone", func(t *testing.T) {
		policy := template(t, "networkPolicy: {enabled: true}").get(t, "NetworkPolicy", release)
		same(t, "types", policy.at("spec", "policyTypes"), "[Ingress]")
		same(t, "ingress", policy.at("spec", "ingress"), "[{ports: [{port: metrics}]}]")
	})
	t.Run("lets_out_to_DNS_and_to_what_is_named", func(t *testing.T) {
		policy := template(t, `
networkPolicy:
  enabled: true
  ingressFrom: [{namespaceSelector: {matchLabels: {a: b}}}]
  egress: [{to: [{ipBlock: {cidr: 10.0.0.1/32}}], ports: [{port: 443}]}]
`).get(t, "NetworkPolicy", release)
		same(t, "types", policy.at("spec", "policyTypes"), "[Ingress, Egress]")
		same(t, "from", policy.at("spec", "ingress", 0, "from"), "[{namespaceSelector: {matchLabels: {a: b}}}]")
		same(t, "egress", policy.at("spec", "egress"), `
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
- {to: [{ipBlock: {cidr: 10.0.0.1/32}}], ports: [{port: 443}]}
`)
	})
}

func notes(t *testing.T, values string) string {
	t.Helper()
	_, all, err := run(values, helm, "install", release, chart, "--namespace", namespace, "--values", "-", "--dry-run=client")
	if err != nil {
		t.Fatal(all)
	}
	_, text, _ := strings.Cut(all, "\nNOTES:\n")
	return text
}

func TestNotes(t *testing.T) {
	for name, it := range map[string]struct{ values, says string }{
		"tell_the_next_step":                           {"{}", "kind: PostgresServer"},
		"tell_that_the_image_is_a_placeholder":         {"{}", "image.repository is the placeholder"},
		"tell_that_databases_have_to_be_allowed":       {"{}", "allowEndpoints"},
		"tell_why_ClusterPostgresServers_are_off":      {"watchNamespaces: [web]", "can only be watched with rights for the whole cluster"},
		"tell_the_next_step_in_a_watched_namespace":    {"watchNamespaces: [web]", "kubectl apply --namespace web"},
		"tell_that_ClusterPostgresServers_are_off":     {"clusterServers: false", "clusterServers is false"},
		"tell_who_installs_the_CRDs":                   {"crds: {install: false}", "yours to install"},
		"tell_that_rights_have_to_come_from_elsewhere": {"rbac: {create: false}", "rbac.create is false"},
	} {
		t.Run(name, func(t *testing.T) {
			if text := notes(t, it.values); !strings.Contains(text, it.says) {
				t.Errorf("%q is not in\n%s", it.says, text)
			}
		})
	}
	t.Run("are_silent_about_what_is_done", func(t *testing.T) {
		text := notes(t, `{image: {repository: r.example.com/o}, allowEndpoints: ["*:5432"]}`)
		if strings.Contains(text, "placeholder") || strings.Contains(text, "allowEndpoints") {
			t.Error(text)
		}
	})
}
