{{- define "callytics.name" -}}
{{- $name := ternary .Release.Name (printf "%s-callytics" .Release.Name) (contains "callytics" .Release.Name) -}}
{{- default $name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/*
What selects the pods of one component: (dict "root" $ "component" "api"). It never changes, and pods have no version
among their labels: what is not of a new version is not replaced by one.
*/}}
{{- define "callytics.selector" -}}
app.kubernetes.io/name: callytics
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "callytics.labels" -}}
{{ include "callytics.selector" . }}
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/* Name and labels of an object: (dict "root" $ "component" "api"). */}}
{{- define "callytics.metadata" -}}
name: {{ include "callytics.name" .root }}-{{ .component }}
namespace: {{ .root.Release.Namespace }}
labels: {{- include "callytics.labels" . | nindent 2 }}
{{- end }}

{{/* The image of a Dockerfile target: those with PyTorch or CTranslate2 have a build without CUDA. */}}
{{- define "callytics.image" -}}
{{- $image := .root.Values.image -}}
{{- $cpu := and (not .root.Values.gpu.enabled) (has .target (list "worker-diarize" "worker-stt" "worker-text")) -}}
{{- $tag := .tag | default $image.tag | default .root.Chart.AppVersion -}}
{{ $image.prefix }}/{{ .target }}:{{ $tag }}{{ if $cpu }}-cpu{{ end }}
{{- end }}

{{/* Settings of all parts, as YAML: what the chart knows, and over it what .Values.settings says. */}}
{{- define "callytics.settings" -}}
{{- $name := include "callytics.name" . -}}
{{- $known := dict "CALLYTICS_AUDIO__STORE_URL" "file:///var/lib/callytics/audio" -}}
{{- if not .Values.audio.volume.enabled -}}
{{- $_ := set $known "CALLYTICS_AUDIO__STORE_URL" (required (printf "%s, %s"
  "Say where recordings lie: audio.url=s3://bucket/calls"
  "or audio.volume.enabled=true for a volume that every node can mount.") .Values.audio.url) -}}
{{- end -}}
{{- if and .Values.ingress.enabled .Values.ingress.host -}}
{{- $_ := set $known "CALLYTICS_API__PUBLIC_URL" (printf "https://%s" .Values.ingress.host) -}}
{{- end -}}
{{- range $key, $task := dict "slm" "SUMMARIZE" "mlm" "ANALYSE" -}}
{{- $chat := index $.Values.chat $key -}}
{{- if $chat.enabled -}}
{{- $_ := set $known (printf "CALLYTICS_MODELS__%s__SERVER" $task) (printf "http://%s-%s:8000/v1" $name $key) -}}
{{- $_ := set $known (printf "CALLYTICS_MODELS__%s__MODEL" $task) $chat.model -}}
{{- end -}}
{{- end -}}
{{- if .Values.chat.mlm.enabled -}}
{{- $_ := set $known "CALLYTICS_LLM__BASE_URL" (index $known "CALLYTICS_MODELS__ANALYSE__SERVER") -}}
{{- end -}}
{{- range $key, $value := merge (deepCopy .Values.settings) $known }}
{{ $key }}: {{ include "callytics.value" (dict "root" $ "name" $key "value" $value) }}
{{- end }}
{{- end }}

{{/* The value of a variable as a string; what is a secret by its name, or has one in it, is refused. */}}
{{- define "callytics.value" -}}
{{- $value := kindIs "string" .value | ternary .value (toJson .value) -}}
{{- $name := "(SECRET|SECRET_KEY|SECRET_ACCESS_KEY|SESSION_TOKEN|API_KEY|HF_TOKEN|PASSWORD|BASIC_AUTH)$" -}}
{{- if or (regexMatch $name .name) (regexMatch "://[^/]*:[^/]*@|api_key" $value) -}}
{{- fail (printf "%s is a secret: put it into the Secret %s, and if it is not expected there, name it in %s." .name
  .root.Values.secret.name "secret.chat or secret.store") -}}
{{- end -}}
{{- quote $value -}}
{{- end }}

{{/* How long a pod may take to stop: a worker finishes its stage, or hands it back, before. */}}
{{- define "callytics.stopSeconds" -}}
{{- add (index .Values.settings "CALLYTICS_PIPELINE__STOP_GRACE_S" | default 25 | float64 | ceil | int) 15 -}}
{{- end }}

{{/* All workers, as YAML: name of the component -> what runs. A variant's is its queue's, but for what it says. */}}
{{- define "callytics.workers" -}}
{{- $workers := dict -}}
{{- range $queue, $worker := .Values.workers -}}
{{- $_ := set $workers (printf "worker-%s" $queue) (mergeOverwrite (deepCopy $worker) (dict "lane" $queue)) -}}
{{- end -}}
{{- range .Values.variants -}}
{{- $worker := index $.Values.workers .queue -}}
{{- $setting := printf "CALLYTICS_MODELS__%s__VARIANTS" ($worker.model | upper) -}}
{{- $own := dict "lane" (printf "%s.%s" .queue .name) "env" (dict $setting (dict .name .model | toJson)) -}}
{{- $component := printf "worker-%s-%s" .queue .name -}}
{{- if eq .name "v1" -}}
{{- fail (printf "variants: v1 of %s is what workers.%s runs; call another version v2, say." .queue .queue) -}}
{{- end -}}
{{- if hasKey $workers $component -}}
{{- fail (printf "variants: %s.%s is there twice." .queue .name) -}}
{{- end -}}
{{- $_ := set $workers $component (mergeOverwrite (deepCopy $worker) (omit . "name" "queue" "model") $own) -}}
{{- end -}}
{{- range $component, $_ := $workers -}}
{{- $name := printf "%s-%s" (include "callytics.name" $) $component -}}
{{- if gt (len $name) 46 -}}
{{- fail (printf "%s is too long (%s): shorten nameOverride or the variant's name." $name
  "a host name ends after 63 letters, and the last 17 tell a pod from the others") -}}
{{- end -}}
{{- end -}}
{{- toYaml $workers -}}
{{- end }}

{{/* GPUs are taken one at a time where none is spare: the old pod goes before the new one comes. */}}
{{- define "callytics.rollout" -}}
{{- $spare := ternary .root.Values.gpu.spare 1 (and .part.gpu .root.Values.gpu.enabled | not | not) -}}
type: RollingUpdate
rollingUpdate: { maxSurge: {{ $spare }}, maxUnavailable: {{ ternary 0 1 (gt (int $spare) 0) }} }
{{- end }}
