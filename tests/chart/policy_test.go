package chart

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// Secrets that are there before the operator writes, in its own namespace and in another.
const secretsOfPolicy = `
{apiVersion: v1, kind: Secret, metadata: {name: foreign}, data: {a: YQ==}}
---
{apiVersion: v1, kind: Secret, metadata: {name: held, finalizers: [pguser.dev/credentials-in-use]}, data: {a: YQ==}}
---
{apiVersion: v1, kind: Secret, metadata: {name: foreign-binding}, type: servicebinding.io/postgresql, data: {a: YQ==}}
---
{apiVersion: v1, kind: Secret, metadata: {name: foreign-label, labels: {app.kubernetes.io/managed-by: pguser-operator}}, data: {a: YQ==}}
---
{apiVersion: v1, kind: Secret, metadata: {name: foreign-token, annotations: {kubernetes.io/service-account.name: default}},
  type: kubernetes.io/service-account-token}
---
{apiVersion: v1, kind: Secret, metadata: {name: marked-token, annotations: {kubernetes.io/service-account.name: default, pguser.dev/user-uid: u}},
  type: kubernetes.io/service-account-token}
---
{apiVersion: v1, kind: Secret, metadata: {name: output, labels: {app.kubernetes.io/managed-by: pguser-operator}, annotations: {pguser.dev/user-uid: u}},
  type: servicebinding.io/postgresql, data: {a: YQ==}}
---
{apiVersion: v1, kind: Secret, metadata: {name: output-without-label, annotations: {pguser.dev/user-uid: u}},
  type: servicebinding.io/postgresql, data: {a: YQ==}}
---
{apiVersion: v1, kind: Secret, metadata: {name: output-of-other-type, annotations: {pguser.dev/user-uid: u}}, data: {a: YQ==}}
---
{apiVersion: v1, kind: Secret, metadata: {name: pguser-operator-key}, data: {a: YQ==}}
---
{apiVersion: v1, kind: Secret, metadata: {name: pguser-journal-1}, data: {a: YQ==}}
---
{apiVersion: v1, kind: Secret, metadata: {name: pguser-credentials-1}, data: {a: YQ==}}
---
{apiVersion: v1, kind: Secret, metadata: {name: pguser-journal-token, annotations: {kubernetes.io/service-account.name: default}},
  type: kubernetes.io/service-account-token}
`

// Why the operator is refused. Each is in the policy.
const (
	allowed   = ""
	noTokens  = "it writes no tokens of ServiceAccounts"
	noCreate  = "it creates only Secrets of the type servicebinding.io/postgresql"
	noChange  = "it changes only Secrets that it has made"
	noDelete  = "it deletes only Secrets that it has made"
	ourLabel  = "labels: {app.kubernetes.io/managed-by: pguser-operator}"
	ourMark   = "annotations: {pguser.dev/user-uid: u}"
	ourHold   = "pguser.dev/credentials-in-use"
	newData   = "data: {a: Yg==}"
	binding   = "type: servicebinding.io/postgresql"
	tokenType = "type: kubernetes.io/service-account-token"
	ofAccount = "kubernetes.io/service-account.name: default"
)

// secretWrite is one request for a Secret, with its body in YAML.
type secretWrite struct {
	method, name, body string
	// What comes of it in the operator's own namespace, and in any other.
	home, elsewhere string
}

func creates(name, metadata, body, home, elsewhere string) secretWrite {
	object := fmt.Sprintf("{apiVersion: v1, kind: Secret, metadata: {name: %s, %s}, %s}", name, metadata, body)
	return secretWrite{http.MethodPost, name, object, home, elsewhere}
}

func patches(name, patch, home, elsewhere string) secretWrite {
	return secretWrite{http.MethodPatch, name, "{" + patch + "}", home, elsewhere}
}

func deletes(name, home, elsewhere string) secretWrite {
	return secretWrite{http.MethodDelete, name, "", home, elsewhere}
}

