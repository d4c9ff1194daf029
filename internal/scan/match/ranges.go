package match

import (
	"slices"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/version"
)

// held is one entry of an advisory that holds for a package.
type held struct {
	advisory *esclusa.Advisory
	affected *esclusa.Affected
	fix      string // of the range that holds the version; "" when none
}

// hold appends the entries of the advisories that hold for the package.
func (m *matcher) hold(p *esclusa.Package, t *target, list []esclusa.Advisory, out []held) []held {
	var installed version.Version
	var parsed bool
	for i := range list {
		a := &list[i]
		if !a.Withdrawn.IsZero() || isUpdateOnly(a) {
			continue
		}
		for j := range a.Affected {
			f := &a.Affected[j]
			if t.release != nil && !t.release(f.Ecosystem) {
				continue
			}
			if t.ecosystem == "AlmaLinux" || t.ecosystem == "Rocky Linux" || t.ecosystem == "Red Hat" {
				if otherModule(p, a, f) {
					continue
				}
			}
			if !parsed {
				var err error
				if installed, err = t.scheme.Parse(t.version); err != nil {
					m.item(p, "version of "+p.Name, err.Error())
				}
				parsed = true
			}
			yes, fix, err := affected(installed, t.version, f)
			if err != nil && !yes {
				m.item(p, "advisory "+a.ID+" on "+p.Name, err.Error())
				continue
			}
			if yes && !rebuilt(p, a, f) {
				out = append(out, held{a, f, fix})
			}
		}
	}
	return out
}

// isUpdateOnly: an update that mends no flaw (ALBA, ALEA) is no news here.
func isUpdateOnly(a *esclusa.Advisory) bool {
	return (a.Informational == "bugfix" || a.Informational == "enhancement") && len(a.Upstream) == 0
}

// errNoVersions is a record that names a package and no version of it.
type errNoVersions struct{}

func (errNoVersions) Error() string { return "the record names no version" }

// affected says whether an entry holds for a version, and the fix that the
// range which holds it names. installed is zero if the text could not be
// parsed; then only the list of versions can hold. An error says that part
// of the entry could not be read; true is true all the same.
func affected(installed version.Version, text string, f *esclusa.Affected) (yes bool, fix string, err error) {
	if len(f.Ranges) == 0 && len(f.Versions) == 0 {
		return false, "", errNoVersions{}
	}
	if !installed.IsZero() {
		for i := range f.Ranges {
			in, rangeFix, rangeErr := inRange(installed, &f.Ranges[i])
			if in {
				yes, fix = true, smaller(installed.Scheme(), fix, rangeFix)
			}
			if rangeErr != nil {
				err = rangeErr
			}
		}
	}
	if !yes && listed(installed, text, f) {
		yes = true
		if !installed.IsZero() {
			fix, _ = nextFix(installed, f)
		}
	}
	return yes, fix, err
}

// listed: the list holds versions as they were published. Where a range
// stands beside it the same text is enough; alone, the same version is.
func listed(installed version.Version, text string, f *esclusa.Affected) bool {
	if slices.Contains(f.Versions, text) {
		return true
	}
	if installed.IsZero() || len(f.Ranges) > 0 {
		return false
	}
	for _, v := range f.Versions {
		// A listed version that cannot be read can only be the same text.
		if c, err := installed.CompareTo(v); err == nil && c == 0 {
			return true
		}
	}
	return false
}

