// Package kernel puts esclusa's programs into the kernel and takes their
// records out. It knows rings, losses, tiers and how a program is attached; it
// does not know what an exec or a sysctl is: families of events
// (watch/events/*) and guards (shield/guards/*) bring their programs and give
// their records a meaning.
//
// What works is found by loading, never by reading a file: a kernel that
// names "bpf" among its security modules may still refuse to load for it.
//
// Start with Load, then Set.Run.
package kernel

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// Object is one folder's compiled programs.
type Object struct {
	Name string
	Spec func() (*ebpf.CollectionSpec, error) // of bpf2go
	// Prepare may set maps and parameters before loading; may be nil.
	Prepare func(*ebpf.CollectionSpec) error
	// Loaded is told the object's own maps before a program is attached, so
	// that a guard is armed when it begins; may be nil.
	Loaded func(maps map[string]*ebpf.Map) error
	// Optional says that a kernel without what it needs is no error: it is
	// then named by Set.Missing.
	Optional bool
}

// Missing is an optional object that this kernel could not take.
type Missing struct {
	Name string
	Err  error
}

// Options are what a user may change.
type Options struct {
	// Cgroup is the root of the unified hierarchy, where cgroup programs are
	// attached; empty finds it, and mounts none.
	Cgroup string
	// Bytes of the rings, powers of two; zero is the default.
	ProcessRing, ActivityRing, DetectionRing uint32
	// Budget is how many records of the activity ring one container may make
	// in a second; zero is no limit.
	Budget uint64
	// Host asks for what processes of the host do, too.
	Host bool
}

// Default sizes: 16 MiB hold 40,000 execs, a second of a furious build. Each
// page of a ring counts twice in the memory of the process.
const (
	defaultProcess   = 16 << 20
	defaultActivity  = 8 << 20
	defaultDetection = 1 << 20
)

// Settings of the programs; bpf/esclusa.h has the same list.
const (
	setSelf = iota
	setHost
	setBudget
	setMountNS
)

// Set is programs in the kernel. Close takes them out.
type Set struct {
	shared map[string]*ebpf.Map
	loaded []*loaded
	links  []link.Link
	cgroup string

	missing []Missing

	// Posts takes what is seen without a program.
	Posts Posts
}

type loaded struct {
	name string
	coll *ebpf.Collection
	spec *ebpf.CollectionSpec
}

// Load puts programs into the kernel and attaches them. Either all are in
// force when it returns, or none.
func Load(o Options, objects ...Object) (_ *Set, err error) {
	// The limit of locked memory counts before 5.11; to find that out takes the
	// right to load a program, so that this is where a user without it learns so.
	switch err := rlimit.RemoveMemlock(); {
	case errors.Is(err, os.ErrPermission):
		return nil, hint(fmt.Errorf("no right to put programs into the kernel: %w", os.ErrPermission), "run as root")
	case err != nil:
		return nil, fmt.Errorf("lift the limit of locked memory: %w", err)
	}
	s := &Set{shared: map[string]*ebpf.Map{}, cgroup: o.Cgroup}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.cgroup == "" {
		if s.cgroup, err = unified(); err != nil {
			return nil, err
		}
	}
	for _, obj := range objects {
		err := s.load(o, obj)
		if err != nil && obj.Optional && unsupported(err) {
			s.missing = append(s.missing, Missing{obj.Name, err})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", obj.Name, err)
		}
	}
	if len(s.shared) > 0 {
		// The host's mount namespace is that of its first process; where that
		// one may not be looked at, ours.
		var ns unix.Stat_t
		if unix.Stat("/proc/1/ns/mnt", &ns) != nil {
			if err := unix.Stat("/proc/self/ns/mnt", &ns); err != nil {
				return nil, fmt.Errorf("read the host's mount namespace: %w", err)
			}
		}
		settings := map[uint32]uint64{setSelf: uint64(os.Getpid()), setBudget: o.Budget, setMountNS: ns.Ino}
		if o.Host {
			settings[setHost] = 1
		}
		for k, v := range settings {
			if err := s.shared["esc_settings"].Put(k, v); err != nil {
				return nil, fmt.Errorf("set up programs: %w", err)
			}
		}
	}
	for _, l := range s.loaded {
		if err := s.attach(l); err != nil {
			return nil, fmt.Errorf("attach %s: %w", l.name, err)
		}
	}
	return s, nil
}

