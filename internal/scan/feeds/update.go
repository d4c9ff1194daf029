package feeds

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/advisory"
)

// Options say what to update from where.
type Options struct {
	// From is a mirror: the address of a web server, a folder, or a tar of
	// one. Empty is the official host of each feed.
	From  string
	Feeds []Feed
	Into  advisory.State
	// Client fetches; nil is one with time-outs on everything but the body,
	// which may be slow but must move.
	Client *http.Client
	// Stall is how long a download may stand still; 0 is a minute.
	Stall time.Duration
	// Progress is called while a feed is fetched, from one goroutine at a
	// time; total is -1 where the server does not say.
	Progress func(feed string, done, total int64)
	// Now is the time; nil is time.Now.
	Now func() time.Time
}

// Result is what an update did.
type Result struct {
	Feeds []esclusa.Feed // all that the database now has
	// Updated are the feeds with new data; without any the database is as it
	// was, byte for byte.
	Updated []string
	// Failed are the feeds that could not be had; Gaps say why. Their old
	// data, if there is any, is still in use, unless the old database was Damaged
	// and something had news: then it is gone.
	Failed  []string
	Damaged bool
	// Absent are the feeds that the mirror does not have, and never had.
	Absent []string
	Gaps   []esclusa.Gap
}

// maxGaps limits the gaps of one feed; Feed.Skipped has the number.
const maxGaps = 20

// Update fetches what changed and replaces the database. One feed's trouble
// stays its own. The error is not nil when nothing could be had at all or the
// new database could not be written; then the old one is still there.
func Update(ctx context.Context, o Options) (Result, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	var res Result
	from, err := newOrigin(o)
	if err != nil {
		return res, err
	}
	old, err := o.Into.Open()
	if err == nil {
		defer old.Close()
		if err = old.Verify(); err != nil {
			// Its feeds would answer that nothing is new, and the damage stay.
			old = nil
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		// A damaged database cannot be carried over; a new one cures it.
		res.Damaged = true
		res.Gaps = append(res.Gaps, esclusa.Gap{Scope: esclusa.GapFeed, What: "old advisory database", Err: err.Error()})
	}
	u := updater{Options: o, from: from, res: &res, tags: make(map[string]advisory.Source)}
	if old != nil {
		for _, s := range old.States() {
			u.tags[s.Name] = s
		}
	}
	for _, f := range o.Feeds {
		if err := u.feed(ctx, f); err != nil {
			return res, err
		}
	}
	if err := u.replace(old); err != nil {
		return res, err
	}
	if len(res.Feeds) == 0 && len(res.Failed) > 0 {
		return res, fmt.Errorf("update advisories: no feed could be had: %s", res.Gaps[len(res.Gaps)-1].Err)
	}
	from.done()
	return res, nil
}

// origin is where copies come from.
type origin interface {
	// fetch gets the copy of a feed. have is the feed as it is in the
	// database; errUnchanged says that it is still so, errAbsent that there
	// is no such feed here.
	fetch(ctx context.Context, spec Spec, have advisory.Source, progress func(done, total int64)) (*fetched, error)
	// done is called when the new database is in use: what was kept for a
	// second try can go.
	done()
}

var (
	errUnchanged = errors.New("not changed")
	errAbsent    = errors.New("not in this mirror")
)

// fetched is a copy of a feed.
type fetched struct {
	File
	from, tag string
	// check says, after parsing, that the copy did not change meanwhile.
	check func() error
	close func() error
	// spoilt is called for a copy that cannot be parsed, so that the next
	// update does not find it again.
	spoilt func()
	// again says that a second try from the start may help: the copy was put
	// together from two downloads.
	again bool
}

type updater struct {
	Options
	from  origin
	res   *Result
	tags  map[string]advisory.Source // what the old database has
	fresh []advisory.Source
}

// feed updates one feed. Its error ends the whole update.
func (u *updater) feed(ctx context.Context, f Feed) error {
	spec := f.Spec()
	have, had := u.tags[spec.Name]
	err := u.tryFeed(ctx, f, have)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("update advisories: %w", context.Cause(ctx))
	case err == nil:
		u.res.Updated = append(u.res.Updated, spec.Name)
	case errors.Is(err, errUnchanged):
	case errors.Is(err, errAbsent) && !had:
		u.res.Absent = append(u.res.Absent, spec.Name)
	default:
		u.res.Failed = append(u.res.Failed, spec.Name)
		gap := esclusa.Gap{Scope: esclusa.GapFeed, What: "feed " + spec.Name, Err: err.Error()}
		if had {
			gap.Hint = "the data of " + have.Date.Format(time.DateOnly) + " stays in use"
		}
		u.res.Gaps = append(u.res.Gaps, gap)
	}
	return nil
}