// inRange walks the intervals of a range: each introduced opens one, and the
// first fixed, last_affected or limit behind it closes it. A fixed behind a
// last_affected does not decide; it is the fix to be shown.
func inRange(v version.Version, r *esclusa.Range) (in bool, fix string, err error) {
	if !ordered(r.Events) {
		return inUnordered(v, r.Events)
	}
	open, closed := false, false // an interval that begins at or before v
	for i := range r.Events {
		e := &r.Events[i]
		if e.Introduced != "" {
			if in {
				return true, fix, nil // the next interval: this one named no fix
			}
			c, err := compareIntroduced(v, e.Introduced)
			if err != nil {
				return false, "", err
			}
			open, closed = c >= 0, false
			continue
		}
		if !open {
			continue
		}
		if closed {
			if in && fix == "" && e.Fixed != "" {
				fix = e.Fixed
			}
			continue
		}
		closed = true
		switch {
		case e.Fixed != "":
			c, err := v.CompareTo(e.Fixed)
			if err != nil {
				return false, "", err
			}
			in, fix = c < 0, e.Fixed
		case e.LastAffected != "":
			c, err := v.CompareTo(e.LastAffected)
			if err != nil {
				return false, "", err
			}
			in = c <= 0
		case e.Limit != "" && e.Limit != "*":
			c, err := v.CompareTo(e.Limit)
			if err != nil {
				return false, "", err
			}
			in = c < 0
		default:
			closed = false
		}
		if !in {
			fix = ""
		}
	}
	return in || open && !closed, fix, nil
}

func compareIntroduced(v version.Version, introduced string) (int, error) {
	if introduced == "0" {
		return 1, nil // before every version
	}
	return v.CompareTo(introduced)
}

// ordered says that no two intervals are opened in a row: then each event
// belongs to the one before it, and their order can be trusted.
func ordered(events []esclusa.RangeEvent) bool {
	last := false
	for i := range events {
		intro := events[i].Introduced != ""
		if intro && last {
			return false
		}
		last = intro
	}
	return true
}

// inUnordered is the algorithm of the OSV schema: sort the events, then each
// that is at or before the version has its say.
func inUnordered(v version.Version, events []esclusa.RangeEvent) (bool, string, error) {
	type event struct {
		at   version.Version
		kind int // order among equals: introduced, limit, fixed, last affected
		text string
	}
	var list []event
	for _, e := range events {
		ev := event{text: e.Introduced + e.Fixed + e.LastAffected + e.Limit}
		switch {
		case e.Fixed != "":
			ev.kind = 2
		case e.LastAffected != "":
			ev.kind = 3
		case e.Limit != "":
			ev.kind = 1
		}
		if ev.kind != 0 || ev.text != "0" {
			var err error
			if ev.at, err = v.Scheme().Parse(ev.text); err != nil {
				return false, "", err
			}
		}
		list = append(list, ev)
	}
	slices.SortStableFunc(list, func(a, b event) int {
		if c := version.Compare(a.at, b.at); c != 0 {
			return c
		}
		return a.kind - b.kind
	})
	in, fix := false, ""
	for _, e := range list {
		c := 1
		if !e.at.IsZero() {
			c = version.Compare(v, e.at)
		}
		switch {
		case e.kind == 0 && c >= 0:
			in = true
		case e.kind == 3 && c > 0, (e.kind == 1 || e.kind == 2) && c >= 0:
			in = false
		case e.kind == 2 && c < 0 && in && fix == "":
			fix = e.text
		}
	}
	if !in {
		fix = ""
	}
	return in, fix, nil
}

// nextFix is the smallest fix above a version that a list names.
func nextFix(v version.Version, f *esclusa.Affected) (string, bool) {
	best := ""
	for i := range f.Ranges {
		for j := range f.Ranges[i].Events {
			fixed := f.Ranges[i].Events[j].Fixed
			if fixed == "" {
				continue
			}
			if c, err := v.CompareTo(fixed); err == nil && c < 0 {
				best = smaller(v.Scheme(), best, fixed)
			}
		}
	}
	return best, best != ""
}

// smaller is the smaller of two versions; an empty one is none.
func smaller(s version.Scheme, a, b string) string {
	if a == "" {
		return b
	}
	if b == "" {
		return a
	}
	v, err := s.Parse(a)
	if err != nil {
		return b
	}
	if c, err := v.CompareTo(b); err == nil && c > 0 {
		return b
	}
	return a
}
