package chart

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// restarting lets the operator restart workloads.
const restarting = "restartWorkloads: {enabled: true}"

const podTemplate = `template: {metadata: {labels: {app: w}, annotations: {theirs: a, kubectl.kubernetes.io/restartedAt: "2020-01-01T00:00:00Z"}},
  spec: {containers: [{name: c, image: example.com/w}]}}`

// One workload of each kind, which no controller has to run.
const workloadsOfPolicy = `
{apiVersion: apps/v1, kind: Deployment, metadata: {name: w, labels: {a: b}}, spec: {replicas: 0, selector: {matchLabels: {app: w}}, ` + podTemplate + `}}
---
{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: w, labels: {a: b}}, spec: {replicas: 0, serviceName: w, selector: {matchLabels: {app: w}}, ` + podTemplate + `}}
---
{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: w, labels: {a: b}}, spec: {selector: {matchLabels: {app: w}}, ` + podTemplate + `}}
`

// What an operator may and may not change of a workload, as merge patches.
var (
	restarts = []string{
		`{spec: {template: {metadata: {annotations: {kubectl.kubernetes.io/restartedAt: "2026-01-01T00:00:00Z"}}}}}`,
		`{spec: {template: {metadata: {annotations: {kubectl.kubernetes.io/restartedAt: "2026-01-01T00:00:00Z", restarted-for.pguser.dev/u: d}}}}}`,
		`{spec: {template: {metadata: {annotations: {kubectl.kubernetes.io/restartedAt: null}}}}}`,
		`{}`,
	}
	otherChanges = []string{
		`{spec: {template: {metadata: {annotations: {theirs: b}}}}}`,
		`{spec: {template: {metadata: {annotations: {theirs: null}}}}}`,
		`{spec: {template: {metadata: {annotations: null}}}}`,
		`{spec: {template: {metadata: {annotations: {pguser.dev/other: b}}}}}`,
		`{spec: {template: {metadata: {annotations: {kubectl.kubernetes.io/restartedAt: "2026-01-01T00:00:00Z"}, labels: {more: b}}}}}`,
		`{spec: {template: {spec: {containers: [{name: c, image: example.com/other}]}}}}`,
		`{spec: {template: {spec: {serviceAccountName: other}}}}`,
		`{spec: {template: {metadata: {annotations: {kubectl.kubernetes.io/restartedAt: "2026-01-01T00:00:00Z"}}, spec: {hostNetwork: true}}}}`,
		`{spec: {revisionHistoryLimit: 1}}`,
		`{spec: {minReadySeconds: 1}}`,
		`{metadata: {labels: {a: c}}}`,
		`{metadata: {labels: null}}`,
		`{metadata: {annotations: {a: b}}}`,
		`{metadata: {finalizers: [example.com/other]}}`,
		`{metadata: {ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: c, uid: u}]}}`,
	}
)