var secretWrites = []secretWrite{
	creates("new", ourLabel, binding, allowed, allowed),
	creates("new", ourLabel+", "+ourMark, binding+", "+newData, allowed, allowed),
	creates("new", "", binding, noCreate, noCreate),
	creates("new", ourMark, binding, noCreate, noCreate),
	creates("new", ourLabel, newData, noCreate, noCreate),
	creates("new", ourLabel, "type: bootstrap.kubernetes.io/token", noCreate, noCreate),
	creates("new", "annotations: {"+ofAccount+"}", tokenType, noTokens, noTokens),
	creates("new", ourLabel+", annotations: {pguser.dev/user-uid: u, "+ofAccount+"}", tokenType, noTokens, noTokens),
	creates("pguser-journal-2", "", newData, allowed, noCreate),
	creates("pguser-credentials-2", "", newData, allowed, noCreate),
	creates("pguser-other", "", newData, noCreate, noCreate),
	creates("pguser-journal-2", "", "type: bootstrap.kubernetes.io/token", noCreate, noCreate),
	creates("pguser-journal-2", "annotations: {"+ofAccount+"}", tokenType, noTokens, noTokens),

	patches("output", newData, allowed, allowed),
	patches("output", "metadata: {ownerReferences: null, annotations: {pguser.dev/retained: 'true'}}", allowed, allowed),
	patches("output-without-label", newData+", metadata: {"+ourLabel+"}", allowed, allowed),
	patches("output-of-other-type", "metadata: {annotations: {pguser.dev/retained: 'true'}}", allowed, allowed),
	patches("pguser-operator-key", newData, allowed, noChange),
	patches("pguser-journal-1", newData, allowed, noChange),
	patches("pguser-credentials-1", newData, allowed, noChange),
	patches("pguser-journal-token", newData, noTokens, noTokens),
	patches("foreign", "metadata: {finalizers: ["+ourHold+"]}", allowed, allowed),
	patches("held", "metadata: {finalizers: null}", allowed, allowed),
	patches("foreign-token", "metadata: {finalizers: ["+ourHold+"]}", allowed, allowed),
	patches("foreign", "metadata: {finalizers: [example.com/other]}", noChange, noChange),
	patches("foreign", "metadata: {finalizers: ["+ourHold+"]}, "+newData, noChange, noChange),
	patches("foreign", newData, noChange, noChange),
	patches("foreign", "data: null", noChange, noChange),
	patches("foreign", "stringData: {b: c}", noChange, noChange),
	patches("foreign", "immutable: true", noChange, noChange),
	patches("foreign", "metadata: {"+ourLabel+"}", noChange, noChange),
	patches("foreign", "metadata: {"+ourMark+"}", noChange, noChange),
	patches("foreign", "metadata: {ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: c, uid: u}]}", noChange, noChange),
	patches("foreign-binding", newData, noChange, noChange),
	patches("foreign-binding", newData+", metadata: {"+ourLabel+", "+ourMark+"}", noChange, noChange),
	patches("foreign-label", newData, noChange, noChange),
	patches("foreign-token", newData, noTokens, noTokens),
	patches("marked-token", newData, noTokens, noTokens),

	deletes("output", allowed, allowed),
	deletes("output-without-label", allowed, allowed),
	deletes("output-of-other-type", allowed, allowed),
	deletes("pguser-journal-1", allowed, noDelete),
	deletes("pguser-credentials-1", allowed, noDelete),
	deletes("pguser-operator-key", allowed, noDelete),
	deletes("foreign", noDelete, noDelete),
	deletes("held", noDelete, noDelete),
	deletes("foreign-binding", noDelete, noDelete),
	deletes("foreign-label", noDelete, noDelete),
	deletes("foreign-token", noTokens, noTokens),
	deletes("marked-token", noTokens, noTokens),
	deletes("pguser-journal-token", noTokens, noTokens),
}

