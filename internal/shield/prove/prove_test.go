package prove_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"github.com/esclusa/esclusa/content"
	"github.com/esclusa/esclusa/internal/kerneltest"
	"github.com/esclusa/esclusa/internal/shield"
	"github.com/esclusa/esclusa/internal/shield/guards"
	"github.com/esclusa/esclusa/internal/shield/prove"
)

// TestMain is also the process of an act.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "act" {
		if err := prove.Child(os.Stdout, os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func self(t *testing.T) prove.Actor {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return prove.Actor{Path: path, Args: []string{"esclusa", "act"}}
}

// possible are the patches that this kernel can enforce.
func possible(t *testing.T) (list []*shield.Patch) {
	t.Helper()
	for _, p := range patches(t) {
		if row := p.Describe(shield.Facts{}); row.Possible {
			list = append(list, p)
		} else if p.Tier() == guards.TierA {
			t.Errorf("%s: %s", p.ID, row.Lack)
		}
	}
	return list
}

func patches(t *testing.T) []*shield.Patch {
	t.Helper()
	dir, err := fs.Sub(content.Patches, "patches")
	if err != nil {
		t.Fatal(err)
	}
	list, err := shield.ReadAll(dir)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestPatches tries every patch on this kernel, and first without its guard.
func TestPatches(t *testing.T) {
	kerneltest.Alone(t)
	for _, p := range patches(t) {
		t.Run(p.ID, func(t *testing.T) {
			results, err := prove.Run(t.Context(), p, self(t), prove.Options{Baseline: true})
			if errors.Is(err, os.ErrPermission) && os.Getuid() != 0 {
				t.Skip("needs root")
			}
			// Enforcement that cannot be had is an error, and nothing was tried.
			if err != nil && p.Tier() == guards.TierB && len(results) == 0 {
				kerneltest.Skip(t, "needs BPF as a security module: ", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if !r.OK || (r.Blocks && r.Without != "ok") {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}
