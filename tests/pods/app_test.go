package pods

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// server connects the namespace to the database, by name: so nothing works where names cannot be resolved.
func server() string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata: {name: orders-admin, namespace: shop}
stringData:
  username: %s
  password: %s
  ca.crt: |
    %s
---
apiVersion: pguser.dev/v1alpha1
kind: PostgresServer
metadata: {name: orders, namespace: shop}
spec:
  postgresql:
    host: %s
    port: %s
    credentialsSecretRef: {name: orders-admin}
`, administrator, adminPassword, strings.ReplaceAll(database.ca, "\n", "\n    "), databaseName, database.port)
}

// application is a Pod that logs in with the Secret of checkout, again and again.
const application = `
apiVersion: v1
kind: Pod
metadata: {name: app, namespace: shop}
spec:
  terminationGracePeriodSeconds: 1
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: app
      image: localhost/app:test
      securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
      volumeMounts: [{name: postgres, mountPath: /var/run/postgres, readOnly: true}]
  volumes:
    - name: postgres
      secret: {secretName: checkout-postgres}
`

// said is what the application has said since a moment, without the times.
func said(t *testing.T, since time.Time) []string {
	t.Helper()
	var found []string
	for line := range strings.Lines(kubectl(t, "logs", "app", "--namespace", "shop")) {
		stamp, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		if at, err := time.Parse(time.RFC3339Nano, stamp); err == nil && at.After(since) {
			found = append(found, what)
		}
	}
	return found
}

const loggedIn = "logged in as checkout"

// worksFrom waits until the application has logged in after a moment.
func worksFrom(t *testing.T, moment time.Time) time.Duration {
	t.Helper()
	return eventually(t, 2*time.Minute, "the application logs in", func() bool {
		lines := said(t, moment)
		return len(lines) > 0 && lines[len(lines)-1] == loggedIn
	})
}

// hasWorked fails unless every login of the application since a moment has been granted, and returns how many that were.
func hasWorked(t *testing.T, since time.Time) int {
	t.Helper()
	lines := said(t, since)
	for _, line := range lines {
		if line != loggedIn {
			t.Fatalf("the application says %q", line)
		}
	}
	if len(lines) == 0 {
		t.Fatal("the application says nothing")
	}
	return len(lines)
}
