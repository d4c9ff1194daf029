package evidence

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/respond/actions"
)

// collector fills a report and copies files beside it.
type collector struct {
	Report
	job     *actions.Job
	to      string
	copied  int64
	sockets map[string]map[string]string // by network namespace and inode
	hashed  map[fileID]string
}

type fileID struct{ dev, ino uint64 }

// maxGaps bounds what a report says about what it lacks.
const maxGaps = 64

func (c *collector) gap(what string, err error) {
	if len(c.Gaps) < maxGaps {
		c.Gaps = append(c.Gaps, esclusa.Gap{Scope: esclusa.GapItem, What: what, Err: err.Error()})
	}
}

func (c *collector) process(s actions.Stat) {
	at := fmt.Sprintf("/proc/%d", s.Key.PID)
	p := Process{ProcessKey: s.Key, Parent: s.Parent, Name: s.Name, State: string(s.State)}
	p.Exe, _ = os.Readlink(at + "/exe") // none: it ended
	p.Cwd, _ = os.Readlink(at + "/cwd")
	if data := c.read(at+"/cmdline", 64<<10); len(data) > 0 {
		p.Args = strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
	}
	for line := range strings.Lines(string(c.read(at+"/status", 16<<10))) {
		name, _, _ := strings.Cut(line, ":")
		switch name {
		case "Uid", "Gid", "Groups", "NSpid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "TracerPid":
			p.Status = append(p.Status, strings.Join(strings.Fields(line), " "))
		}
	}
	p.Cgroups = strings.Fields(string(c.read(at+"/cgroup", 64<<10)))
	p.Files = c.files(at, s)
	p.Maps = c.maps(at)
	p.SHA256 = c.executable(at, &p)
	c.Processes = append(c.Processes, p)
}

// read reads the beginning of a file of /proc; nothing when the process ended.
func (c *collector) read(name string, most int64) []byte {
	f, err := os.Open(name)
	if err != nil {
		c.gap(name, err)
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		c.gap(name, err)
	}
	return data
}

func (c *collector) files(at string, s actions.Stat) (out []FD) {
	dir, err := os.Open(at + "/fd")
	if err != nil {
		c.gap("open files of "+s.Key.String(), err)
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(maxFDs)
	if err != nil && err != io.EOF {
		c.gap("open files of "+s.Key.String(), err)
	}
	if len(names) == maxFDs {
		c.gap("open files of "+s.Key.String(), fmt.Errorf("only %d were looked at", maxFDs))
	}
	slices.SortFunc(names, func(a, b string) int { // by number
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	for _, n := range names {
		to, err := os.Readlink(at + "/fd/" + n)
		if err != nil {
			continue // closed meanwhile
		}
		fd := FD{FD: n, To: to}
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			fd.Peers = c.peers(at)[strings.TrimSuffix(inode, "]")]
		}
		out = append(out, fd)
	}
	return out
}

// peers are the sockets of a process's network namespace, read once.
func (c *collector) peers(at string) map[string]string {
	ns, err := os.Readlink(at + "/ns/net")
	if err != nil {
		return nil
	}
	if m, ok := c.sockets[ns]; ok {
		return m
	}
	m := map[string]string{}
	for _, kind := range []string{"tcp", "tcp6", "udp", "udp6"} {
		for line := range strings.Lines(string(c.read(at+"/net/"+kind, 1<<20))) {
			if f := strings.Fields(line); len(f) > 9 && f[0] != "sl" {
				m[f[9]] = fmt.Sprintf("%s %s to %s", kind, address(f[1]), address(f[2]))
			}
		}
	}
	for line := range strings.Lines(string(c.read(at+"/net/unix", 1<<20))) {
		if f := strings.Fields(line); len(f) > 7 && f[0] != "Num" {
			m[f[6]] = "unix " + f[7]
		}
	}
	c.sockets[ns] = m
	return m
}

// address reads "0100007F:1F90": words of the machine's own order.
func address(s string) string {
	host, port, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	n, perr := strconv.ParseUint(port, 16, 16)
	if err != nil || perr != nil || len(raw)%4 != 0 {
		return s
	}
	for i := 0; i < len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	addr, ok := netip.AddrFromSlice(raw)
	if !ok {
		return s
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)).String()
}

func (c *collector) maps(at string) (out []string) {
	f, err := os.Open(at + "/maps")
	if err != nil {
		c.gap(at+"/maps", err)
		return nil
	}
	defer f.Close()
	for sc := bufio.NewScanner(io.LimitReader(f, 4<<20)); sc.Scan(); {
		// range perms offset device inode path
		if f := bytes.Fields(sc.Bytes()); len(f) > 4 && bytes.IndexByte(f[1], 'x') >= 0 {
			if len(out) == maxMaps {
				c.gap(at+"/maps", fmt.Errorf("only %d were kept", maxMaps))
				break
			}
			out = append(out, strings.Join(strings.Fields(sc.Text()), " "))
		}
	}
	return out
}

// executable hashes the program of a process and copies it where it is not
// one that an image or the host brought.
func (c *collector) executable(at string, p *Process) string {
	f, err := os.Open(at + "/exe")
	if err != nil {
		return "" // it ended, or is a thread of the kernel
	}
	defer f.Close()
	var st unix.Stat_t
	var fsys unix.Statfs_t
	if err := errors.Join(unix.Fstat(int(f.Fd()), &st), unix.Fstatfs(int(f.Fd()), &fsys)); err != nil {
		c.gap("executable of "+p.ProcessKey.String(), err)
		return ""
	}
	key := fileID{st.Dev, st.Ino}
	if sum, ok := c.hashed[key]; ok {
		return sum
	}
	why := ""
	switch source := c.job.Process.ExeSource; {
	case strings.HasPrefix(p.Exe, "/memfd:"):
		why = "it was in memory alone"
	case st.Nlink == 0 || strings.HasSuffix(p.Exe, " (deleted)"):
		why = "its file is deleted"
	case fsys.Type == unix.TMPFS_MAGIC:
		why = "it was on a tmpfs"
	case p.PID == c.job.Process.PID && source == esclusa.SourceUpper:
		why = "it was written since the container began"
	}
	sum, err := c.keep(f, st.Size, why != "")
	if err != nil {
		c.gap("executable of "+p.ProcessKey.String(), err)
		return ""
	}
	c.hashed[key] = sum
	if why != "" {
		c.Files = append(c.Files, File{Path: p.Exe, PID: p.PID, Why: why, SHA256: sum, Size: st.Size})
	}
	return sum
}

// keep hashes a file, and copies it.
func (c *collector) keep(f *os.File, size int64, whole bool) (string, error) {
	if size > maxFile {
		return "", fmt.Errorf("%d bytes; at most %d are read", size, maxFile)
	}
	h := sha256.New()
	data := io.LimitReader(f, maxFile)
	if !whole {
		_, err := io.Copy(h, data)
		return hex.EncodeToString(h.Sum(nil)), err
	}
	if c.copied+size > maxFiles {
		return "", fmt.Errorf("%d bytes are copied already; at most %d are", c.copied, maxFiles)
	}
	name := filepath.Join(c.to, "files", "part")
	out, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	n, err := io.Copy(io.MultiWriter(h, out), data)
	c.copied += n
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		return "", err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	return sum, os.Rename(name, filepath.Join(c.to, "files", sum))
}
