package layer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/esclusa/esclusa/internal/oci"
)

// Reread is what of a layer has to be read again so that an old record of it
// becomes one by today's readers: the very record that reading all of the
// layer would give. A reader that is in the record as it is now keeps its say;
// the files of all others are read.
//
// One thing is told better than by a whole read: in a file with more literals
// than Limits.Hits a reader that stayed keeps what it had found.
type Reread struct {
	*walker
	fresh mask // readers that read
	jobs  []job
}

// job is a file to be read: by the fresh readers, and for the names that link
// to it by all, as a whole read does.
type job struct {
	entry
	own   bool
	links []string
}

// Places reads a tar in parts. oci.TarSeeker is one.
type Places interface {
	MoveTo(offset int64) error
	io.Reader
}

// Reread finds out what has to be read. It is ErrIndex where only the whole
// layer will do.
func (p *Pool) Reread(ctx context.Context, old *Record, x *Index) (*Reread, error) {
	r := &Reread{walker: p.walker(ctx)}
	kept, ok := r.compare(old)
	if !ok {
		return nil, fmt.Errorf("%w: the record is whole or not at all", ErrIndex)
	}
	// What all readers together decide is decided anew.
	linked := map[string]bool{}
	err := x.entries(func(e *entry) error {
		switch e.kind {
		case entryLink:
			linked[e.name] = true
			r.hardlink(e.name, e.target, e.mode)
		case entrySparse:
			r.sparse(e.name, e.mode, e.size)
		}
		return ctx.Err()
	})
	if err == nil {
		err = r.plan(x)
	}
	if err != nil {
		return nil, err
	}
	r.inherit(old, kept, linked)
	return r, nil
}

// compare says which readers' part of the old record holds, and makes all
// others fresh.
func (r *Reread) compare(old *Record) (kept map[string]bool, ok bool) {
	if old.Whole || len(old.GapBy) != len(old.Gaps) {
		return nil, false
	}
	was := make(map[Maker]bool, len(old.Readers))
	for _, m := range old.Readers {
		was[m] = true
	}
	kept = map[string]bool{}
	names := map[string]bool{}
	for _, m := range r.rec.Readers {
		names[m.Name] = true
		if was[m] {
			kept[m.Name] = true
		}
	}
	if len(was) != len(old.Readers) || len(names) != len(r.rec.Readers) {
		return nil, false // two readers of one name
	}
	// Who owns what is one set for all readers that know.
	if slices.ContainsFunc(old.Owners, func(name string) bool { return !kept[name] }) {
		for _, name := range old.Owners {
			delete(kept, name)
		}
	} else {
		r.rec.Owned, r.rec.Owners = slices.Clone(old.Owned), slices.Clone(old.Owners)
	}
	for i, m := range r.rec.Readers {
		if !kept[m.Name] {
			r.fresh |= 1 << i
		}
	}
	return kept, true
}

// plan lists the files to be read.
func (r *Reread) plan(x *Index) error {
	may := func(e *entry) func(claimRef) bool {
		return func(c claimRef) bool { return e.may(&c.claim) }
	}
	return x.entries(func(e *entry) error {
		if e.kind == entryLink {
			return nil
		}
		j := job{links: r.wanted[e.name]}
		if e.kind == entryFile {
			r.pool.set.claims(e.name, e.mode, e.size, &r.wants)
			r.wants.limit(r.fresh)
			j.own = r.wants.sure != 0 || slices.ContainsFunc(r.wants.maybe, may(e)) || slices.ContainsFunc(r.wants.over, may(e))
		}
		if j.own || len(j.links) > 0 {
			j.entry = *e
			r.jobs = append(r.jobs, j)
		}
		return nil
	})
}

// inherit takes over what holds of the old record.
func (r *Reread) inherit(old *Record, kept, linked map[string]bool) {
	rec := r.rec
	rec.Entries, rec.Bytes, rec.Paths, rec.Symlinks = old.Entries, old.Bytes, old.Paths, old.Symlinks
	rec.Whiteouts, rec.Opaque = old.Whiteouts, old.Opaque
	for _, it := range old.Items {
		if kept[it.Reader] && !linked[it.Path] {
			rec.Items = append(rec.Items, it)
		}
	}
	for i, g := range old.Gaps {
		if by := old.GapBy[i]; by == byTar || kept[by] && !linked[g.Path] {
			rec.Gaps, rec.GapBy = append(rec.Gaps, g), append(rec.GapBy, by)
		}
	}
}

// Parts are the parts of the tar that will be read, in their order.
func (r *Reread) Parts() []oci.Part {
	parts := make([]oci.Part, 0, len(r.jobs))
	for i := range r.jobs {
		if j := &r.jobs[i]; j.kind == entryFile {
			parts = append(parts, oci.Part{From: j.offset, To: j.offset + j.size})
		}
	}
	return parts
}

// Run reads them. Beside an error there is no record.
func (r *Reread) Run(from Places) (*Record, error) {
	var err error
	for i := range r.jobs {
		if err = r.job(&r.jobs[i], from); err != nil {
			break
		}
	}
	rec, err := r.finish(err)
	switch {
	case err != nil:
		return nil, err
	case rec.Whole:
		return nil, fmt.Errorf("%w: a limit was met", ErrIndex)
	}
	return rec, nil
}

func (r *Reread) job(j *job, from Places) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if j.kind == entryFile {
		if err := from.MoveTo(j.offset); err != nil {
			return fmt.Errorf("read %s: %w", j.name, err)
		}
	}
	content, again := io.Reader(from), io.Reader(from)
	if j.own && len(j.links) > 0 && j.size <= maxLinked {
		data := make([]byte, j.size)
		if _, err := io.ReadFull(from, data); err != nil {
			return fmt.Errorf("read %s: %w", j.name, err)
		}
		content, again = bytes.NewReader(data), bytes.NewReader(data)
	}
	if j.own {
		r.only = r.fresh
		if err := r.file(j.name, j.mode, j.uid, j.size, content); err != nil {
			return err
		}
	}
	r.only = ^mask(0)
	return r.linked(&j.entry, j.links, again)
}