func (s *Set) load(o Options, obj Object) error {
	spec, err := obj.Spec()
	if err != nil {
		return err
	}
	if obj.Prepare != nil {
		if err := obj.Prepare(spec); err != nil {
			return err
		}
	}
	replace := map[string]*ebpf.Map{}
	for name, m := range spec.Maps {
		switch {
		case strings.HasPrefix(name, "esc_cpu_"):
			n, err := ebpf.PossibleCPU()
			if err != nil {
				return err
			}
			m.MaxEntries = uint32(n)
			continue
		case !strings.HasPrefix(name, "esc_"):
			continue
		}
		if s.shared[name] == nil {
			o.size(m)
			if s.shared[name], err = ebpf.NewMap(m); err != nil {
				return fmt.Errorf("make map %s: %w", name, err)
			}
		}
		// The size was set by Go; a replacement must have the spec's.
		m.MaxEntries = s.shared[name].MaxEntries()
		replace[name] = s.shared[name]
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: replace})
	if err != nil {
		return explain(err)
	}
	s.loaded = append(s.loaded, &loaded{obj.Name, coll, spec})
	if obj.Loaded != nil {
		return obj.Loaded(coll.Maps)
	}
	return nil
}

func (o Options) size(m *ebpf.MapSpec) {
	pick := func(v, d uint32) {
		if m.MaxEntries = v; v == 0 {
			m.MaxEntries = d
		}
	}
	switch m.Name {
	case "esc_process":
		pick(o.ProcessRing, defaultProcess)
	case "esc_activity":
		pick(o.ActivityRing, defaultActivity)
	case "esc_detection":
		pick(o.DetectionRing, defaultDetection)
	}
}

// attach puts an object's programs in force, in the order of their names.
func (s *Set) attach(l *loaded) error {
	names := make([]string, 0, len(l.coll.Programs))
	for name := range l.coll.Programs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p, spec := l.coll.Programs[name], l.spec.Programs[name]
		var (
			k   link.Link
			err error
		)
		switch spec.Type {
		case ebpf.Tracing:
			k, err = link.AttachTracing(link.TracingOptions{Program: p})
		case ebpf.LSM:
			k, err = link.AttachLSM(link.LSMOptions{Program: p})
		case ebpf.CGroupSysctl, ebpf.CGroupSockAddr, ebpf.CGroupSock, ebpf.CGroupSockopt, ebpf.CGroupDevice, ebpf.CGroupSKB, ebpf.SockOps:
			k, err = link.AttachCgroup(link.CgroupOptions{Path: s.cgroup, Attach: spec.AttachType, Program: p})
		default:
			err = fmt.Errorf("programs of type %s are not attached by this version", spec.Type)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, explain(err))
		}
		s.links = append(s.links, k)
	}
	return nil
}

// unsupported tells what a kernel lacks from an error of ours. What its
// verifier refuses counts as lacking: kernels differ in what they take, and in
// the helpers they have.
func unsupported(err error) bool {
	var v *ebpf.VerifierError
	return errors.As(err, &v) || errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, btf.ErrNotFound) || errors.Is(err, os.ErrPermission)
}

// Missing are the optional objects that could not be loaded, and why.
func (s *Set) Missing() []Missing { return s.missing }

// detach takes the programs out of the kernel; what they told is still there.
func (s *Set) detach() error {
	var errs []error
	for _, l := range slices.Backward(s.links) {
		errs = append(errs, l.Close())
	}
	s.links = nil
	return errors.Join(errs...)
}

// Close takes everything out of the kernel.
func (s *Set) Close() error {
	errs := []error{s.detach()}
	for _, l := range s.loaded {
		l.coll.Close()
	}
	for _, m := range s.shared {
		errs = append(errs, m.Close())
	}
	s.loaded, s.shared = nil, nil
	return errors.Join(errs...)
}

// hinted is an error with advice for the reader.
type hinted struct {
	error
	hint string
}

func (h hinted) Hint() string  { return h.hint }
func (h hinted) Unwrap() error { return h.error }

func hint(err error, text string) error { return hinted{err, text} }

// explain shortens a verifier's log to its last lines and adds what can be
// done.
func explain(err error) error {
	var v *ebpf.VerifierError
	if errors.As(err, &v) {
		return hint(fmt.Errorf("the kernel's verifier refused it: %w", err),
			"this kernel ("+runtime.GOARCH+") is not one that esclusa was tested with: please report it with the output of `esclusa watch doctor`")
	}
	if errors.Is(err, os.ErrPermission) {
		return hint(err, "needs root (CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN), or the kernel is locked down")
	}
	return err
}
