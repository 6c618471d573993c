{{- define "gateway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* A Service's name begins with a letter (RFC 1035); a release's may begin with a digit. */}}
{{- define "gateway.fullname" -}}
{{- $name := include "gateway.plainname" . -}}
{{- if regexMatch "^[0-9]" $name -}}
{{- printf "gw-%s" $name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{- define "gateway.plainname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "gateway.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "gateway.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "gateway.selector" -}}
app.kubernetes.io/name: {{ include "gateway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Of the pod of helm test. */}}
{{- define "gateway.asker" -}}
app.kubernetes.io/name: {{ include "gateway.name" . | trunc 56 | trimSuffix "-" }}-health
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "gateway.labels" -}}
{{ include "gateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "gateway.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "gateway.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "gateway.secret" -}}
{{- default (include "gateway.fullname" .) .Values.secrets.existing -}}
{{- end -}}

{{- define "gateway.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* How the admin listener is asked. */}}
{{- define "gateway.adminScheme" -}}
{{- if .Values.config.admin.tls }}https{{ else }}http{{ end -}}
{{- end -}}

{{/* A duration of the configuration, 90s or 5m, in seconds. */}}
{{- define "gateway.seconds" -}}
{{- $units := dict "ms" 0.001 "s" 1 "m" 60 "h" 3600 "d" 86400 -}}
{{- $text := toString . -}}
{{- mulf (regexFind "^[0-9.]+" $text | float64) (get $units (regexFind "[a-z]+$" $text | default "s")) -}}
{{- end -}}

{{/* What would start and serve nobody well is refused here, with what to do. */}}
{{- define "gateway.check" -}}
{{- $many := or (gt (int .Values.replicas) 1) .Values.autoscaling.enabled -}}
{{- if and $many (not .Values.config.redis) -}}
{{- fail "several replicas share one store: set config.redis, or replicas: 1 and autoscaling.enabled: false" -}}
{{- end -}}
{{- if and (not .Values.secrets.existing) (not .Values.secrets.values) -}}
{{- fail "name a Secret by secrets.existing (keys: secret-key, admin-token, client-secret), or give secrets.values" -}}
{{- end -}}
{{- if not (and .Values.config.listen (hasSuffix ":8080" .Values.config.listen)) -}}
{{- fail "config.listen is the container's port: 0.0.0.0:8080" -}}
{{- end -}}
{{- if not (and .Values.config.admin (hasSuffix ":9090" (toString .Values.config.admin.listen))) -}}
{{- fail "config.admin.listen is the container's port that probes ask: 0.0.0.0:9090" -}}
{{- end -}}
{{- include "gateway.noSecrets" (dict "at" "config" "value" .Values.config "path" .Values.secrets.path) -}}
{{- $usual := "/run/secrets/gateway" -}}
{{- if and (ne .Values.secrets.path $usual) (contains (printf "${file:%s/" $usual) (toJson .Values.config)) -}}
{{- fail (printf "config names files in %s, and secrets.path is %s: admin.token and secret_keys have to be written as well" $usual .Values.secrets.path) -}}
{{- end -}}
{{- if not .Values.secrets.existing -}}
{{- range regexFindAll (printf "[$][{]file:%s/[^}]+[}]" (regexQuoteMeta .Values.secrets.path)) (toJson .Values.config) -1 -}}
{{- $name := trimSuffix "}" (base .) -}}
{{- if not (get $.Values.secrets.values $name) -}}
{{- fail (printf "secrets.values has no %s, which config names" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if hasKey .Values.config "workers" -}}
{{- fail "config.workers: the chart writes it, of its value workers" -}}
{{- end -}}
{{- $drain := dig "limits" "drain_timeout" "30s" .Values.config | include "gateway.seconds" | float64 -}}
{{- if gt (addf $drain .Values.preStopSeconds) (float64 .Values.terminationGracePeriodSeconds) -}}
{{- fail "terminationGracePeriodSeconds has to be longer than config.limits.drain_timeout (30 s by default) and preStopSeconds together" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (not .Values.autoscaling.cpuUtilization) (not .Values.autoscaling.requestsPerSecond) -}}
{{- fail "autoscaling needs cpuUtilization or requestsPerSecond" -}}
{{- end -}}
{{- end -}}

{{/* Refuse a secret that stands in the configuration itself: a ConfigMap is read by many. */}}
{{- define "gateway.noSecrets" -}}
{{- $at := .at -}}
{{- $path := .path -}}
{{- if kindIs "map" .value -}}
{{- range $name, $value := .value -}}
{{- include "gateway.noSecrets" (dict "at" (printf "%s.%s" $at $name) "value" $value "path" $path) -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range $value := .value -}}
{{- include "gateway.noSecrets" (dict "at" $at "value" $value "path" $path) -}}
{{- end -}}
{{- else if kindIs "string" .value -}}
{{- $named := regexMatch "(^|\\.)(client_secret|password|secret_keys|token)$|\\.authorization\\.value$|^config\\.telemetry\\.headers\\." $at -}}
{{- $inside := regexMatch "://[^/@]*:[^/@]+@" .value -}}
{{- if and (or $named $inside) (not (contains "${" .value)) -}}
{{- fail (printf "%s holds a secret, and a ConfigMap is read by many: write ${file:%s/NAME}, and put it into the Secret" $at $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}
