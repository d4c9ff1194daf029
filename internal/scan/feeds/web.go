package feeds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa/internal/scan/advisory"
)

// web is a mirror on a web server, or the official hosts. What it fetches is
// kept in a folder beside the database until that is replaced, so that a
// download goes on where it was cut, in this run or the next.
type web struct {
	base   string // "" for the official hosts
	client *http.Client
	dir    string
	stall  time.Duration
	parts  []*part
}

const (
	// attempts is how often one feed's download is taken up again within one
	// update, as long as each attempt brought something.
	attempts = 5
	// defaultStall is how long a body may stand still.
	defaultStall = time.Minute
)

func newWeb(o Options) (origin, error) {
	w := &web{client: o.Client, dir: filepath.Join(o.Into.Dir, "downloads"), stall: o.Stall}
	if o.From != "" {
		u, err := url.Parse(o.From)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("mirror %q: not an address", o.From)
		}
		w.base = strings.TrimRight(o.From, "/")
	}
	if w.stall == 0 {
		w.stall = defaultStall
	}
	if w.client == nil {
		w.client = newClient()
	}
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		return nil, fmt.Errorf("folder for downloads: %w", err)
	}
	return w, nil
}

// newClient has a time-out on every step but the body, which has its own.
func newClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: 15 * time.Second}).DialContext
	t.ResponseHeaderTimeout = 30 * time.Second
	return &http.Client{
		Transport: t,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 5 {
				return errors.New("too many redirects")
			}
			if via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
				return errors.New("redirect from https to " + r.URL.Scheme)
			}
			return nil
		},
	}
}