// restartsAlone tries restarts and other changes as the operator, without effect.
func restartsAlone(t *testing.T, home, in, policy string) {
	t.Helper()
	api := proxy(t)
	account := "system:serviceaccount:" + home + ":" + release
	must(t, workloadsOfPolicy, kubectl, "create", "--namespace", in, "--filename", "-")
	defer must(t, workloadsOfPolicy, kubectl, "delete", "--namespace", in, "--filename", "-")
	// With these rights the policy alone refuses.
	must(t, "", kubectl, "create", "rolebinding", "everything", "--namespace", in, "--clusterrole", "admin", "--user", account)
	defer must(t, "", kubectl, "delete", "rolebinding", "everything", "--namespace", in)
	send := func(method, resource, name, body string) answer {
		return api.send(t, account, method, "/apis/apps/v1/namespaces/"+in+"/"+resource, name, body)
	}
	for patience := time.Now().Add(30 * time.Second); send(http.MethodPatch, "deployments", "w", "{spec: {paused: true}}").code < 300; {
		if time.Now().After(patience) {
			t.Fatal("the policy is not in force")
		}
		time.Sleep(100 * time.Millisecond)
	}
	refused := func(what, resource, name string, got answer) {
		words := fmt.Sprintf("ValidatingAdmissionPolicy '%s' with binding '%s' denied request: %s may not write %s %s/%s: of workloads it changes only",
			policy, policy, account, resource, in, name)
		if got.code != http.StatusForbidden || !strings.Contains(got.message, words) {
			t.Errorf("%s is not refused with\n%s\nbut is answered %d with\n%s", what, words, got.code, got.message)
		}
	}
	for _, document := range strings.Split(workloadsOfPolicy, "---") {
		kind := strings.Split(strings.Split(document, "kind: ")[1], ",")[0]
		resource := strings.ToLower(kind) + "s"
		for _, patch := range restarts {
			if got := send(http.MethodPatch, resource, "w", patch); got.code >= 300 {
				t.Errorf("%s of %s is refused: %s", patch, resource, got.message)
			}
		}
		for _, patch := range otherChanges {
			refused(patch+" of "+resource, resource, "w", send(http.MethodPatch, resource, "w", patch))
		}
		another := strings.Replace(document, "name: w,", "name: another,", 1)
		refused("the creation of "+resource, resource, "another", send(http.MethodPost, resource, "", another))
		refused("the deletion of "+resource, resource, "w", send(http.MethodDelete, resource, "w", ""))
		if got := api.send(t, "", http.MethodPatch, "/apis/apps/v1/namespaces/"+in+"/"+resource, "w", otherChanges[5]); got.code >= 300 {
			t.Errorf("others are held to it: %s", got.message)
		}
	}
}

// mayRestart tells whether the operator has the rights of a restart, and sees to it that it has no more.
func mayRestart(t *testing.T, in string) bool {
	t.Helper()
	for _, resource := range []string{"deployments.apps", "statefulsets.apps", "daemonsets.apps"} {
		for _, verb := range []string{"create", "update", "delete", "watch"} {
			if may(t, verb, resource, in) {
				t.Errorf("%s %s", verb, resource)
			}
		}
	}
	all := true
	for _, resource := range []string{"deployments.apps", "statefulsets.apps", "daemonsets.apps"} {
		for _, verb := range []string{"get", "list", "patch"} {
			all = may(t, verb, resource, in) && all
		}
	}
	return all
}

func TestRestarts(t *testing.T) {
	t.Run("are_off_by_default", func(t *testing.T) {
		for _, it := range template(t, "{}") {
			if strings.HasSuffix(it.name(), "-restarts") || strings.Contains(asYAML(it["rules"]), "deployments") {
				t.Error(it.id())
			}
		}
	})
	t.Run("are_a_right_in_each_watched_namespace_and_nothing_in_the_cluster", func(t *testing.T) {
		var found []string
		for _, it := range template(t, "{watchNamespaces: [shop, web], "+restarting+"}") {
			if strings.HasSuffix(it.name(), "-restarts") {
				found = append(found, it.id())
			}
		}
		same(t, "objects", found, `
- Role shop/pguser-operator-restarts
- Role web/pguser-operator-restarts
- RoleBinding shop/pguser-operator-restarts
- RoleBinding web/pguser-operator-restarts
`)
	})
	t.Run("have_a_policy_of_the_releases_account", func(t *testing.T) {
		all := template(t, "{serviceAccount: {name: db}, "+restarting+"}")
		same(t, "subject", subject(t, all, release+"-restarts"), "system:serviceaccount:pguser-system:db")
		bound := all.get(t, "ValidatingAdmissionPolicyBinding", release+"-restarts")["spec"]
		same(t, "binding", bound, "{policyName: "+release+"-restarts, validationActions: [Deny]}")
	})
	t.Run("leave_rights_and_policy_to_others_where_those_are_left_to_them", func(t *testing.T) {
		for _, it := range template(t, "{rbac: {create: false}, admissionPolicy: {enabled: false}, "+restarting+"}") {
			if strings.HasSuffix(it.name(), "-restarts") {
				t.Error(it.id())
			}
		}
	})
}
