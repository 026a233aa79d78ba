{{- define "attend.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "attend.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "attend.labels" -}}
{{ include "attend.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* What the restricted Pod Security Standard asks of a container, and a read-only root. */}}
{{- define "attend.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* A value as the server reads it: YAML makes true of `on`, and 1e+06 of 1000000. */}}
{{- define "attend.setting" -}}
{{- if kindIs "bool" . }}{{ ternary "on" "off" . }}
{{- else if kindIs "slice" . }}{{ join ";" . }}
{{- else if kindIs "float64" . }}{{ if eq . (floor .) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- else }}{{ . }}{{ end }}
{{- end }}

{{/* Every model as NAME=PATH:OPTIONS, separated by semicolons. */}}
{{- define "attend.models" -}}
{{- $models := list }}
{{- range .Values.models }}
{{- $path := clean (printf "/model/%s" (.path | default "")) }}
{{- $models = append $models (printf "%s=%s%s" .name $path (.options | default "" | empty | ternary "" (printf ":%s" .options))) }}
{{- end }}
{{- join ";" $models }}
{{- end }}

{{- define "attend.environment" -}}
- name: ATTEND_LISTEN
  value: 0.0.0.0:50051{{ if .Values.tls.secretName }};unix:/run/attend/health.sock{{ end }}
- name: ATTEND_METRICS_LISTEN
  value: 0.0.0.0:9090
- name: ATTEND_MODEL
  value: {{ include "attend.models" . | quote }}
- name: ATTEND_DRAIN_DELAY
  value: {{ .Values.drain.delaySeconds }}s
- name: ATTEND_DRAIN_TIMEOUT
  value: {{ .Values.drain.timeoutSeconds }}s
{{- if .Values.tls.secretName }}
- name: ATTEND_INSECURE
  value: "off"
- name: ATTEND_TLS_CERT
  value: /tls/tls.crt
- name: ATTEND_TLS_KEY
  value: /tls/tls.key
{{- if .Values.tls.requireClientCertificate }}
- name: ATTEND_TLS_CLIENT_CA
  value: /tls/ca.crt
{{- end }}
{{- else }}
- name: ATTEND_INSECURE
  value: "on"
{{- end }}
{{- if .Values.tokens.secretName }}
- name: ATTEND_TOKENS
  value: /tokens/tokens
{{- end }}
{{- range $flag, $value := .Values.config }}
- name: ATTEND_{{ $flag | upper | replace "-" "_" }}
  value: {{ include "attend.setting" $value | quote }}
{{- end }}
{{- end }}

{{/* The kubelet's gRPC probes speak no TLS: with TLS the server is asked over a socket in its pod. */}}
{{- define "attend.probe" -}}
{{- if .Values.tls.secretName -}}
exec:
  command: [/usr/bin/attend-server, "--healthcheck=unix:/run/attend/health.sock"]
{{- else -}}
grpc:
  port: 50051
{{- end }}
timeoutSeconds: 5
{{- end }}

{{- define "attend.modelVolume" -}}
{{- with .Values.modelSource.persistentVolumeClaim }}
persistentVolumeClaim:
  claimName: {{ .claimName }}
  readOnly: true
{{- end }}
{{- with .Values.modelSource.initContainer }}
emptyDir:
  sizeLimit: {{ .sizeLimit | default "4Gi" }}
{{- end }}
{{- with .Values.modelSource.image }}
{{- if semverCompare "<1.31.0-0" $.Capabilities.KubeVersion.Version }}
{{- fail (printf "modelSource.image needs Kubernetes 1.31 or later; this is %s. Use modelSource.persistentVolumeClaim or modelSource.initContainer" $.Capabilities.KubeVersion.Version) }}
{{- end }}
image:
  reference: {{ .reference }}
  pullPolicy: {{ .pullPolicy | default "IfNotPresent" }}
{{- end }}
{{- end }}
