// Package drift tells a changed file from one that was only touched. The
// kernel says that an executable lies in the writable layer of a container's
// overlay; a chmod, a chown or a touch brings a file of the image there as
// well, with the content as it was. So the content is compared with that of
// the layers below.
//
// It reads what a container may have made: paths below a layer are opened
// without leaving it, and size and number are bounded. What cannot be compared
// is an error, and the file counts as changed. Start with Checker.
package drift

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Limits of one comparison.
const (
	maxFile   = 512 << 20 // bytes compared
	maxMounts = 4 << 20   // bytes read of a table of mounts
	maxLayers = 512
	maxKnown  = 4096 // answers kept
)

// Checker compares executables with their images. It is for one goroutine.
type Checker struct {
	// Proc is where proc is mounted, and Host the root of the host's files, by
	// whose paths overlays name their layers: "/proc" and "/", or
	// "/proc/1/root" in a container of the sensor.
	Proc, Host string

	known map[identity]bool
}

// identity is a file at a state of its content: the change time cannot be set
// back.
type identity struct {
	dev, ino     uint64
	ctime, nsecs int64
	size         int64
	path         string
}

// ErrUnknown is a file that could not be compared: the process is gone, or its
// layers are not to be seen from here.
var ErrUnknown = errors.New("cannot be compared with the image")

// Changed says whether the executable of a process, at a path in its root, has
// other content than the image brought under that path. An error wraps
// ErrUnknown.
func (c *Checker) Changed(pid int32, exe string) (bool, error) {
	f, err := os.Open(filepath.Join(c.Proc, strconv.Itoa(int(pid)), "exe"))
	if err != nil {
		return true, unknown(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return true, unknown(err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || info.Size() > maxFile {
		return true, unknown(fmt.Errorf("%q is no file of at most %d bytes", exe, maxFile))
	}
	id := identity{st.Dev, st.Ino, st.Ctim.Sec, st.Ctim.Nsec, st.Size, exe}
	if changed, ok := c.known[id]; ok {
		return changed, nil
	}
	layers, rel, err := c.layers(pid, exe)
	if err != nil {
		return true, unknown(err)
	}
	changed, err := c.differs(f, info.Size(), layers, rel)
	if err != nil {
		return true, unknown(err)
	}
	if c.known == nil || len(c.known) >= maxKnown {
		c.known = map[identity]bool{}
	}
	c.known[id] = changed
	return changed, nil
}

func unknown(err error) error { return fmt.Errorf("%w: %w", ErrUnknown, err) }

// layers are the lower layers of the overlay that a path is in, the upper ones
// first, and the path in them.
func (c *Checker) layers(pid int32, exe string) (layers []string, rel string, err error) {
	f, err := os.Open(filepath.Join(c.Proc, strconv.Itoa(int(pid)), "mountinfo"))
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	return lowest(io.LimitReader(f, maxMounts), exe)
}

// lowest reads a table of mounts (proc_pid_mountinfo(5)): the mount with the
// longest path that holds exe is the one that exe is in; of equal ones the
// last, which covers the others.
func lowest(table io.Reader, exe string) (layers []string, rel string, err error) {
	found, options := "", ""
	s := bufio.NewScanner(table)
	s.Buffer(nil, maxMounts)
	for s.Scan() {
		mount, fs, ok := strings.Cut(s.Text(), " - ")
		fields, kind := strings.Fields(mount), strings.Fields(fs)
		if !ok || len(fields) < 6 || len(kind) < 3 {
			continue
		}
		point := unescape(fields[4])
		inside := point == "/" || exe == point || strings.HasPrefix(exe, point+"/")
		if !inside || len(point) < len(found) {
			continue
		}
		found, options = point, ""
		if kind[0] == "overlay" && fields[3] == "/" {
			options = kind[2]
		}
	}
	if err := s.Err(); err != nil {
		return nil, "", err
	}
	for _, o := range split(options, ',') {
		// Since Linux 6.8 each layer may stand in an option of its own.
		if all, ok := strings.CutPrefix(o, "lowerdir="); ok {
			layers = append(layers, split(all, ':')...)
		} else if one, ok := strings.CutPrefix(o, "lowerdir+="); ok {
			layers = append(layers, one)
		}
	}
	if len(layers) == 0 || len(layers) > maxLayers {
		return nil, "", fmt.Errorf("%q is in no overlay whose layers are told", exe)
	}
	for i, l := range layers {
		layers[i] = strings.ReplaceAll(strings.ReplaceAll(unescape(l), `\:`, ":"), `\,`, ",")
	}
	return layers, strings.TrimPrefix(strings.TrimPrefix(exe, found), "/"), nil
}

// split cuts at a separator that no backslash stands before.
func split(s string, sep byte) (out []string) {
	from := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case sep:
			if i > from {
				out = append(out, s[from:i])
			}
			from = i + 1
		}
	}
	if from < len(s) {
		out = append(out, s[from:])
	}
	return out
}

// unescape undoes the kernel's octal escapes of blanks and backslashes.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`, `\054`, ",", `\072`, ":").Replace(s)
}

// differs compares a file with the uppermost one of its name in the layers.
func (c *Checker) differs(f *os.File, size int64, layers []string, rel string) (bool, error) {
	for _, l := range layers {
		if !filepath.IsAbs(l) {
			return false, fmt.Errorf("layer %q is named by a relative path", l)
		}
		root, err := os.OpenRoot(filepath.Join(c.Host, l))
		if err != nil {
			return false, err
		}
		lower, err := root.Open(rel)
		root.Close()
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return true, nil // a whiteout, or a folder: there was no such file
		}
		defer lower.Close()
		info, err := lower.Stat()
		if err != nil {
			return false, err
		}
		if !info.Mode().IsRegular() || info.Size() != size {
			return true, nil
		}
		same, err := equal(f, lower, size)
		return !same, err
	}
	return true, nil // in no layer: it is new
}

func equal(a, b io.ReaderAt, size int64) (bool, error) {
	x, y := make([]byte, 256<<10), make([]byte, 256<<10)
	for off := int64(0); off < size; off += int64(len(x)) {
		n := min(int64(len(x)), size-off)
		if _, err := a.ReadAt(x[:n], off); err != nil && err != io.EOF {
			return false, err
		}
		if _, err := b.ReadAt(y[:n], off); err != nil && err != io.EOF {
			return false, err
		}
		if !bytes.Equal(x[:n], y[:n]) {
			return false, nil
		}
	}
	return true, nil
}
