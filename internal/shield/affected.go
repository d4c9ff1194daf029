package shield

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// version is an upstream version: numbers with dots.
type version []int

// DecodeText implements yamlread.Scalar.
func (v *version) DecodeText(s string) error {
	n, rest := numbers(s)
	if n == nil || rest != "" {
		return fmt.Errorf("%q is no version of numbers and dots", yamlread.Clip(s, 40))
	}
	*v = n
	return nil
}

func (v version) String() string {
	parts := make([]string, len(v))
	for i, n := range v {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, ".")
}

// numbers takes the numbers at the beginning of a distribution's version:
// an epoch before them and a revision behind them are the distribution's.
func numbers(s string) (v version, rest string) {
	if epoch, after, ok := strings.Cut(s, ":"); ok && strings.Trim(epoch, "0123456789") == "" {
		s = after
	}
	for len(v) < 8 {
		end := 0
		for end < len(s) && end < 9 && '0' <= s[end] && s[end] <= '9' {
			end++
		}
		if end == 0 {
			break
		}
		n, _ := strconv.Atoi(s[:end]) // at most nine digits
		v, s = append(v, n), s[end:]
		if len(s) < 2 || s[0] != '.' || s[1] < '0' || s[1] > '9' {
			break
		}
		s = s[1:]
	}
	return v, s
}

// holds compares with missing numbers as 0: 5.12 is 5.12.0.
func (r Range) holds(v version) bool {
	return compare(v, r.From) >= 0 && compare(v, r.Before) < 0
}

func compare(a, b version) int {
	for len(a) < len(b) {
		a = append(a[:len(a):len(a)], 0)
	}
	for len(b) < len(a) {
		b = append(b[:len(b):len(b)], 0)
	}
	return slices.Compare(a, b)
}

// Facts are what is known of a host.
type Facts struct {
	Kernel string // its release, as uname(2) says
	// Packages are what is installed; Unread is why they are not known.
	Packages []esclusa.Package
	Unread   error
	// Program looks for a program where programs are, and is nil when nobody
	// did: one that no package brought has a version that nobody knows.
	Program func(name string) (path string, ok bool)
}

// State says whether a host has a bug.
type State string

// The states. Unknown is never "no".
const (
	Affected    State = "affected"
	NotAffected State = "not affected"
	Unknown     State = "unknown"
)

// Judge says whether the host has the bug, and by what.
func (p *Patch) Judge(f Facts) (State, string) {
	if len(p.Affects.Kernel) > 0 {
		v, _ := numbers(f.Kernel)
		if len(v) < 2 {
			return Unknown, fmt.Sprintf("the version of kernel %q", f.Kernel)
		}
		for _, r := range p.Affects.Kernel {
			if r.holds(v) {
				return Affected, fmt.Sprintf("kernel %s: upstream fixed it in %s", v, r.Before)
			}
		}
		if len(p.Affects.Packages) == 0 {
			return NotAffected, "kernel " + v.String()
		}
	}
	if f.Unread != nil {
		return Unknown, "the packages of this host: " + f.Unread.Error()
	}
	return p.judgePackages(f)
}

func (p *Patch) judgePackages(f Facts) (State, string) {
	why := ""
	for _, a := range p.Affects.Packages {
		for i := range f.Packages {
			h := &f.Packages[i]
			if !slices.Contains(a.Names, h.Name) {
				continue
			}
			v, _ := numbers(h.Version)
			if v == nil {
				return Unknown, "the version of " + h.Name + " " + h.Version
			}
			if i := slices.IndexFunc(a.Ranges, func(r Range) bool { return r.holds(v) }); i >= 0 {
				return Affected, fmt.Sprintf("%s %s: fixed in %s", h.Name, h.Version, a.Ranges[i].Before)
			}
			why = h.Name + " " + h.Version
		}
	}
	if why != "" {
		return NotAffected, why
	}
	if f.Program == nil {
		return Unknown, "no package of it is installed; nobody looked for programs without one"
	}
	for _, a := range p.Affects.Packages {
		for _, name := range a.Names {
			if path, ok := f.Program(name); ok {
				return Unknown, "the version of " + path + ", which no package brought"
			}
		}
	}
	return NotAffected, "no package and no program of it is installed"
}