func (w *web) address(spec Spec) string {
	if w.base == "" {
		return spec.URL
	}
	parts := strings.Split(spec.Path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return w.base + "/" + strings.Join(parts, "/")
}

// validators name one version of what a server has.
type validators struct {
	URL      string `json:"url"`
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"modified,omitempty"`
}

func (v validators) tag() string {
	switch {
	case v.ETag != "":
		return "etag " + v.ETag
	case v.Modified != "":
		return "modified " + v.Modified
	}
	return ""
}

// ifRange is a validator that holds for single bytes (RFC 9110, 13.1.5).
func (v validators) ifRange() string {
	if v.ETag != "" && !strings.HasPrefix(v.ETag, "W/") {
		return v.ETag
	}
	return v.Modified
}

func (w *web) fetch(ctx context.Context, spec Spec, have advisory.Source, progress func(done, total int64)) (*fetched, error) {
	p, err := openPart(w.dir, spec.Name, w.address(spec))
	if err != nil {
		return nil, err
	}
	if err := w.fill(ctx, p, spec, have, progress); err != nil {
		if errors.Is(err, errUnchanged) || errors.Is(err, errAbsent) {
			p.remove()
		}
		p.Close()
		return nil, err
	}
	w.parts = append(w.parts, p)
	return &fetched{
		File: File{p, p.size}, from: p.URL, tag: p.tag(),
		check:  func() error { return nil }, // the copy is ours
		close:  p.Close,
		spoilt: p.remove,
		again:  p.resumed,
	}, nil
}

// fill downloads until the part is whole.
func (w *web) fill(ctx context.Context, p *part, spec Spec, have advisory.Source, progress func(done, total int64)) error {
	for attempt := 1; ; attempt++ {
		before := p.size
		err := w.once(ctx, p, spec, have, progress)
		var cut cutError
		if err == nil || !errors.As(err, &cut) || ctx.Err() != nil {
			return err
		}
		dropped := before > 0 && p.size == 0 // what was kept did not fit
		if attempt == attempts || !dropped && (p.size <= before || p.ifRange() == "") {
			return err
		}
	}
}

// cutError is about a body that ended early: the rest can be had.
type cutError struct{ error }

func (e cutError) Unwrap() error { return e.error }

func (w *web) once(ctx context.Context, p *part, spec Spec, have advisory.Source, progress func(done, total int64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := w.ask(ctx, p, have)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusNotModified:
		return errUnchanged
	case http.StatusNotFound, http.StatusGone:
		return errAbsent
	case http.StatusOK:
		err = p.restart(validators{p.URL, resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")})
	case http.StatusPartialContent:
		err = p.goOn(resp.Header.Get("Content-Range"))
	case http.StatusRequestedRangeNotSatisfiable:
		// Nothing is missing, or the part is longer than the whole.
		if resp.Header.Get("Content-Range") == fmt.Sprintf("bytes */%d", p.size) {
			p.resumed = true
			return nil
		}
		p.remove()
		return cutError{errors.New("kept part does not fit")}
	default:
		err = fmt.Errorf("get %s: %s", p.URL, resp.Status)
	}
	if err != nil {
		return err
	}
	return w.body(resp, p, spec, cancel, progress)
}

func (w *web) ask(ctx context.Context, p *part, have advisory.Source) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "esclusa")
	req.Header.Set("Accept-Encoding", "identity") // the bytes as they are: ranges count them
	if have.From == p.URL {
		if etag, ok := strings.CutPrefix(have.Tag, "etag "); ok {
			req.Header.Set("If-None-Match", etag)
		} else if date, ok := strings.CutPrefix(have.Tag, "modified "); ok {
			req.Header.Set("If-Modified-Since", date)
		}
	}
	if p.size > 0 && p.ifRange() != "" {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", p.size))
		req.Header.Set("If-Range", p.ifRange())
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", p.URL, err)
	}
	return resp, nil
}

// body appends to the part. A body that stands still is given up.
func (w *web) body(resp *http.Response, p *part, spec Spec, cancel context.CancelCauseFunc, progress func(done, total int64)) error {
	total := int64(-1)
	if resp.ContentLength >= 0 {
		total = p.size + resp.ContentLength
	}
	if total > spec.MaxSize {
		return fmt.Errorf("get %s: %d bytes: %w", p.URL, total, ErrTooBig)
	}
	errStall := fmt.Errorf("nothing came for %v", w.stall)
	watch := time.AfterFunc(w.stall, func() { cancel(errStall) })
	defer watch.Stop()
	buf := make([]byte, 128<<10)
	for {
		n, err := resp.Body.Read(buf)
		watch.Reset(w.stall)
		if _, werr := p.Write(buf[:n]); werr != nil {
			return werr
		}
		p.size += int64(n)
		if p.size > spec.MaxSize {
			p.remove()
			return fmt.Errorf("get %s: %w", p.URL, ErrTooBig)
		}
		progress(p.size, total)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if cause := context.Cause(resp.Request.Context()); cause != nil {
				err = cause
			}
			return cutError{fmt.Errorf("get %s: %d of %d bytes: %w", p.URL, p.size, total, err)}
		}
	}
}

// done removes what is in the database now.
func (w *web) done() {
	for _, p := range w.parts {
		p.remove()
	}
}

// part is a download, whole or not, and what it is a part of.
type part struct {
	*os.File
	validators
	notes   string // the file that keeps the validators; "" for a private part
	size    int64
	resumed bool
}

// openPart opens the part that an earlier run left, or a new one. Two
// processes must not write to one file: the second takes a private one and
// does not wait.
func openPart(dir, feed, address string) (*part, error) {
	name := filepath.Join(dir, url.PathEscape(feed)+".part")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open download: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if f, err = os.CreateTemp(dir, ".private-*.part"); err != nil {
			return nil, fmt.Errorf("open download: %w", err)
		}
		os.Remove(f.Name()) // lives as long as it is open
		return &part{File: f, validators: validators{URL: address}}, nil
	}
	p := &part{File: f, validators: validators{URL: address}, notes: name + ".json"}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open download: %w", err)
	}
	var v validators
	text, err := os.ReadFile(p.notes)
	if err == nil && json.Unmarshal(text, &v) == nil && v.URL == address && v.ifRange() != "" {
		p.validators, p.size = v, st.Size()
	}
	return p, nil
}

// restart begins anew with what the server has now.
func (p *part) restart(v validators) error {
	if err := p.Truncate(0); err != nil {
		return err
	}
	if _, err := p.Seek(0, io.SeekStart); err != nil {
		return err
	}
	p.validators, p.size, p.resumed = v, 0, false
	if p.notes == "" {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(p.notes, text, 0o644)
}

// goOn checks that the server sends what comes next.
func (p *part) goOn(contentRange string) error {
	rest, ok := strings.CutPrefix(contentRange, "bytes ")
	first, _, _ := strings.Cut(rest, "-")
	at, err := strconv.ParseInt(first, 10, 64)
	if !ok || err != nil || at != p.size {
		p.remove()
		return cutError{fmt.Errorf("get %s: asked for byte %d, got range %q", p.URL, p.size, contentRange)}
	}
	p.resumed = true
	_, err = p.Seek(p.size, io.SeekStart)
	return err
}

// remove forgets the part; it can still be read until it is closed.
func (p *part) remove() {
	if p.notes != "" {
		os.Remove(p.notes)
		os.Remove(strings.TrimSuffix(p.notes, ".json"))
	}
	p.size, p.validators = 0, validators{URL: p.URL}
}
