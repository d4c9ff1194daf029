// Package cache keeps what was read of layers, so that a base layer that many
// images share is read once per machine, ever. Entries are named by the
// layer's diff-ID and the key of the readers, and never change: parallel
// processes share the folder without a lock. Each entry is written aside and
// renamed into place; two processes that read the same layer write the same
// bytes.
//
// It holds no findings that depend on advisories: those are matched anew in
// every scan. A cache that cannot be read or written slows a scan down and
// never changes its result.
package cache

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// Cache is a folder of layer records.
type Cache struct {
	dir string
	max int64
}

// DefaultMax is how many bytes of records are kept: some thousand layers.
const DefaultMax = 1 << 30

// Open uses the folder, and makes it at the first Put. It is readable by its
// owner only: records name files and hold masked secrets.
func Open(dir string, max int64) *Cache { return &Cache{dir, max} }

// Get reads the record of a layer. A damaged entry is removed, and absent.
func (c *Cache) Get(set string, diffID esclusa.Digest) (*layer.Record, bool) {
	name, ok := c.name(set, diffID)
	if !ok {
		return nil, false
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, false
	}
	rec, err := layer.DecodeRecord(b)
	if err != nil {
		os.Remove(name)
		return nil, false
	}
	c.touch(name)
	return rec, true
}

// Put keeps the record of a layer.
func (c *Cache) Put(set string, diffID esclusa.Digest, rec *layer.Record) error {
	name, ok := c.name(set, diffID)
	if !ok {
		return fmt.Errorf("cache layer: not a digest: %q", diffID)
	}
	b, err := rec.Encode()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("cache layer: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return fmt.Errorf("cache layer: %w", err)
	}
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		os.Remove(tmp.Name())
		return fmt.Errorf("cache layer: %w", err)
	}
	c.prune()
	return nil
}

// name is the entry's file: outside strings never become a path.
func (c *Cache) name(set string, diffID esclusa.Digest) (string, bool) {
	name, ok := plain(diffID)
	return filepath.Join(c.dir, "layers", set, name), ok
}

// plain is a digest as a file name.
func plain(d esclusa.Digest) (string, bool) {
	algo, hex, ok := strings.Cut(string(d), ":")
	if !ok || len(hex) < 32 || strings.Trim(hex, "0123456789abcdef") != "" || strings.Trim(algo, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return "", false
	}
	return algo + "-" + hex, true
}

// touch keeps an entry young, at most once a day.
func (c *Cache) touch(name string) {
	if st, err := os.Stat(name); err == nil && time.Since(st.ModTime()) > 24*time.Hour {
		now := time.Now()
		os.Chtimes(name, now, now)
	}
}

// pruneEvery is how long a look at the folder's size holds.
const pruneEvery = time.Hour

// prune removes the oldest entries beyond the size, and what was left behind
// by processes that died. Errors do not matter: the next call tries again.
func (c *Cache) prune() {
	stamp := filepath.Join(c.dir, "pruned")
	if st, err := os.Stat(stamp); err == nil && time.Since(st.ModTime()) < pruneEvery {
		return
	}
	os.WriteFile(stamp, nil, 0o600)
	now := time.Now()
	os.Chtimes(stamp, now, now)
	type entry struct {
		path string
		size int64
		at   time.Time
	}
	var all []entry
	var total int64
	filepath.WalkDir(filepath.Join(c.dir, "layers"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		if strings.HasPrefix(d.Name(), ".tmp-") && now.Sub(info.ModTime()) > pruneEvery {
			os.Remove(path)
			return nil
		}
		all, total = append(all, entry{path, info.Size(), info.ModTime()}), total+info.Size()
		return nil
	})
	slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	for _, e := range all {
		if total <= c.max {
			break
		}
		os.Remove(e.path)
		total -= e.size
	}
}

// Seen is an image that was scanned.
type Seen struct {
	Name   string         `json:"name"`
	Digest esclusa.Digest `json:"digest,omitempty"`
}

// Remember keeps that the layers with this ChainID, as they stand, are an
// image: one that is built on them has them as its base. Errors do not matter.
func (c *Cache) Remember(chain esclusa.Digest, s Seen) {
	file, ok := c.chain(chain)
	if !ok {
		return
	}
	if _, err := os.Stat(file); err == nil {
		return
	}
	b, err := json.Marshal(s)
	if err != nil || os.MkdirAll(filepath.Dir(file), 0o700) != nil {
		return
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".tmp-*")
	if err != nil {
		return
	}
	_, err = tmp.Write(b)
	if errors.Join(err, tmp.Close()) != nil || os.Rename(tmp.Name(), file) != nil {
		os.Remove(tmp.Name())
	}
}

// Known is the image that was remembered under the ChainID.
func (c *Cache) Known(chain esclusa.Digest) (s Seen, ok bool) {
	file, ok := c.chain(chain)
	if !ok {
		return s, false
	}
	b, err := os.ReadFile(file)
	return s, err == nil && json.Unmarshal(b, &s) == nil
}

func (c *Cache) chain(id esclusa.Digest) (string, bool) {
	name, ok := plain(id)
	return filepath.Join(c.dir, "chains", name), ok
}
