// Package feeds brings advisories from their sources into the database: it
// knows where a source is, fetches what changed, and has it parsed by the
// source's own package (osv, kev, epss).
//
// It never matches anything, and it never lets one source's trouble reach
// another: a feed that fails is named, its old records stay, and the date of
// the feed shows their age.
//
// Start with Feed, the law of the sources, and Update.
package feeds

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/esclusa/esclusa"
)

// Feed is one source. Its folder is listed in package all.
type Feed interface {
	Spec() Spec
	// Parse reads one fetched copy and hands every record to the sink, from
	// several goroutines if it likes. A record that cannot be read goes to
	// Skip and the others are still handed over; an error says that the copy
	// as a whole is unusable, and nothing of it will be kept. Parse must not
	// panic on any content and bounds its memory and time.
	Parse(ctx context.Context, in File, sink Sink) error
}

// Spec says what a feed is and where. It is constant.
type Spec struct {
	Name string // "osv/npm", "kev"; the name in reports
	URL  string // the official address
	// Path is where a mirror keeps it, slash-separated and not escaped.
	Path string
	// Ecosystems are the OSV ecosystems that the feed is the authority for.
	Ecosystems []string
	// MaxSize is the largest copy to fetch, in bytes.
	MaxSize int64
}

// File is a fetched copy.
type File struct {
	io.ReaderAt
	Size int64
}

// Sink takes records. Its methods may be called from several goroutines. An
// error from it is about the one record: the feed passes it to Skip.
type Sink interface {
	Advisory(a *esclusa.Advisory) error
	KEV(cve string, k esclusa.KEV) error
	EPSS(cve string, score float64) error
	// Skip reports a record that was left out. What names it.
	Skip(what string, err error)
	// Date says when the source says that it is from, where it says so; else
	// the newest record tells.
	Date(t time.Time)
}

// ErrTooBig is inside the error of a feed whose copy is above a limit: more
// bytes, more records or more inflation than any real copy has.
var ErrTooBig = errors.New("above the limit")
