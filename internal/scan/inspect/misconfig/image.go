package misconfig

import (
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// maxHistory bounds the steps of a history; registries allow some 127 layers
// and tools write a few steps for each.
const maxHistory = 2000

// Image judges the configuration and the history of an image; it reads no
// file.
type Image struct{ mask func(string) string }

// Spec claims nothing.
func (Image) Spec() layer.Spec {
	return layer.Spec{Name: "misconfig", Version: 1, Where: layer.Installed}
}

// Read is not called.
func (Image) Read(*layer.File) (layer.Result, error) { return layer.Result{}, nil }

// Judge checks the configuration, then every step of the history.
func (m Image) Judge(v *layer.View) layer.Result {
	var res layer.Result
	if v.Image == nil || v.Image.Kind != esclusa.TargetImage {
		return res // a folder has no configuration
	}
	seen := map[string]bool{}
	add := func(place esclusa.Place, origin esclusa.Origin) func(*rule, string) {
		return func(r *rule, evidence string) {
			if key := r.id + "\x00" + evidence; len(res.Findings) < maxFindings && !seen[key] {
				seen[key] = true
				f := r.finding(place, m.mask(evidence))
				f.Origin = origin
				res.Findings = append(res.Findings, f)
			}
		}
	}
	judgeConfig(&v.Image.Config, add(esclusa.Place{}, ""))
	next := 0
	for i, h := range v.Image.History {
		if i >= maxHistory {
			res.Gaps = append(res.Gaps, esclusa.Gap{
				Scope: esclusa.GapItem, What: "rest of the image's history", Err: "more than 2000 steps",
			})
			break
		}
		var place esclusa.Place
		var origin esclusa.Origin
		if !h.EmptyLayer {
			if next < len(v.Image.Layers) {
				place.Layer, origin = v.Image.Layers[next].DiffID, v.Image.Layers[next].Origin
			}
			next++
		}
		in, args := fromHistory(h.CreatedBy)
		to := add(place, origin)
		for _, p := range args {
			if secretName(p[0]) && secretValue(p[1]) {
				to(&argSecret, p[0]+"=…")
			}
		}
		// ENV, WORKDIR and EXPOSE are in the configuration as they ended.
		if in.cmd == "RUN" || in.cmd == "ADD" || in.cmd == "ARG" {
			judgeInstruction(&in, to)
		}
	}
	return res
}

// judgeConfig checks how a container of the image starts.
func judgeConfig(c *esclusa.ImageConfig, add func(*rule, string)) {
	if isRoot(c.User) {
		evidence := "no user is set"
		if c.User != "" {
			evidence = "user " + c.User
		}
		add(&rootUser, evidence)
	}
	for _, e := range c.Env {
		if name, value, ok := strings.Cut(e, "="); ok {
			judgeEnv(name, value, add)
		}
	}
	judgeWorkdir(c.WorkingDir, add)
	for _, p := range c.ExposedPorts {
		judgePort(p, add)
	}
	if len(c.Healthcheck) == 0 || c.Healthcheck[0] == "NONE" {
		add(&noHealthcheck, "no health check is set")
	}
	start := strings.Join(append(append([]string{}, c.Entrypoint...), c.Cmd...), " ")
	in := instruction{cmd: "CMD", args: start, text: start}
	judgeLineSecrets(&in, start, add)
}

// fromHistory reads a step as docker build, BuildKit, buildah and kaniko
// write it, and the build arguments that were in force.
func fromHistory(by string) (instruction, [][2]string) {
	by = strings.TrimSuffix(strings.TrimSpace(by), "# buildkit")
	if nop, ok := strings.CutPrefix(by, "/bin/sh -c #(nop)"); ok {
		return parseInstruction(nop), nil
	}
	rest := strings.TrimPrefix(by, "RUN ")
	var args [][2]string
	if list, ok := strings.CutPrefix(rest, "|"); ok {
		// |2 A=1 B=two words /bin/sh -c …
		list, run, _ := strings.Cut(list, " /bin/sh -c ")
		_, list, _ = strings.Cut(list, " ")
		args = pairs(list)
		rest = "/bin/sh -c " + run
	}
	if run, ok := strings.CutPrefix(rest, "/bin/sh -c "); ok {
		return instruction{cmd: "RUN", args: run, text: "RUN " + run}, args
	}
	return parseInstruction(by), args
}
