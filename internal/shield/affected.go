package shield

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// version is an upstream version: numbers with dots. A release candidate is
// before its release: 1.0.0-rc7 is 1, 0, 0, -1, 7.
type version []int

// candidate stands before the number of a release candidate.
const candidate = -1

// DecodeText implements yamlread.Scalar.
func (v *version) DecodeText(s string) error {
	n, rest := numbers(s)
	if n == nil || rest != "" {
		return fmt.Errorf("%q is no version of numbers and dots (and -rc7)", yamlread.Clip(s, 40))
	}
	*v = n
	return nil
}

func (v version) String() string {
	parts := make([]string, len(v))
	for i, n := range v {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Replace(strings.Join(parts, "."), ".-1.", "-rc", 1)
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
		if after, ok := cutCandidate(s); ok && !slices.Contains(v, candidate) {
			v, s = append(v, candidate), after
			continue
		}
		if len(s) < 2 || s[0] != '.' || s[1] < '0' || s[1] > '9' || slices.Contains(v, candidate) {
			break
		}
		s = s[1:]
	}
	return v, s
}

// cutCandidate cuts the words before a release candidate's number.
func cutCandidate(s string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(strings.TrimLeft(s, "~.-"), "rc")
	rest = strings.TrimPrefix(rest, ".")
	return rest, ok && rest != "" && '0' <= rest[0] && rest[0] <= '9'
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

// Distribution is the version in which a distribution fixed the bug: it mends
// its own line of a version, and leaves that version's name as it was.
type Distribution struct {
	System string   `yaml:"system,required" doc:"ID of os-release, alone or with VERSION_ID, as debian:12; el:9 is all that is like RHEL 9."`
	Fixed  revision `yaml:"fixed,required" doc:"The first fixed version. It decides for versions whose first two numbers are the same."`
}

// revision is a distribution's version, compared by all its numbers in order.
type revision struct {
	text    string
	numbers version
}

// DecodeText implements yamlread.Scalar.
func (r *revision) DecodeText(s string) error {
	if *r = revisionOf(s); len(r.numbers) < 3 {
		return fmt.Errorf("%q is no version of a distribution", yamlread.Clip(s, 40))
	}
	return nil
}

func revisionOf(s string) revision {
	r := revision{text: s}
	if epoch, after, ok := strings.Cut(s, ":"); ok && strings.Trim(epoch, "0123456789") == "" {
		s = after
	}
	for part := range strings.FieldsFuncSeq(s, func(c rune) bool { return c < '0' || c > '9' }) {
		if n, err := strconv.Atoi(part); err == nil && len(r.numbers) < 16 {
			r.numbers = append(r.numbers, n)
		}
	}
	return r
}

// decide says what a system's own list says of a version; ok is false where it
// says nothing.
func decide(list []Distribution, system, v string) (fixed string, holds, ok bool) {
	r := revisionOf(v).numbers
	for _, d := range list {
		if d.System != system && !strings.HasPrefix(system, d.System+":") || len(r) < 2 || !slices.Equal(r[:2], d.Fixed.numbers[:2]) {
			continue
		}
		return d.Fixed.text, compare(r, d.Fixed.numbers) < 0, true
	}
	return "", false, false
}

// Facts are what is known of a host.
type Facts struct {
	Kernel string // its release, as uname(2) says
	Build  string // its version, as uname(2) says: some write their own there
	Distro esclusa.Distro
	// Packages are what is installed; Unread is why they are not known.
	Packages []esclusa.Package
	Unread   error
	// Program looks for a program where programs are, and is nil when nobody
	// did: one that no package brought has a version that nobody knows.
	Program func(name string) (path string, ok bool)
}

// system is the host as Distribution has it. What is like RHEL counts its
// versions as RHEL does.
func (f Facts) system() string {
	switch f.Distro.ID {
	case "rhel", "almalinux", "rocky", "centos", "ol":
		major, _, _ := strings.Cut(f.Distro.Version, ".")
		return "el:" + major
	}
	return f.Distro.ID + ":" + f.Distro.Version
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
	if len(p.Affects.Kernel)+len(p.Affects.Distributions) > 0 {
		state, why := p.judgeKernel(f)
		if state != NotAffected || len(p.Affects.Packages) == 0 {
			return state, why
		}
	}
	if f.Unread != nil {
		return Unknown, "the packages of this host: " + f.Unread.Error()
	}
	return p.judgePackages(f)
}

func (p *Patch) judgeKernel(f Facts) (State, string) {
	release := f.kernel()
	v, _ := numbers(release)
	if len(v) < 2 {
		return Unknown, fmt.Sprintf("the version of kernel %q", f.Kernel)
	}
	if fixed, holds, ok := decide(p.Affects.Distributions, f.system(), release); ok {
		if holds {
			return Affected, fmt.Sprintf("kernel %s of %s: fixed in %s", release, f.system(), fixed)
		}
		return NotAffected, fmt.Sprintf("kernel %s of %s", release, f.system())
	}
	for _, r := range p.Affects.Kernel {
		if r.holds(v) {
			return Affected, fmt.Sprintf("kernel %s: upstream fixed it in %s", release, r.Before)
		}
	}
	return NotAffected, "kernel " + release
}

// kernel is the kernel's version as its distribution counts. Debian's release
// (6.1.0-48-amd64) says nothing of what is in it; its build says it:
// "#1 SMP PREEMPT_DYNAMIC Debian 6.1.172-1 (2026-05-15)".
func (f Facts) kernel() string {
	if _, after, ok := strings.Cut(f.Build, " Debian "); ok {
		own, _, _ := strings.Cut(after, " ")
		if v, _ := numbers(own); len(v) >= 2 {
			return own
		}
	}
	return f.Kernel
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
			if fixed, holds, ok := decide(a.Distributions, f.system(), h.Version); ok {
				if holds {
					return Affected, fmt.Sprintf("%s %s of %s: fixed in %s", h.Name, h.Version, f.system(), fixed)
				}
				why = h.Name + " " + h.Version
				continue
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
