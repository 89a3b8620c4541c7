{{- define "boxoffice.name" -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{- end }}

{{- define "boxoffice.labels" -}}
app.kubernetes.io/name: boxoffice
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "boxoffice.selector" -}}
app.kubernetes.io/name: boxoffice
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "boxoffice.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "boxoffice.imageOf" -}}
{{ .repository }}{{ if .of.digest }}@{{ .of.digest }}{{ else }}:{{ .of.tag }}{{ end }}
{{- end }}

{{- /* What Temporal knows a release by: the image's digest, or else its tag. */ -}}
{{- define "boxoffice.build" -}}
{{- if .digest }}{{ .digest | trimPrefix "sha256:" | trunc 16 }}{{ else }}{{ required "versioning.previous: each a tag or a digest" .tag }}{{ end -}}
{{- end }}

{{- define "boxoffice.dns" -}}
{{ lower . | replace "." "-" | replace "_" "-" | replace "+" "-" | trunc 30 | trimSuffix "-" }}
{{- end }}

{{- define "boxoffice.version" -}}
{{- if .root.Values.versioning.enabled -}}
- {name: TEMPORAL_DEPLOYMENT_NAME, value: {{ .root.Values.versioning.deployment | quote }}}
- {name: TEMPORAL_WORKER_BUILD_ID, value: {{ .build | default (include "boxoffice.build" (dict "digest" .root.Values.image.digest "tag" (.root.Values.image.tag | default .root.Chart.AppVersion))) | quote }}}
{{- end }}
{{- end }}

{{- /* All replicas in the cluster's order: TigerBeetle takes addresses, no names. */ -}}
{{- define "boxoffice.tigerbeetle" -}}
{{- with .Values.tigerbeetle -}}
{{- if .statefulSet.enabled -}}
{{- if ne (len .statefulSet.clusterIPs) (int .statefulSet.replicas) }}{{ fail "tigerbeetle.statefulSet.clusterIPs: one free address of the Service network for each replica" }}{{ end -}}
{{- range $i, $ip := .statefulSet.clusterIPs }}{{ if $i }},{{ end }}{{ $ip }}:3000{{ end -}}
{{- else -}}
{{ required "tigerbeetle.addresses: all replicas in the cluster's order, or tigerbeetle.statefulSet.enabled" .addresses }}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "boxoffice.env" -}}
{{- range $name, $value := .Values.env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- range $name, $from := .Values.secrets }}
- {name: {{ $name }}_FILE, value: /run/secrets/boxoffice/{{ $name }}}
{{- end }}
- {name: TIGERBEETLE_ADDRESS, value: {{ include "boxoffice.tigerbeetle" . | quote }}}
- {name: TIGERBEETLE_CLUSTER_ID, value: {{ .Values.tigerbeetle.clusterId | quote }}}
{{- end }}

{{- define "boxoffice.secrets" -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $name, $from := .Values.secrets }}
      - secret:
          name: {{ required (printf "secrets.%s.secretName" $name) $from.secretName }}
          items:
            - {key: {{ required (printf "secrets.%s.key" $name) $from.key }}, path: {{ $name }}}
      {{- end }}
{{- end }}

{{- define "boxoffice.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  {{- toYaml .Values.seccompProfile | nindent 2 }}
{{- end }}

{{- define "boxoffice.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
