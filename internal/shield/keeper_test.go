package shield_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/kerneltest"
	"github.com/esclusa/esclusa/internal/shield"
	"github.com/esclusa/esclusa/internal/shield/guards"
)

// TestDecide: in force by itself only where the host has the bug and either it
// is exploited or nothing was hit for long enough; what a person wants goes
// first.
func TestDecide(t *testing.T) {
	const quiet = time.Hour
	p := parse(t)
	exploited := *p
	exploited.Exploited = true
	for _, tt := range []struct {
		name string
		p    *shield.Patch
		s    shield.Standing
		want guards.Mode
	}{
		{"a bug that nobody has", p, shield.Standing{State: shield.NotAffected, Watched: 2 * quiet}, guards.Off},
		{"a bug that nobody has, wished", p, shield.Standing{State: shield.NotAffected, Wish: shield.WishEnforce}, guards.Enforce},
		{"an exploited bug that nobody has", &exploited, shield.Standing{State: shield.NotAffected}, guards.Off},
		{"new", p, shield.Standing{State: shield.Affected}, guards.Observe},
		{"quiet for a while", p, shield.Standing{State: shield.Affected, Watched: quiet - 1}, guards.Observe},
		{"quiet for long", p, shield.Standing{State: shield.Affected, Watched: quiet}, guards.Enforce},
		{"a hit in that time", p, shield.Standing{State: shield.Affected, Watched: 9 * quiet, Hits: 1}, guards.Observe},
		{"a hit later", p, shield.Standing{State: shield.Affected, Watched: quiet, Hits: 1, Earned: true}, guards.Enforce},
		{"exploited", &exploited, shield.Standing{State: shield.Affected}, guards.Enforce},
		{"exploited, with a hit", &exploited, shield.Standing{State: shield.Affected, Hits: 7}, guards.Enforce},
		{"exploited, wished to look on", &exploited, shield.Standing{State: shield.Affected, Wish: shield.WishObserve}, guards.Observe},
		{"not known", p, shield.Standing{State: shield.Unknown, Watched: 9 * quiet}, guards.Observe},
		{"exploited and not known", &exploited, shield.Standing{State: shield.Unknown}, guards.Observe},
		{"in force, and no longer known", p, shield.Standing{State: shield.Unknown, Earned: true}, guards.Enforce},
		{"in force, exploited, and no longer known", &exploited, shield.Standing{State: shield.Unknown, Earned: true}, guards.Enforce},
		{"in force, and mended", p, shield.Standing{State: shield.NotAffected, Earned: true}, guards.Off},
		{"retired", &exploited, shield.Standing{State: shield.Affected, Wish: shield.WishOff, Earned: true}, guards.Off},
	} {
		if got, why := tt.p.Decide(&tt.s, quiet); got != tt.want || why == "" {
			t.Errorf("%s: %s (%s), want %s", tt.name, got, why, tt.want)
		}
	}
}

// keeping is a keeper over guards in the kernel.
type keeping struct {
	*shield.Keeper
	dir     string
	mu      sync.Mutex
	changed []string

	failures atomic.Int32
}

func kept(t *testing.T, dir string) bool {
	t.Helper()
	is, err := shield.Kept(dir)
	if err != nil {
		t.Fatal(err)
	}
	return is
}

func keep(t *testing.T, dir string, quiet time.Duration, facts func() shield.Facts) *keeping {
	t.Helper()
	k := &keeping{dir: dir}
	var err error
	k.Keeper, err = shield.NewKeeper([]*shield.Patch{parse(t)}, shield.KeeperOptions{
		Dir: dir, Facts: facts, Quiet: quiet,
		Failed: func(error) { k.failures.Add(1) },
		Changed: func(_ *shield.Patch, s shield.Standing) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.changed = append(k.changed, s.Mode.String())
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	set, err := kernel.Load(shield.Alone(), k.Objects()...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		err := set.Run(ctx, func(_ kernel.Head, rec []byte) {
			var e esclusa.Event
			if err := k.Decode(rec, &e); err != nil {
				t.Error(err)
			}
			k.Judge(&e, func(esclusa.Detection) {})
		})
		if err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		if err := k.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		set.Close()
		k.Close()
	})
	return k
}

// standing waits until the keeper has written what is true of it.
func (k *keeping) standing(t *testing.T, is func(shield.Standing) bool) shield.Standing {
	t.Helper()
	var s shield.Standing
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		all, err := shield.Standings(k.dir)
		if err != nil {
			t.Fatal(err)
		}
		if s = all["CVE-2099-0001"]; is(s) {
			return s
		}
	}
	t.Fatalf("never came: %+v", s)
	return s
}

func abuse() bool {
	return errors.Is(os.WriteFile("/proc/sys/kernel/msgmax", []byte("+1"), 0), os.ErrPermission)
}

