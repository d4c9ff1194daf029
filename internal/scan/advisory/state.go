package advisory

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// State is the folder in which a database lives. Any number of processes may
// read, and replace, at once: a reader keeps the file that it opened, and of
// two writers the later wins. There is no lock to wait for.
type State struct {
	Dir string
}

const (
	fileName   = "advisories.db"
	tempPrefix = ".advisories-"
)

// Path is where the database is.
func (s State) Path() string { return filepath.Join(s.Dir, fileName) }

// Open opens the database; without one the error is fs.ErrNotExist.
func (s State) Open() (*DB, error) { return Open(s.Path()) }

// Replace puts what build writes in the place of the database. Until the last
// step, a rename, the old one is untouched: an error, a kill or a power cut
// at any moment leaves it in use. What was written must open.
func (s State) Replace(build func(io.Writer) error) error {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return fmt.Errorf("replace advisory database: %w", err)
	}
	s.sweep()
	temp, err := os.CreateTemp(s.Dir, tempPrefix+"*")
	if err != nil {
		return fmt.Errorf("replace advisory database: %w", err)
	}
	defer os.Remove(temp.Name()) // gone already when all went well
	defer temp.Close()
	// Held while the file is written: a sweep of another process sees that
	// this one lives. The kernel lets go when the process ends, however.
	if err := unix.Flock(int(temp.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("replace advisory database: lock %s: %w", temp.Name(), err)
	}
	if err := s.fill(temp, build); err != nil {
		return fmt.Errorf("replace advisory database: %w", err)
	}
	if err := os.Rename(temp.Name(), s.Path()); err != nil {
		return fmt.Errorf("replace advisory database: %w", err)
	}
	return syncDir(s.Dir)
}

func (s State) fill(temp *os.File, build func(io.Writer) error) error {
	if err := build(temp); err != nil {
		return err
	}
	if err := temp.Chmod(0o644); err != nil {
		return err
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	db, err := Open(temp.Name())
	if err != nil {
		return err
	}
	return db.Close()
}

// sweep removes what killed writers left behind. Whatever fails here fails
// again, with a word, where it matters.
func (s State) sweep() {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix) || e.Type() != 0 {
			continue
		}
		path := filepath.Join(s.Dir, e.Name())
		f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		// A writer locks right after it creates, so a file without a lock may
		// be a moment old and not yet locked: an hour makes it a leftover.
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil && old(f) {
			os.Remove(path)
		}
		f.Close()
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

func old(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && time.Since(st.ModTime()) > time.Hour
}
