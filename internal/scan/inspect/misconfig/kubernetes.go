package misconfig

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// Kubernetes reads manifests of source folders.
type Kubernetes struct{}

// Spec claims YAML; what is no manifest is left alone in Read.
func (Kubernetes) Spec() layer.Spec {
	return layer.Spec{
		Name:    "misconfig-kubernetes",
		Version: 1,
		Where:   layer.Declared,
		Claims:  []layer.Claim{{Suffix: ".yaml", Text: true}, {Suffix: ".yml", Text: true}},
		MaxSize: maxManifest,
		Skim:    true, // larger files are generated lists, not hand-written manifests
	}
}

// Read checks every object of a stream. A template (Helm) that is no YAML is
// an error, and so a Gap: render it first.
func (Kubernetes) Read(f *layer.File) (layer.Result, error) {
	var res layer.Result
	if !bytes.Contains(f.Data, []byte("apiVersion:")) || !bytes.Contains(f.Data, []byte("kind:")) {
		return res, nil
	}
	docs, err := parseYAML(f.Data)
	if err != nil {
		err = fmt.Errorf("parse Kubernetes manifest: %w", err)
		if bytes.Contains(f.Data, []byte("{{")) {
			err = fmt.Errorf("%w (hint: a template: render it, and scan the result)", err)
		}
	}
	o := object{add: func(r *rule, line int, evidence string) {
		if len(res.Findings) < maxFindings {
			res.Findings = append(res.Findings, r.finding(esclusa.Place{Path: f.Path, Line: line}, evidence))
		}
	}}
	for _, d := range docs {
		o.judge(d, 0)
	}
	if len(res.Findings) >= maxFindings {
		res.Gaps = append(res.Gaps, esclusa.Gap{
			Scope: esclusa.GapFile, Place: esclusa.Place{Path: f.Path},
			What: "rest of the manifest's findings", Err: fmt.Sprintf("more than %d", maxFindings),
		})
	}
	return res, err
}

// object is one Kubernetes object while it is judged.
type object struct {
	add  func(r *rule, line int, evidence string)
	name string // kind/name, for evidence
}

func (o *object) judge(d *node, depth int) {
	if d == nil || d.get("apiVersion") == nil {
		return
	}
	kind := d.get("kind").text()
	o.name = kind + "/" + d.get("metadata", "name").text()
	switch kind {
	case "List":
		for _, item := range d.get("items").items() {
			if depth == 0 {
				o.judge(item, 1)
			}
		}
	case "ConfigMap":
		o.judgeConfigMap(d)
	case "Ingress":
		o.judgeIngress(d)
	case "NetworkPolicy":
		if spec := d.get("spec"); spec != nil && !spec.has("podSelector") {
			o.add(&policySelector, spec.line, o.name)
		}
	default:
		if spec := podSpec(kind, d); spec != nil {
			o.judgePod(d, spec)
		}
	}
}

func (n *node) has(key string) bool {
	for _, k := range n.keys {
		if k == key {
			return true
		}
	}
	return false
}

// podSpec is where the kinds of workloads keep their pod.
func podSpec(kind string, d *node) *node {
	switch kind {
	case "Pod":
		return d.get("spec")
	case "Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "Job":
		return d.get("spec", "template", "spec")
	case "CronJob":
		return d.get("spec", "jobTemplate", "spec", "template", "spec")
	}
	return nil
}

// judgeConfigMap looks for names of secrets with values, as keys and in the
// lines of values.
func (o *object) judgeConfigMap(d *node) {
	data := d.get("data")
	if data == nil {
		return
	}
	for i, key := range data.keys {
		value := data.values[i]
		if value == nil {
			continue
		}
		if secretName(key) && secretValue(value.scalar) && !strings.Contains(value.scalar, "\n") {
			o.add(&configMapSecret, value.line, key+": …")
			continue
		}
		for line := range strings.SplitSeq(value.scalar[:min(len(value.scalar), 64<<10)], "\n") {
			name, v, ok := strings.Cut(line, "=")
			if !ok {
				name, v, ok = strings.Cut(line, ": ")
			}
			if name = strings.TrimSpace(name); ok && !strings.ContainsAny(name, " #") && secretName(name) && secretValue(strings.TrimSpace(v)) {
				o.add(&configMapSecret, value.line, key+": "+name+"=…")
			}
		}
	}
}

// judgeIngress holds annotations that ingress-nginx copies into its
// configuration to what a URL, a host or a common name may hold.
func (o *object) judgeIngress(d *node) {
	annotations := d.get("metadata", "annotations")
	if annotations == nil {
		return
	}
	for i, key := range annotations.keys {
		value := annotations.values[i]
		if value == nil || !strings.HasPrefix(key, "nginx.ingress.kubernetes.io/") {
			continue
		}
		name := key[strings.LastIndexByte(key, '/')+1:]
		switch name {
		case "auth-url", "auth-tls-match-cn", "mirror-target", "mirror-host":
			if strings.ContainsAny(value.scalar, "|;#{}\n\r`\"'\\") {
				o.add(&ingressInjection, value.line, name+": "+value.scalar)
			}
		case "configuration-snippet", "server-snippet", "auth-snippet":
			for _, danger := range []string{"ssl_engine", "load_module", "lua_", "_by_lua", "/var/run/secrets", "alias ", "root "} {
				if strings.Contains(value.scalar, danger) {
					o.add(&ingressInjection, value.line, name+": "+danger)
					break
				}
			}
		}
	}
}

// number reads an id; ok is false for what is no number.
func (n *node) number() (int64, bool) {
	v, err := strconv.ParseInt(n.text(), 10, 64)
	return v, err == nil
}
