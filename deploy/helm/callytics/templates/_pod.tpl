{{/*
The template of a pod of our own images: (dict "root" $ "component" name "part" part). A part says
  image   target of the Dockerfile        args      what the command `callytics` is told
  needs   database, broker, cache, keys, store, models, chat, internet: what it is given and lets through
  gpu, gpuResource, memoryFraction, resources, env, probes, preStop, priorityClassName, nodeSelector, tolerations
*/}}
{{- define "callytics.pod" -}}
{{- $root := .root -}}
{{- $part := .part -}}
{{- $gpu := and $part.gpu $root.Values.gpu.enabled -}}
metadata:
  labels:
    {{- include "callytics.selector" . | nindent 4 }}
    {{- range $part.needs }}
    callytics/{{ . }}: "true"
    {{- end }}
  annotations:
    # A change of settings, or of secret.revision, replaces the pods that read them.
    checksum/settings: {{ include "callytics.settings" $root | sha256sum }}
    callytics/secret-revision: {{ $root.Values.secret.revision | quote }}
    {{- with $root.Values.podAnnotations }}{{- toYaml . | nindent 4 }}{{ end }}
spec:
  serviceAccountName: {{ $root.Values.serviceAccount.name | default (include "callytics.name" $root) }}
  automountServiceAccountToken: false
  # A Service's variables are called like settings.
  enableServiceLinks: false
  # As process 1 a program would ignore signals that it does not handle.
  shareProcessNamespace: true
  terminationGracePeriodSeconds: {{ include "callytics.stopSeconds" $root }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: { type: RuntimeDefault }
  {{- include "callytics.placement" . | trim | nindent 2 }}
  containers:
    - name: {{ .component }}
      image: {{ include "callytics.image" (dict "root" $root "target" $part.image "tag" $part.tag) }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      {{- with $part.args }}
      args: {{ toJson . }}
      {{- end }}
      securityContext: {{- include "callytics.noRights" . | nindent 8 }}
      envFrom:
        - configMapRef: { name: {{ include "callytics.name" $root }}-settings }
      env:
        {{- include "callytics.env" . | trim | nindent 8 }}
      {{- with $part.port }}
      ports: [{ name: http, containerPort: {{ . }} }]
      {{- end }}
      {{- with $part.probes }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
      {{- if $part.preStop }}
      # Until the Service has forgotten the address, requests come.
      lifecycle: { preStop: { sleep: { seconds: {{ $part.preStop }} } } }
      {{- end }}
      resources: {{- include "callytics.resources" (dict "root" $root "part" $part "gpu" $gpu) | nindent 8 }}
      volumeMounts:
        - { name: scratch, mountPath: /tmp, subPath: tmp }
        - { name: scratch, mountPath: /var/lib/callytics, subPath: state }
        {{- if has "models" $part.needs }}
        - { name: models, mountPath: /var/lib/callytics/models }
        {{- end }}
        {{- if and (has "store" $part.needs) $root.Values.audio.volume.enabled }}
        - { name: audio, mountPath: /var/lib/callytics/audio }
        {{- end }}
  volumes:
    - name: scratch
      emptyDir: { sizeLimit: {{ $root.Values.scratch.size }} }
    {{- if has "models" $part.needs }}
    - name: models
      {{- include "callytics.models" $root | nindent 6 }}
    {{- end }}
    {{- if and (has "store" $part.needs) $root.Values.audio.volume.enabled }}
    - name: audio
      persistentVolumeClaim:
        claimName: {{ $root.Values.audio.volume.claim | default (printf "%s-audio" (include "callytics.name" $root)) }}
    {{- end }}
{{- end }}

{{/* Where a pod may run, and beside whom. */}}
{{- define "callytics.placement" -}}
{{- $values := .root.Values -}}
{{- $gpu := and .part.gpu $values.gpu.enabled -}}
{{- with $values.image.pullSecrets }}
imagePullSecrets: {{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- with .part.priorityClassName | default $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .part.nodeSelector | default (ternary $values.gpu.nodeSelector $values.nodeSelector (not (empty $gpu))) }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.tolerations | default (ternary $values.gpu.tolerations $values.tolerations (not (empty $gpu))) }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "callytics.selector" . | nindent 8 }}
{{- end }}

{{- define "callytics.noRights" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "callytics.resources" -}}
{{- $resources := deepCopy (.part.resources | default dict) -}}
{{- if .gpu -}}
{{- $resource := .part.gpuResource | default .root.Values.gpu.resource -}}
{{- $_ := set $resources "limits" (merge (dict $resource 1) ($resources.limits | default dict)) -}}
{{- end -}}
{{- toYaml $resources }}
{{- end }}

{{/* Secrets by reference, each to those alone that need it; then what the part itself says. */}}
{{- define "callytics.env" -}}
{{- $secret := .root.Values.secret -}}
{{- $required := dict
  "database" (list "CALLYTICS_DATABASE_URL")
  "broker" (list "CALLYTICS_REDIS_URL")
  "keys" (list "CALLYTICS_SECRET_KEY")
  "password" (list "CALLYTICS_FLOWER__BASIC_AUTH") -}}
{{- $optional := dict
  "cache" (list "CALLYTICS_CACHE_URL")
  "models" (list "CALLYTICS_HF_TOKEN")
  "chat" (prepend $secret.chat "CALLYTICS_LLM__API_KEY")
  "store" $secret.store -}}
{{- range $need := .part.needs }}
{{- range get $required $need | default list }}
- name: {{ . }}
  valueFrom: { secretKeyRef: { name: {{ $secret.name }}, key: {{ . }} } }
{{- end }}
{{- range get $optional $need | default list }}
- name: {{ . }}
  valueFrom: { secretKeyRef: { name: {{ $secret.name }}, key: {{ . }}, optional: true } }
{{- end }}
{{- end }}
{{- if and (has "models" .part.needs) (not (has "internet" .part.needs)) (include "callytics.offline" .root) }}
- { name: HF_HUB_OFFLINE, value: "1" }
{{- end }}
{{- range $name, $value := .part.env }}
- name: {{ $name }}
  value: {{ include "callytics.value" (dict "root" $.root "name" $name "value" $value) }}
{{- end }}
{{- end }}

{{/* The volume of models. */}}
{{- define "callytics.models" -}}
persistentVolumeClaim:
  claimName: {{ .Values.models.claim | default (printf "%s-models" (include "callytics.name" .)) }}
{{- end }}

{{/* Whether the hub is out of reach: then libraries are told so, or each load would wait for an answer. */}}
{{- define "callytics.offline" -}}
{{- if and .Values.network.enabled (not .Values.network.hub) }}true{{ end -}}
{{- end }}
