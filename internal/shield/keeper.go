package shield

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/shield/guards"
)

// Keeper keeps each patch in the mode that its standing asks for, and writes
// the standings down: wishes.json of its folder is written by people's
// commands, standing.json by the keeper alone. It is what a sensor takes as its
// guards and as a judge.
type Keeper struct {
	*Shield
	o KeeperOptions

	mu        sync.Mutex
	patches   map[string]*Patch // that can be loaded here
	all       []*Patch
	standings map[string]*Standing
	wishes    fs.FileInfo // of the file that was read last
	held      *os.File    // and its lock: that a keeper runs
}

// KeeperOptions are where a keeper keeps, and what it asks.
type KeeperOptions struct {
	Dir   string        // made if it is not there
	Facts func() Facts  // asked at the start and each hour
	Quiet time.Duration // see Quiet
	// Changed is told when a patch comes into another mode; may be nil.
	Changed func(p *Patch, s Standing)
	// Failed is told of files that cannot be read or written; patches stay in
	// the modes that they are in. May be nil.
	Failed func(error)
}

// The files of a keeper's folder.
const (
	wishesFile   = "wishes.json"
	standingFile = "standing.json"
	keeperFile   = "keeper.lock"
)

// maxState bounds what is read of a file of state, in bytes.
const maxState = 4 << 20

// NewKeeper judges every patch for this host. A patch that a person wants in
// force, and that this kernel cannot take, is an error: it is never less than
// what was asked.
func NewKeeper(patches []*Patch, o KeeperOptions) (*Keeper, error) {
	k := &Keeper{o: o, all: patches, patches: map[string]*Patch{}, standings: map[string]*Standing{}}
	if err := k.hold(); err != nil {
		return nil, err
	}
	if err := k.judge(); err != nil {
		k.held.Close()
		return nil, err
	}
	return k, nil
}

// Close lets another keeper have the folder.
func (k *Keeper) Close() error { return k.held.Close() }

