// Package json writes the report as a stream: one message a line (see
// esclusa.Message). It is the form to keep, and the one that the server takes.
package json

import (
	"bufio"
	"io"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/report"
)

// Format writes the stream.
type Format struct{}

func (Format) Name() string { return "json" }

// Write implements report.Format.
func (Format) Write(w io.Writer, r *esclusa.Report, _ report.Options) error {
	b := bufio.NewWriter(w)
	enc := report.NewEncoder(b)
	for m := range report.Messages(r) {
		if err := enc.Encode(m); err != nil {
			return err
		}
	}
	return b.Flush()
}