// holds tries each write as the operator, in its namespace and in another, without effect.
func holds(t *testing.T, home, elsewhere, policy string) {
	t.Helper()
	api := proxy(t)
	account := "system:serviceaccount:" + home + ":" + release
	for _, in := range []string{home, elsewhere} {
		must(t, secretsOfPolicy, kubectl, "create", "--namespace", in, "--filename", "-")
		defer must(t, secretsOfPolicy, kubectl, "delete", "--namespace", in, "--filename", "-")
		defer must(t, "", kubectl, "patch", "secret", "held", "--namespace", in, "--type", "merge", "--patch", `{"metadata": {"finalizers": null}}`)
	}
	first := creates("first", "", newData, noCreate, noCreate)
	for patience := time.Now().Add(30 * time.Second); api.write(t, account, home, first).code == http.StatusCreated; {
		if time.Now().After(patience) {
			t.Fatal("the policy is not in force")
		}
		time.Sleep(100 * time.Millisecond)
	}
	for _, write := range secretWrites {
		for in, want := range map[string]string{home: write.home, elsewhere: write.elsewhere} {
			answer := api.write(t, account, in, write)
			what := fmt.Sprintf("%s of %s/%s %s", write.method, in, write.name, write.body)
			words := fmt.Sprintf("ValidatingAdmissionPolicy '%s' with binding '%s' denied request: %s may not write the Secret %s/%s: %s",
				policy, policy, account, in, write.name, want)
			switch {
			case want == allowed && answer.code >= 300:
				t.Errorf("%s is refused: %s", what, answer.message)
			case want != allowed && (answer.code != http.StatusForbidden || !strings.Contains(answer.message, words)):
				t.Errorf("%s is not refused with\n%s\nbut is answered %d with\n%s", what, words, answer.code, answer.message)
			}
		}
	}
}

// holdsNobodyElse lets an account of the operator's name in another namespace, and the administrator, do as they like.
func holdsNobodyElse(t *testing.T, elsewhere string) {
	t.Helper()
	api := proxy(t)
	account := "system:serviceaccount:" + elsewhere + ":" + release
	must(t, "", kubectl, "create", "rolebinding", "namesake", "--namespace", elsewhere, "--clusterrole", "edit", "--user", account)
	defer must(t, "", kubectl, "delete", "rolebinding", "namesake", "--namespace", elsewhere)
	for _, write := range []secretWrite{creates("new", "", newData, allowed, allowed), creates("new", "annotations: {"+ofAccount+"}", tokenType, allowed, allowed)} {
		for _, user := range []string{account, ""} {
			if answer := api.write(t, user, elsewhere, write); answer.code >= 300 {
				t.Errorf("%q: %s", user, answer.message)
			}
		}
	}
}

// isOfTheRightTypes waits until Kubernetes has checked the policy's expressions against the schema of Secrets.
func isOfTheRightTypes(t *testing.T, policy string) {
	t.Helper()
	must(t, "", kubectl, "wait", "validatingadmissionpolicy", policy, "--for", "jsonpath={.status.observedGeneration}=1", "--timeout", "30s")
	said := must(t, "", kubectl, "get", "validatingadmissionpolicy", policy, "--output", "jsonpath={.status.typeChecking.expressionWarnings}")
	if said != "" {
		t.Error(said)
	}
}

// apiProxy is the Kubernetes API, as the administrator, who may be anybody.
type apiProxy struct{ client http.Client }

type answer struct {
	code    int
	message string
}

// proxy starts kubectl's, which ends with the test. One kubectl for each request would take much longer.
func proxy(t *testing.T) *apiProxy {
	t.Helper()
	// The path of a socket has to be short, and t.TempDir has the test's name in it.
	folder, err := os.MkdirTemp("", "pguser-api.")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(folder, "api")
	command := exec.CommandContext(t.Context(), kubectl, "proxy", "--unix-socket", socket)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Wait()
		os.RemoveAll(folder)
	})
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		for {
			connection, err := dialer.DialContext(ctx, "unix", socket)
			if err == nil || ctx.Err() != nil {
				return connection, err
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return &apiProxy{http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: 30 * time.Second}}
}

// write is one write of a Secret that is not stored.
func (p *apiProxy) write(t *testing.T, user, in string, write secretWrite) answer {
	t.Helper()
	return p.send(t, user, write.method, "/api/v1/namespaces/"+in+"/secrets", write.name, write.body)
}

// send asks for one write, with a body in YAML, that is not stored.
func (p *apiProxy) send(t *testing.T, user, method, path, name, write string) answer {
	t.Helper()
	url := "http://localhost" + path
	if method != http.MethodPost {
		url += "/" + name
	}
	body, err := yaml.YAMLToJSON([]byte(write))
	if err != nil {
		t.Fatal(err)
	}
	if write == "" {
		body = nil
	}
	request, err := http.NewRequestWithContext(t.Context(), method, url+"?dryRun=All", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/merge-patch+json")
	}
	if user != "" {
		request.Header.Set("Impersonate-User", user)
	}
	response, err := p.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var status struct{ Message string }
	if err := json.Unmarshal(text, &status); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return answer{response.StatusCode, status.Message}
}
