{{- define "vya-backupdb.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "vya-backupdb.fullname" -}}
{{- $name := include "vya-backupdb.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "vya-backupdb.selectorLabels" -}}
app.kubernetes.io/name: {{ include "vya-backupdb.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "vya-backupdb.labels" -}}
{{ include "vya-backupdb.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "vya-backupdb.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "vya-backupdb.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* The reference of an image: (dict "image" .Values.image "registry" "" "tag" .Chart.AppVersion) */}}
{{- define "vya-backupdb.image" -}}
{{- $registry := default .registry .image.registry }}
{{- with $registry }}{{ . }}/{{ end }}{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ default .tag .image.tag }}{{ end }}
{{- end }}

{{- /* What the operator may do: the table in operator/vya_backupdb/kube/gateway.py, which a test compares. */}}
{{- define "vya-backupdb.rules" -}}
- apiGroups: [backupdb.vya.digital]
  resources: [backupinstances, backupschedules, restorerequests]
  verbs: [get, list, watch]
- apiGroups: [backupdb.vya.digital]
  resources: [backupinstances/status, backupschedules/status, restorerequests/status]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [batch]
  resources: [cronjobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get]
{{- end }}
