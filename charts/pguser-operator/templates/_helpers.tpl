{{- define "pguser.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pguser.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "pguser.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "pguser.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "pguser.labels" -}}
{{ include "pguser.selectorLabels" . }}
app.kubernetes.io/part-of: pguser-operator
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "pguser.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Not empty if ClusterPostgresServers are looked after. */}}
{{- define "pguser.clusterServers" -}}
{{- if and .Values.clusterServers (not .Values.watchNamespaces) -}}true{{- end -}}
{{- end -}}

{{/* What the operator does in a namespace whose objects it looks after. */}}
{{- define "pguser.rules" -}}
{{- $cluster := include "pguser.clusterServers" . -}}
# Watched. Written for finalizers and annotations alone (the claim); the spec is its author's.
- apiGroups: [pguser.dev]
  resources: [postgresusers, postgresservers{{ if $cluster }}, clusterpostgresservers{{ end }}]
  verbs: [get, list, watch, update, patch]
- apiGroups: [pguser.dev]
  resources: [postgresusers/status, postgresservers/status{{ if $cluster }}, clusterpostgresservers/status{{ end }}]
  verbs: [update, patch]
# Owner references that block deletion, where the API server enforces who may set them.
- apiGroups: [pguser.dev]
  resources: [postgresusers/finalizers, postgresservers/finalizers{{ if $cluster }}, clusterpostgresservers/finalizers{{ end }}]
  verbs: [update]
# Output Secrets are made, kept up to date, and deleted with their login; credentials are read.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, patch, delete]
# Certificates of the authorities that a PostgreSQL server is checked against. Watched by name, as metadata only.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch]
{{- if not .Values.watchNamespaces }}
# The UID of kube-system names the installation{{ if $cluster }}; selectors of ClusterPostgresServers{{ end }}.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get{{ if $cluster }}, list, watch{{ end }}]
{{- end }}
# A repeated event is counted up by a patch.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* The rights that restarts of workloads take. */}}
{{- define "pguser.restartRules" -}}
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: [get, list, patch]
{{- end -}}

{{/* What values.schema.json cannot say. */}}
{{- define "pguser.check" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.leaderElection.enabled) -}}
{{- fail "replicas: more than one needs leaderElection.enabled" -}}
{{- end -}}
{{- if and .Values.extraCA.secretName .Values.extraCA.configMapName -}}
{{- fail "extraCA: secretName or configMapName, not both" -}}
{{- end -}}
{{- end -}}
