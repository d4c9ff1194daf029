// Package misconfig says which settings make a container easier to break
// into or harder to rely on: in the configuration and history of an image, in
// Dockerfiles and in Kubernetes manifests.
//
// It never runs a build, never asks a cluster and never guesses what a
// variable will hold. A file that it cannot parse is a Gap.
//
// Start with Readers. A check is one rule in rules.go and a few lines in
// instructions.go (a line of a Dockerfile or of a history), stages.go (a
// whole Dockerfile), image.go (a configuration) or workload.go (Kubernetes).
package misconfig

import (
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// Readers are the readers of this folder: of images, of Dockerfiles and of
// Kubernetes manifests. The lines that they show as evidence are masked first:
// what is wrong with a line may not be the key that also stands in it.
func Readers(mask func(string) string) []layer.Reader {
	return []layer.Reader{Image{mask}, Dockerfile{mask}, Kubernetes{}}
}

// rule is what a check tells people.
type rule struct {
	id       string // behind "misconfig/"
	title    string
	severity esclusa.Severity
	why      string
	advice   string // the changed line
}

// maxEvidence is how much of a line is shown, in bytes.
const maxEvidence = 160

func (r *rule) finding(place esclusa.Place, evidence string) esclusa.Finding {
	evidence = strings.Map(func(c rune) rune {
		if c < ' ' {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(evidence, "?"))
	if len(evidence) > maxEvidence {
		evidence = strings.ToValidUTF8(evidence[:maxEvidence], "") + "…"
	}
	return esclusa.Finding{
		Kind:     esclusa.KindMisconfiguration,
		ID:       "misconfig/" + r.id,
		Severity: r.severity,
		Title:    r.title,
		Place:    place,
		EPSS:     -1,
		Evidence: evidence,
		Advice:   r.why + " " + r.advice,
	}
}
