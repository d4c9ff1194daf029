package prove

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/esclusa/esclusa/internal/shield"
)

// ResultV1 is the type of the predicate: what became of each case of a patch
// on one kernel.
const ResultV1 = "https://esclusa.dev/virtual-patch-test/v1"

// Host is where a patch was tried.
type Host struct {
	Tool   string    `json:"tool"`
	Kernel string    `json:"kernel"`
	Arch   string    `json:"arch"`
	At     time.Time `json:"at"`
}

// Statement writes the results as an in-toto statement (version 1) about the
// text of the patch, on one line. It is not signed here.
func Statement(w io.Writer, p *shield.Patch, h Host, results []Result) error {
	type subject struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	}
	sum := sha256.Sum256(p.Text)
	statement := struct {
		Type          string    `json:"_type"`
		Subject       []subject `json:"subject"`
		PredicateType string    `json:"predicateType"`
		Predicate     any       `json:"predicate"`
	}{
		"https://in-toto.io/Statement/v1",
		[]subject{{p.ID + ".yaml", map[string]string{"sha256": hex.EncodeToString(sum[:])}}},
		ResultV1,
		struct {
			Host
			Patch   string   `json:"patch"`
			OK      bool     `json:"ok"`
			Results []Result `json:"results"`
		}{h, p.ID, OK(results), results},
	}
	if err := json.NewEncoder(w).Encode(statement); err != nil {
		return fmt.Errorf("write statement: %w", err)
	}
	return nil
}

// OK says that every case was as it must be.
func OK(results []Result) bool {
	for _, r := range results {
		if !r.OK {
			return false
		}
	}
	return len(results) > 0
}

// Table writes the results for people, 80 columns wide; who did a case is in
// the statement.
func Table(w io.Writer, p *shield.Patch, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	baseline := slices.ContainsFunc(results, func(r Result) bool { return r.Without != "" })
	head := "\tMUST\tDID\tCASE"
	if baseline {
		head = "\tWITHOUT\tMUST\tDID\tCASE"
	}
	fmt.Fprintf(t, "%s\n%s\n", strings.TrimSpace(p.ID+" "+p.Name), head)
	for _, r := range results {
		kind := "allows"
		if r.Blocks {
			kind = "blocks"
		}
		if baseline {
			kind += "\t" + r.Without
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", kind, r.Want, r.Got, r.Case)
		if !r.OK {
			fmt.Fprintf(t, "  WRONG: %s\n", r.Why)
		}
	}
	return t.Flush()
}