// lawful writes the value that is there.
func lawful(t *testing.T) bool {
	t.Helper()
	old, err := os.ReadFile("/proc/sys/kernel/msgmax")
	if err != nil {
		t.Fatal(err)
	}
	return os.WriteFile("/proc/sys/kernel/msgmax", old, 0) == nil
}

// TestKeeper: the host has a bug; its patch looks on, comes into force by a
// person's wish and goes out by another, on this kernel, while lawful use goes
// on in every mode. What was wished outlives the keeper.
func TestKeeper(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	kerneltest.Alone(t)
	affected := func() shield.Facts { return shield.Facts{Kernel: "5.4.9"} }
	dir := t.TempDir()
	const id = "CVE-2099-0001"
	t.Run("first", func(t *testing.T) {
		k := keep(t, dir, time.Hour, affected)
		s := k.standing(t, func(s shield.Standing) bool { return s.Mode == guards.Observe })
		if s.State != shield.Affected || s.Lack != "" || abuse() || !lawful(t) {
			t.Errorf("%+v", s)
		}
		if _, err := shield.NewKeeper(nil, shield.KeeperOptions{Dir: dir, Facts: affected}); err == nil ||
			!strings.Contains(err.Error(), "another sensor") || !kept(t, dir) {
			t.Error("two keepers of one folder:", err)
		}
		for _, step := range []struct {
			wish   shield.Wish
			mode   guards.Mode
			refuse bool
		}{
			{shield.WishEnforce, guards.Enforce, true},
			{shield.WishOff, guards.Off, false},
			{shield.WishEnforce, guards.Enforce, true},
		} {
			if err := shield.SetWish(dir, id, step.wish, time.Now()); err != nil {
				t.Fatal(err)
			}
			k.standing(t, func(s shield.Standing) bool { return s.Wish == step.wish && s.Mode == step.mode })
			if got := abuse(); got != step.refuse || !lawful(t) {
				t.Errorf("%s: refused %t", step.wish, got)
			}
		}
		// A file that is spoilt while it runs is told, and changes nothing.
		good, err := os.ReadFile(filepath.Join(dir, "wishes.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "wishes.json"), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(20 * time.Second); k.failures.Load() == 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		}
		if k.failures.Load() != 1 || !abuse() || !lawful(t) {
			t.Errorf("%d failures told of one", k.failures.Load())
		}
		if err := os.WriteFile(filepath.Join(dir, "wishes.json"), good, 0o600); err != nil {
			t.Fatal(err)
		}
		s = k.standing(t, func(s shield.Standing) bool { return s.Hits > 0 })
		if s.Hits != 1 {
			t.Errorf("%d hits, want the one while it looked on", s.Hits)
		}
	})
	t.Run("again", func(t *testing.T) {
		k := keep(t, dir, time.Hour, affected)
		if !abuse() || !lawful(t) {
			t.Error("the wish did not outlive the keeper")
		}
		if err := shield.SetWish(dir, id, shield.WishAuto, time.Now()); err != nil {
			t.Fatal(err)
		}
		s := k.standing(t, func(s shield.Standing) bool { return s.Wish == "" && s.Mode == guards.Observe })
		if !strings.Contains(s.Why, "would have refused 1 use") {
			t.Errorf("%+v", s)
		}
	})
	t.Run("fixed", func(t *testing.T) {
		none := func(string) (string, bool) { return "", false }
		k := keep(t, dir, time.Hour, func() shield.Facts { return shield.Facts{Kernel: "5.4.10", Program: none} })
		if s := k.standing(t, func(s shield.Standing) bool { return s.Mode == guards.Off }); s.Hits != 0 || abuse() {
			t.Errorf("%+v", s)
		}
	})
	t.Run("by itself", func(t *testing.T) {
		k := keep(t, t.TempDir(), 0, affected)
		k.standing(t, func(s shield.Standing) bool { return s.Earned && s.Mode == guards.Enforce })
		if !abuse() || !lawful(t) {
			t.Error("it is said to be in force, and is not")
		}
	})
}

// TestKeeperDamage: a file that cannot be read is told, never taken for an
// empty one.
func TestKeeperDamage(t *testing.T) {
	for _, name := range []string{"wishes.json", "standing.json"} {
		for _, text := range []string{"{", `{"CVE-2099-0001": 7}`, `{"CVE-2099-0001": {"wish": "of", "mode": "of"}}`, "[" + strings.Repeat(" ", 5<<20) + "]"} {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := shield.NewKeeper(nil, shield.KeeperOptions{Dir: dir, Facts: func() shield.Facts { return shield.Facts{} }})
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s with %.20q: %v", name, text, err)
			}
			if kept(t, dir) {
				t.Error("a keeper that failed holds the folder")
			}
		}
	}
}