func (u *updater) tryFeed(ctx context.Context, f Feed, have advisory.Source) error {
	again, err := u.tryOnce(ctx, f, have)
	if err != nil && again && ctx.Err() == nil {
		_, err = u.tryOnce(ctx, f, have)
	}
	return err
}

func (u *updater) tryOnce(ctx context.Context, f Feed, have advisory.Source) (again bool, err error) {
	spec := f.Spec()
	c, err := u.from.fetch(ctx, spec, have, func(done, total int64) {
		if u.Progress != nil {
			u.Progress(spec.Name, done, total)
		}
	})
	if err != nil {
		return false, err
	}
	defer c.close()
	s, gaps, err := parseCopy(ctx, f, c.File, u.Now())
	if err == nil {
		err = c.check()
	}
	if err != nil {
		if ctx.Err() == nil {
			c.spoilt()
		}
		return c.again, fmt.Errorf("read %s: %w", c.from, err)
	}
	s.Tag, s.From = c.tag, c.from
	u.fresh = append(u.fresh, s)
	u.res.Gaps = append(u.res.Gaps, gaps...)
	return false, nil
}

// parseCopy makes a source of a copy.
func parseCopy(ctx context.Context, f Feed, in File, now time.Time) (advisory.Source, []esclusa.Gap, error) {
	spec := f.Spec()
	var s advisory.Source
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(in, 0, in.Size)); err != nil {
		return s, nil, err
	}
	k := &sink{feed: spec.Name, now: now, batch: new(advisory.Batch)}
	if err := f.Parse(ctx, in, k); err != nil {
		return s, nil, err
	}
	records := k.batch.Len()
	if records == 0 {
		return s, nil, errors.New("no record in it")
	}
	if k.skipped > records {
		return s, nil, fmt.Errorf("%d of %d records cannot be read", k.skipped, records+k.skipped)
	}
	s.Feed = esclusa.Feed{
		Name: spec.Name, Date: k.newest(), Fetched: now.UTC().Truncate(time.Second),
		Records: records, Skipped: k.skipped,
		Digest: esclusa.Digest("sha256:" + hex.EncodeToString(sum.Sum(nil))),
	}
	s.Ecosystems, s.Batch = spec.Ecosystems, k.batch
	return s, k.gaps(), nil
}

// replace builds the new database of what is fresh and what the old one has.
func (u *updater) replace(old *advisory.DB) error {
	if len(u.fresh) == 0 {
		if old != nil {
			u.res.Feeds = old.Feeds()
		}
		return nil
	}
	sources := u.fresh
	if old != nil {
		kept, err := old.Sources(func(feed string) bool {
			return !slices.ContainsFunc(u.fresh, func(s advisory.Source) bool { return s.Name == feed })
		})
		if err != nil {
			// Better the fresh feeds alone than no update because of one
			// damaged page; the others are missing, and are said to be.
			u.res.Gaps = append(u.res.Gaps, esclusa.Gap{Scope: esclusa.GapFeed, What: "old advisory database", Err: err.Error()})
			kept = nil
		}
		sources = append(sources, kept...)
	}
	err := u.Into.Replace(func(w io.Writer) error { return advisory.Build(w, sources) })
	if err != nil {
		return err
	}
	for _, s := range sources {
		u.res.Feeds = append(u.res.Feeds, s.Feed)
	}
	slices.SortFunc(u.res.Feeds, func(a, b esclusa.Feed) int { return strings.Compare(a.Name, b.Name) })
	return nil
}