// hold takes the folder.
func (k *Keeper) hold() (err error) {
	if err := os.MkdirAll(k.o.Dir, 0o700); err != nil {
		return err
	}
	if k.held, err = os.OpenFile(filepath.Join(k.o.Dir, keeperFile), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err := unix.Flock(int(k.held.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		k.held.Close()
		return hinted{fmt.Errorf("another sensor keeps %s", k.o.Dir), "end it, or choose another folder with --state"}
	}
	return nil
}

// Kept says whether a keeper holds the folder. An error says that this could
// not be found out, by one who may not look, say.
func Kept(dir string) (bool, error) {
	f, err := os.Open(filepath.Join(dir, keeperFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	defer f.Close() // and with it the lock
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil, nil
}

// Merge adds patches to others, and replaces those of the same id.
func Merge(list, own []*Patch) []*Patch {
	out := slices.DeleteFunc(slices.Clone(list), func(p *Patch) bool {
		return slices.ContainsFunc(own, func(o *Patch) bool { return o.ID == p.ID })
	})
	out = append(out, own...)
	slices.SortFunc(out, func(a, b *Patch) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// judge finds each patch's standing, and what of them can be loaded.
func (k *Keeper) judge() error {
	if err := readState(filepath.Join(k.o.Dir, standingFile), &k.standings); err != nil {
		return err
	}
	k.wishes, _ = os.Stat(filepath.Join(k.o.Dir, wishesFile)) // none is nil
	wishes, err := Wishes(k.o.Dir)
	if err != nil {
		return err
	}
	lacks := lacking(k.all)
	facts := k.o.Facts()
	now := time.Now()
	var loaded []*Patch
	for _, p := range k.all {
		s := k.standings[p.ID]
		if s == nil {
			s = &Standing{}
			k.standings[p.ID] = s
		}
		s.Wish, s.Lack = wishes[p.ID].Wish, lacks[p.ID]
		s.State, s.Known = p.Judge(facts)
		s.settle(p, k.o.Quiet, now)
		if s.Lack == "" {
			k.patches[p.ID] = p
			loaded = append(loaded, p)
			continue
		}
		if s.Wish == WishEnforce || s.Wish == WishObserve {
			return hinted{
				fmt.Errorf("patch %s cannot be in force here: %s", p.ID, s.Lack),
				"esclusa shield explain " + p.ID + " names other ways; esclusa shield retire " + p.ID + " takes the wish back",
			}
		}
		if s.Mode != guards.Off {
			s.Why = "cannot be in force here: " + s.Lack
		}
		s.Mode = guards.Off
	}
	// What is no longer a patch has no standing.
	maps.DeleteFunc(k.standings, func(id string, _ *Standing) bool {
		return !slices.ContainsFunc(k.all, func(p *Patch) bool { return p.ID == id })
	})
	k.Shield, err = New(loaded, func(p *Patch) guards.Mode { return k.standings[p.ID].Mode })
	return err
}

// hinted is an error that says what to do.
type hinted struct {
	error
	hint string
}

// Hint is what a person can do.
func (h hinted) Hint() string { return h.hint }

// lacking tries each guard on the kernel for a moment, and says why patches
// cannot be in force.
func lacking(patches []*Patch) map[string]string {
	tried, lacks := map[guards.Number]error{}, map[string]string{}
	for _, p := range patches {
		for _, g := range p.Guards {
			n := g.guard.Number
			if _, done := tried[n]; !done {
				tried[n] = try(g.guard)
			}
			if err := tried[n]; err != nil {
				lacks[p.ID] = lack(g.guard.Tier, err)
			}
		}
	}
	return lacks
}

func try(g guards.Guard) error {
	i, err := guards.NewInstance(g, nil, nil)
	if err != nil {
		return err
	}
	set, err := kernel.Load(Alone(), i.Object())
	if err != nil {
		return err
	}
	return set.Close()
}

func lack(t guards.Tier, err error) string {
	if t == guards.TierB && errors.Is(err, os.ErrPermission) {
		return "needs root, and BPF as a security module (lsm=…,bpf at boot, no lockdown)"
	}
	return err.Error()
}

// Gaps are the bugs that this host has or may have, and that cannot be guarded.
func (k *Keeper) Gaps() (gaps []esclusa.Gap) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.all {
		if s := k.standings[p.ID]; s.Lack != "" && s.State != NotAffected && s.Wish != WishOff {
			gaps = append(gaps, s.gap(p.ID))
		}
	}
	return gaps
}

// Counts are how many patches are in each mode.
func (k *Keeper) Counts() map[guards.Mode]int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := map[guards.Mode]int{}
	for _, s := range k.standings {
		n[s.Mode]++
	}
	return n
}

// Judge makes the detection of a guard's event, and counts what would have
// been refused.
func (k *Keeper) Judge(e *esclusa.Event, found func(esclusa.Detection)) {
	if e.Kind != esclusa.EventGuard {
		return
	}
	id, _ := e.Fields.Get("patch")
	refused, _ := e.Fields.Get("refused")
	if id != nil && (refused == nil || refused.Number == 0) {
		k.mu.Lock()
		if s := k.standings[id.Text]; s != nil {
			s.Hits++
		}
		k.mu.Unlock()
	}
	k.Shield.Judge(e, found)
}

// Periods of a keeper.
const (
	lookForWishes = time.Second
	countTime     = time.Minute
	askForFacts   = time.Hour
)

// Run follows wishes, time and facts until ctx ends. The guards have to be
// loaded. A file that cannot be read or written is told and ends nothing: the
// sensor around it has to go on.
func (k *Keeper) Run(ctx context.Context) error {
	if err := k.save(); err != nil {
		return err
	}
	tick := time.NewTicker(lookForWishes)
	defer tick.Stop()
	counted, asked := time.Now(), time.Now()
	for {
		var now time.Time
		select {
		case <-ctx.Done():
			return k.save()
		case now = <-tick.C:
		}
		wishes, changed, err := k.newWishes()
		k.failed(err)
		var facts *Facts
		if now.Sub(asked) >= askForFacts {
			f := k.o.Facts()
			facts, asked = &f, now
		}
		watched := now.Sub(counted)
		if watched < countTime && !changed && facts == nil {
			continue
		}
		counted = now
		if !changed {
			wishes = nil
		}
		if err := k.turn(wishes, facts, watched, now); err != nil {
			return err
		}
		k.failed(k.save())
	}
}

func (k *Keeper) failed(err error) {
	if err != nil && k.o.Failed != nil {
		k.o.Failed(err)
	}
}

// newWishes reads the wishes when somebody has written them.
func (k *Keeper) newWishes() (map[string]Wished, bool, error) {
	info, err := os.Stat(filepath.Join(k.o.Dir, wishesFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	switch {
	case info == nil && k.wishes == nil:
		return nil, false, nil
	case info != nil && k.wishes != nil && os.SameFile(info, k.wishes) && info.ModTime().Equal(k.wishes.ModTime()):
		return nil, false, nil
	}
	k.wishes = info
	w, err := Wishes(k.o.Dir)
	return w, err == nil, err
}

// turn brings every patch into the mode that it now has to be in.
func (k *Keeper) turn(wishes map[string]Wished, facts *Facts, watched time.Duration, now time.Time) error {
	type change struct {
		p *Patch
		s Standing
	}
	var changed []change
	var err error
	k.mu.Lock()
	for _, p := range k.all {
		s := k.standings[p.ID]
		if s.Mode == guards.Observe {
			s.Watched += watched
		}
		if wishes != nil {
			s.Wish = wishes[p.ID].Wish
		}
		if facts != nil {
			s.State, s.Known = p.Judge(*facts)
		}
		if k.patches[p.ID] == nil {
			continue // this kernel cannot; whoever wishes it is told so by the command
		}
		if s.settle(p, k.o.Quiet, now) {
			changed = append(changed, change{p, *s})
			err = errors.Join(err, k.SetMode(p.ID, s.Mode))
		}
	}
	k.mu.Unlock()
	if k.o.Changed != nil {
		for _, c := range changed {
			k.o.Changed(c.p, c.s)
		}
	}
	return err
}

func (k *Keeper) save() error {
	k.mu.Lock()
	data, err := json.MarshalIndent(k.standings, "", "  ")
	k.mu.Unlock()
	if err != nil {
		return err
	}
	return writeState(filepath.Join(k.o.Dir, standingFile), data)
}

// Standings are what the last keeper of a folder wrote down, by id.
func Standings(dir string) (map[string]Standing, error) {
	s := map[string]Standing{}
	return s, readState(filepath.Join(dir, standingFile), &s)
}

// Wished is a wish, and whose.
type Wished struct {
	Wish Wish      `json:"wish"`
	At   time.Time `json:"at"`
	UID  int       `json:"uid"`
}

// Wishes are those of a folder, by id of the patch.
func Wishes(dir string) (map[string]Wished, error) {
	w := map[string]Wished{}
	if err := readState(filepath.Join(dir, wishesFile), &w); err != nil {
		return nil, err
	}
	for id, x := range w {
		if _, err := ParseWish(string(x.Wish)); err != nil {
			return nil, fmt.Errorf("%s: patch %q: %w", filepath.Join(dir, wishesFile), id, err)
		}
	}
	return w, nil
}

// SetWish writes a wish down; a keeper that runs follows it within seconds.
func SetWish(dir, id string, w Wish, now time.Time) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close() // and with it the lock
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	all, err := Wishes(dir)
	if err != nil {
		return err
	}
	if w == WishAuto {
		delete(all, id)
	} else {
		all[id] = Wished{w, now.UTC(), os.Getuid()}
	}
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return writeState(filepath.Join(dir, wishesFile), data)
}

// readState reads a file of state; none leaves v as it is.
func readState(name string, v any) error {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxState+1))
	switch {
	case err != nil:
		return err
	case len(data) > maxState:
		err = fmt.Errorf("more than %d bytes", maxState)
	default:
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return hinted{fmt.Errorf("read %s: %w", name, err), "remove the file: patches are then judged anew"}
	}
	return nil
}

// writeState replaces a file, so that a reader finds the old or the new.
func writeState(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails when it was renamed
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
