package oci

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
)

// BaseImage is what an image tells of the image that it was built on.
type BaseImage struct {
	Name   string         // "docker.io/library/debian:12", empty if not told
	Digest esclusa.Digest // of its manifest, empty if not told
	// Layers is how many of the lowest layers came with it; 0 is not known.
	Layers int
	// By is the evidence, for people; empty when there is none.
	By string
}

// Known finds an image that was seen as an image of its own by the chain ID
// of all its layers (see ChainIDs).
type Known func(chain esclusa.Digest) (name string, digest esclusa.Digest, ok bool)

// Base reads what an image says about its base, offline. What is certain goes
// first: a chain of layers that is an image of its own, then what the builder
// wrote down, then the order and times of the build's steps. Where these say
// nothing the answer is empty, never a guess.
func Base(img *Image, known Known) BaseImage {
	b := told(img)
	var layers BaseImage
	for _, judge := range []func() BaseImage{
		func() BaseImage { return knownChain(img, known) },
		func() BaseImage { return buildpacks(img) },
		func() BaseImage { return fromHistory(img.History, len(img.Layers)) },
	} {
		if layers = judge(); layers.Layers > 0 {
			break
		}
	}
	b.Layers = layers.Layers
	if b.Name == "" && b.Digest == "" {
		b.Name, b.Digest = layers.Name, layers.Digest
	}
	if b.By != "" && layers.By != "" {
		b.By += "; "
	}
	b.By += layers.By
	return b
}

const (
	annotationBaseName   = "org.opencontainers.image.base.name"
	annotationBaseDigest = "org.opencontainers.image.base.digest"
	labelBuildpacks      = "io.buildpacks.lifecycle.metadata"
)

// told reads the standard annotations. As labels they are weaker: an image
// inherits its base's labels, and then they name the base's base.
func told(img *Image) BaseImage {
	for _, source := range []struct {
		values map[string]string
		by     string
	}{{img.Annotations, "annotation "}, {img.Config.Labels, "label, perhaps inherited, "}} {
		b := BaseImage{Name: source.values[annotationBaseName]}
		if d := esclusa.Digest(source.values[annotationBaseDigest]); newHash(d) != nil {
			b.Digest = d
		}
		if b.Name != "" || b.Digest != "" {
			b.By = source.by + "org.opencontainers.image.base"
			return b
		}
	}
	return BaseImage{}
}

// ChainIDs names each stack of layers 0…i (OCI image specification, ChainID).
func ChainIDs(layers []Layer) []esclusa.Digest {
	ids := make([]esclusa.Digest, len(layers))
	for i, l := range layers {
		ids[i] = l.DiffID
		if i > 0 {
			sum := sha256.Sum256([]byte(string(ids[i-1]) + " " + string(l.DiffID)))
			ids[i] = esclusa.Digest("sha256:" + hex.EncodeToString(sum[:]))
		}
	}
	return ids
}

// knownChain takes the longest known stack that is not the whole image.
func knownChain(img *Image, known Known) BaseImage {
	if known == nil {
		return BaseImage{}
	}
	ids := ChainIDs(img.Layers)
	for i := len(ids) - 2; i >= 0; i-- {
		if name, digest, ok := known(ids[i]); ok {
			return BaseImage{name, digest, i + 1, "its layers are those of " + name}
		}
	}
	return BaseImage{}
}

// buildpacks says exactly where its run image ends.
func buildpacks(img *Image) BaseImage {
	var metadata struct {
		RunImage struct {
			TopLayer  esclusa.Digest
			Reference string
			Image     string
		}
	}
	text := img.Config.Labels[labelBuildpacks]
	if text == "" || json.Unmarshal([]byte(text), &metadata) != nil {
		return BaseImage{}
	}
	run := metadata.RunImage
	for i, l := range img.Layers {
		if l.DiffID == run.TopLayer {
			b := BaseImage{Name: run.Image, Layers: i + 1, By: "label " + labelBuildpacks}
			if _, d, ok := strings.Cut(run.Reference, "@"); ok && newHash(esclusa.Digest(d)) != nil {
				b.Digest = esclusa.Digest(d)
			}
			if b.Name == "" {
				b.Name = run.Reference
			}
			return b
		}
	}
	return BaseImage{}
}

// pause is what lies between two builds rather than two steps of one; days is
// what speaks for itself.
const (
	pause = time.Hour
	days  = 24 * time.Hour
)

// step is a history entry that made a layer.
type step struct {
	by    string
	reset bool          // a CMD or ENTRYPOINT stands between it and the next
	gap   time.Duration // to the next step that has a time
}

