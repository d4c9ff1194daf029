// Package cache keeps what was read of layers, so that a base layer that many
// images share is read once per machine, ever; and what the layers of an image
// came to, so that nothing is merged again where nothing changed. Entries are
// named by all that they depend on and never change: parallel processes share
// the folder without a lock; an index alone, which depends on the blob that a
// layer came in, may be replaced by another. Each entry is written aside and renamed into
// place; two processes that read the same layer write the same bytes.
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
	"github.com/esclusa/esclusa/internal/scan/contents"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// Cache is a folder of entries.
type Cache struct {
	dir string
	max int64
}

// DefaultMax is how many bytes of entries are kept: some thousand layers.
const DefaultMax = 1 << 30

// Open uses the folder, and makes it at the first Put. It is readable by its
// owner only: records name files and hold masked secrets.
func Open(dir string, max int64) *Cache { return &Cache{dir, max} }

// Get reads the record of a layer. A damaged entry is removed, and absent.
func (c *Cache) Get(set string, diffID esclusa.Digest) (*layer.Record, bool) {
	name, ok := c.layer(set, diffID)
	if !ok {
		return nil, false
	}
	rec, err := read(name, layer.DecodeRecord)
	return rec, err == nil
}

// Put keeps the record of a layer.
func (c *Cache) Put(set string, diffID esclusa.Digest, rec *layer.Record) error {
	name, ok := c.layer(set, diffID)
	if !ok {
		return fmt.Errorf("cache layer: not a digest: %q", diffID)
	}
	return c.write(name, rec.Encode)
}

// Index reads where the files of a layer are. A damaged entry is removed, and
// absent.
func (c *Cache) Index(diffID esclusa.Digest) (*layer.Index, bool) {
	name, ok := c.index(diffID)
	if !ok {
		return nil, false
	}
	x, err := read(name, layer.DecodeIndex)
	return x, err == nil
}

// PutIndex keeps where the files of a layer are.
func (c *Cache) PutIndex(diffID esclusa.Digest, x *layer.Index) error {
	name, ok := c.index(diffID)
	if !ok {
		return fmt.Errorf("cache index: not a digest: %q", diffID)
	}
	return c.write(name, x.Encode)
}

// maxOlder is how many records Older looks at.
const maxOlder = 4

// Older are the records of a layer by whatever readers, the youngest first.
func (c *Cache) Older(diffID esclusa.Digest) []*layer.Record {
	base, ok := plain(diffID)
	if !ok {
		return nil
	}
	type entry struct {
		name string
		at   time.Time
	}
	var all []entry
	sets, _ := os.ReadDir(filepath.Join(c.dir, layersDir)) // none: nothing is older
	for _, d := range sets {
		name := filepath.Join(c.dir, layersDir, d.Name(), base)
		if st, err := os.Stat(name); err == nil {
			all = append(all, entry{name, st.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return b.at.Compare(a.at) })
	var records []*layer.Record
	for _, e := range all[:min(len(all), maxOlder)] {
		b, err := os.ReadFile(e.name)
		if err != nil {
			continue
		}
		// What this release cannot read may be another one's.
		if rec, err := layer.DecodeRecord(b); err == nil {
			records = append(records, rec)
		}
	}
	return records
}

// Contents reads what an image holds; key names all that it depends on. A
// damaged entry is removed, and absent.
func (c *Cache) Contents(key esclusa.Digest) (*contents.Contents, bool) {
	name, ok := c.image(key)
	if !ok {
		return nil, false
	}
	held, err := read(name, contents.Decode)
	return held, err == nil
}

// PutContents keeps what an image holds.
func (c *Cache) PutContents(key esclusa.Digest, held *contents.Contents) error {
	name, ok := c.image(key)
	if !ok {
		return fmt.Errorf("cache image: not a digest: %q", key)
	}
	return c.write(name, held.Encode)
}

// Keep makes the record of a layer young without reading it. Whoever takes an
// image's contents says so of its layers: the image that is built on them
// tomorrow needs their records, and new readers their indexes.
func (c *Cache) Keep(set string, diffID esclusa.Digest) {
	if name, ok := c.layer(set, diffID); ok {
		touch(name)
	}
	if name, ok := c.index(diffID); ok {
		touch(name)
	}
}

func read[T any](name string, decode func([]byte) (T, error)) (v T, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return v, err
	}
	if v, err = decode(b); err != nil {
		os.Remove(name)
		return v, err
	}
	touch(name)
	return v, nil
}

func (c *Cache) write(name string, encode func() ([]byte, error)) error {
	b, err := encode()
	if err != nil {
		return err
	}
	if err := writeAside(name, b); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	c.prune()
	return nil
}

// writeAside renames a whole file into place.
func writeAside(name string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// The entries' files: outside strings never become a path.
func (c *Cache) layer(set string, diffID esclusa.Digest) (string, bool) {
	name, ok := plain(diffID)
	return filepath.Join(c.dir, layersDir, set, name), ok
}

func (c *Cache) index(diffID esclusa.Digest) (string, bool) {
	name, ok := plain(diffID)
	return filepath.Join(c.dir, indexesDir, name), ok
}

func (c *Cache) image(key esclusa.Digest) (string, bool) {
	name, ok := plain(key)
	return filepath.Join(c.dir, imagesDir, name), ok
}

const (
	layersDir  = "layers"
	indexesDir = "indexes"
	imagesDir  = "images"
)

// plain is a digest as a file name.
func plain(d esclusa.Digest) (string, bool) {
	algo, hex, ok := strings.Cut(string(d), ":")
	if !ok || len(hex) < 32 || strings.Trim(hex, "0123456789abcdef") != "" || strings.Trim(algo, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return "", false
	}
	return algo + "-" + hex, true
}

// touch keeps an entry young, at most once a day.
func touch(name string) {
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
	look := func(path string, d fs.DirEntry, err error) error {
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
	}
	for _, dir := range []string{layersDir, indexesDir, imagesDir} {
		filepath.WalkDir(filepath.Join(c.dir, dir), look)
	}
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
	if b, err := json.Marshal(s); err == nil {
		_ = writeAside(file, b)
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
