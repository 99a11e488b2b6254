package chart

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What OpenShift's security context constraint restricted-v2 refuses, in the words of an admission policy. There it is asked of
// Pods, here of what makes them. Its ranges of users, groups and SELinux levels are each namespace's own: a manifest that
// chooses any is refused.
const restrictedV2 = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: restricted-v2}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [apps], apiVersions: [v1], resources: [deployments], operations: [CREATE, UPDATE]}]
  variables:
    - {name: pod, expression: object.spec.template.spec}
    - {name: containers, expression: "variables.pod.containers + variables.pod.?initContainers.orValue([])"}
  validations:
    - message: restricted-v2 chooses the user
      expression: >-
        !variables.pod.?securityContext.?runAsUser.hasValue()
        && variables.containers.all(c, !c.?securityContext.?runAsUser.hasValue())
    - message: restricted-v2 chooses the group of files
      expression: "!variables.pod.?securityContext.?fsGroup.hasValue()"
    - message: restricted-v2 chooses the SELinux level
      expression: >-
        !variables.pod.?securityContext.?seLinuxOptions.hasValue()
        && variables.containers.all(c, !c.?securityContext.?seLinuxOptions.hasValue())
    - message: restricted-v2 lets nobody gain privileges
      expression: >-
        variables.containers.all(c, c.?securityContext.?allowPrivilegeEscalation.orValue(true) == false
        && c.?securityContext.?privileged.orValue(false) == false)
    - message: restricted-v2 drops all capabilities
      expression: >-
        variables.containers.all(c, c.?securityContext.?capabilities.?drop.orValue([]).exists(it, it == 'ALL')
        && c.?securityContext.?capabilities.?add.orValue([]).all(it, it == 'NET_BIND_SERVICE'))
    - message: restricted-v2 has the seccomp profile of the runtime
      expression: >-
        variables.pod.?securityContext.?seccompProfile.?type.orValue('') == 'RuntimeDefault'
        && variables.containers.all(c, c.?securityContext.?seccompProfile.?type.orValue('RuntimeDefault') == 'RuntimeDefault')
    - message: restricted-v2 shares nothing of the node
      expression: >-
        !variables.pod.?hostNetwork.orValue(false) && !variables.pod.?hostPID.orValue(false)
        && !variables.pod.?hostIPC.orValue(false)
        && variables.pod.?volumes.orValue([]).all(volume, !has(volume.hostPath))
        && variables.containers.all(c, c.?ports.orValue([]).all(port, port.?hostPort.orValue(0) == 0))
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: restricted-v2}
spec: {policyName: restricted-v2, validationActions: [Deny]}
`

// Values that the constraint refuses, and its words for each.
var refusedByRestrictedV2 = map[string]string{
	"podSecurityContext: {runAsUser: 65532}":                          "chooses the user",
	"securityContext: {runAsUser: 65532}":                             "chooses the user",
	"podSecurityContext: {fsGroup: 65532}":                            "chooses the group of files",
	"podSecurityContext: {seLinuxOptions: {level: s0}}":               "chooses the SELinux level",
	"securityContext: {allowPrivilegeEscalation: true}":               "lets nobody gain privileges",
	"securityContext: {capabilities: {drop: [KILL]}}":                 "drops all capabilities",
	"securityContext: {capabilities: {drop: [ALL], add: [SYS_TIME]}}": "drops all capabilities",
	"podSecurityContext: {seccompProfile: {type: Unconfined}}":        "has the seccomp profile of the runtime",
}

// runsUnderRestrictedV2 tries chart and kustomizations, without effect, where OpenShift's constraint holds.
func runsUnderRestrictedV2(t *testing.T) {
	must(t, restrictedV2, kubectl, "create", "--filename", "-")
	defer must(t, restrictedV2, kubectl, "delete", "--filename", "-")
	for values, words := range refusedByRestrictedV2 {
		// A policy is in force a moment after it was made.
		patience, said := time.Now().Add(30*time.Second), ""
		for !strings.Contains(said, "restricted-v2 "+words) {
			if time.Now().After(patience) {
				t.Fatalf("%s is not refused: %s", values, said)
			}
			said, _ = tryDeployment(t, values)
		}
	}
	for _, values := range []string{"{}", ha, namespaced} {
		if said, err := tryDeployment(t, values); err != nil {
			t.Errorf("%s: %s", values, said)
		}
	}
	for _, path := range []string{"base", "overlays/ha", "overlays/namespaced"} {
		must(t, "", kubectl, "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k", filepath.Join(repository, "deploy", path))
	}
}

// tryDeployment asks the API server, without effect, for the chart's Deployment with these values.
func tryDeployment(t *testing.T, values string) (said string, err error) {
	t.Helper()
	out, said, err := tryTemplate(values, "--show-only", "templates/deployment.yaml")
	if err != nil {
		t.Fatal(said)
	}
	_, said, err = run(out, kubectl, "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--filename", "-")
	return said, err
}