// fromHistory looks for the seam between two builds.
func fromHistory(history []esclusa.History, layers int) BaseImage {
	s := steps(history)
	if len(s) != layers || layers == 0 {
		return BaseImage{}
	}
	if b := byComment(history); b.Layers > 0 {
		return b
	}
	for _, judge := range []func([]step) (int, string){byBuilder, byReset, byPause, rootOnly} {
		if n, by := judge(s); n > 0 {
			return BaseImage{Layers: n, By: "history: " + by}
		}
	}
	return BaseImage{}
}

// byComment reads what buildah and podman note beside the first step of a
// build: "FROM name". With layer caching they note their own intermediate
// images as well, by ID.
func byComment(history []esclusa.History) (b BaseImage) {
	below := 0
	for _, h := range history {
		if name, ok := strings.CutPrefix(h.Comment, "FROM "); ok && name != "" && !isHexID(name) {
			b = BaseImage{Name: name, Layers: below, By: "history: the comment FROM"}
		}
		if !h.EmptyLayer {
			below++
		}
	}
	return b
}

func steps(history []esclusa.History) []step {
	var s []step
	var last time.Time
	for _, h := range history {
		if h.EmptyLayer {
			if len(s) > 0 && isReset(h.CreatedBy) {
				s[len(s)-1].reset = true
			}
			continue
		}
		if len(s) > 0 && !last.IsZero() && !h.Created.IsZero() {
			s[len(s)-1].gap = h.Created.Sub(last)
		}
		s = append(s, step{by: h.CreatedBy})
		last = h.Created
	}
	return s
}

// byBuilder knows tools that put their layers on top of an image, and those
// that make whole base images.
func byBuilder(s []step) (int, string) {
	if n := len(s); isOnTop(s[n-1].by) {
		for n > 0 && isOnTop(s[n-1].by) {
			n--
		}
		return n, fmt.Sprintf("%q put its layers on top", firstWord(s[len(s)-1].by))
	}
	n := 0
	for n < len(s) && isWhole(s[n].by) {
		n++
	}
	if n == len(s) {
		return 0, ""
	}
	return n, fmt.Sprintf("%q made the lowest layers only", firstWord(s[0].by))
}

// byReset uses that base images end with a CMD and that nothing but another
// build follows one with a layer. Between several, the last one with a pause
// behind it is the seam: a Dockerfile may name its CMD early.
func byReset(s []step) (int, string) {
	last := 0
	for i := len(s) - 2; i >= 0; i-- {
		if !s[i].reset {
			continue
		}
		if s[i].gap >= pause {
			return i + 1, fmt.Sprintf("CMD or ENTRYPOINT, and %s later more layers", spell(s[i].gap))
		}
		if last == 0 {
			last = i + 1
		}
	}
	return last, "more layers after CMD or ENTRYPOINT"
}

func byPause(s []step) (int, string) {
	if !isRootFS(s[0].by) {
		return 0, ""
	}
	for i := len(s) - 2; i >= 0; i-- {
		if s[i].gap >= days {
			return i + 1, fmt.Sprintf("a pause of %s between layers", spell(s[i].gap))
		}
	}
	return 0, ""
}

// rootOnly is a base image itself.
func rootOnly(s []step) (int, string) {
	for _, l := range s {
		if !isRootFS(l.by) && !isWhole(l.by) {
			return 0, ""
		}
	}
	return len(s), "nothing but a root file system"
}

func isReset(by string) bool {
	by = strings.TrimSpace(strings.TrimPrefix(by, "/bin/sh -c"))
	by = strings.TrimSpace(strings.TrimPrefix(by, "#(nop)"))
	return strings.HasPrefix(by, "CMD") || strings.HasPrefix(by, "ENTRYPOINT")
}

// isRootFS knows how the root file systems of distributions are added: by
// docker's two builders, debuerreotype, and the builders of ubi.
func isRootFS(by string) bool {
	nop := strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(by, "/bin/sh -c "), "#(nop)"))
	fields := strings.Fields(strings.TrimSuffix(nop, "# buildkit"))
	return len(fields) >= 3 && fields[0] == "ADD" && fields[len(fields)-1] == "/" ||
		strings.HasPrefix(by, "# debian.sh")
}

func isWhole(by string) bool {
	return hasWord(by, "apko", "bazel build", "debuerreotype", "mmdebstrap")
}

func isOnTop(by string) bool { return hasWord(by, "ko build", "jib-") }

func hasWord(by string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(by, p) {
			return true
		}
	}
	return false
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(strings.TrimPrefix(s, "# "), " ")
	return word
}

func spell(d time.Duration) string {
	if d >= 2*days {
		return fmt.Sprintf("%d days", int(d/days))
	}
	return fmt.Sprintf("%d hours", int(d/time.Hour))
}
