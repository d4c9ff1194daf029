package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// job is one command in the guest.
type job struct {
	Name string
	Args []string
	Dir  string
	// Tests says that it is a test program, whose skips are failures.
	Tests bool
}

// Where things stand on the guest's disk.
const (
	jobsFile    = "/guest/jobs.json"
	esclusaFile = "/usr/bin/esclusa"
)

// programs of the host that tests start; what is absent is left out, and the
// test that needs it skips, which is a failure there.
func programs() []string {
	return []string{
		"busybox", "dash", "runc", "sysctl", "unshare", "ldd", "bash",
		"iptables-legacy", "iptables-legacy-restore", "iptables-nft",
	}
}

// disk makes an ext4 disk with the programs of this tree and of the host that
// the jobs need.
func (g *guest) disk(ctx context.Context, packages []string) ([]job, error) {
	root := filepath.Join(g.dir, "root")
	if err := folders(root); err != nil {
		return nil, err
	}
	jobs := []job{{Name: "esclusa shield test", Args: []string{esclusaFile, "shield", "test", "--baseline"}, Dir: "/root"}}
	if g.only != "" {
		jobs = nil
	}
	if err := g.build(ctx, filepath.Join(root, esclusaFile), "build", "-trimpath", "./cmd/esclusa"); err != nil {
		return nil, err
	}
	if err := g.build(ctx, filepath.Join(g.dir, "init"), "build", "-trimpath", "./internal/kerneltest/guest"); err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "go", append([]string{"list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}"}, packages...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for dir := range strings.FieldsSeq(string(out)) {
		rel, err := filepath.Rel(here, dir)
		if err != nil {
			return nil, err
		}
		j := job{Name: rel, Dir: "/guest/" + rel, Tests: true}
		if err := os.MkdirAll(filepath.Join(root, j.Dir), 0o755); err != nil {
			return nil, err
		}
		program := j.Dir + "/tests"
		if err := g.build(ctx, filepath.Join(root, program), "test", "-c", "./"+rel); err != nil {
			return nil, err
		}
		if err := copyTree(filepath.Join(dir, "testdata"), filepath.Join(root, j.Dir, "testdata")); err != nil {
			return nil, err
		}
		j.Args = []string{program, "-test.v", "-test.timeout", g.timeout.String(), "-test.run", g.only}
		jobs = append(jobs, j)
	}
	if err := hostPrograms(ctx, root); err != nil {
		return nil, err
	}
	data, err := json.Marshal(jobs)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(root, jobsFile), data, 0o644); err != nil {
		return nil, err
	}
	mkfs := exec.CommandContext(ctx, "mke2fs", "-q", "-t", "ext4", "-d", root, filepath.Join(g.dir, "disk"), "2G")
	if out, err := mkfs.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mke2fs: %w: %s", err, out)
	}
	return jobs, nil
}

// folders are those of Debian.
func folders(root string) error {
	for _, d := range []string{"dev", "proc", "sys", "run", "tmp", "root", "etc", "guest", "var/tmp"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	for _, d := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.MkdirAll(filepath.Join(root, "usr", d), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("usr/"+d, filepath.Join(root, d)); err != nil {
			return err
		}
	}
	return nil
}

// build makes a program that needs no library.
func (g *guest) build(ctx context.Context, to string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{args[0], "-o", to}, args[1:]...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// hostPrograms copies programs with their libraries, each where it stands.
func hostPrograms(ctx context.Context, root string) error {
	files := map[string]bool{}
	for _, name := range programs() {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		files[path] = true
	}
	if extensions, err := filepath.Glob("/usr/lib/*/xtables/*.so"); err == nil {
		for _, f := range extensions {
			files[f] = true
		}
	}
	for f := range files {
		out, _ := exec.CommandContext(ctx, "ldd", f).Output() // a static program has none
		for word := range strings.FieldsSeq(string(out)) {
			if strings.HasPrefix(word, "/") {
				files[word] = true
			}
		}
	}
	for f := range files {
		if err := copyFile(f, filepath.Join(root, f)); err != nil {
			return err
		}
	}
	passwd := "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
	if err := os.WriteFile(filepath.Join(root, "etc/passwd"), []byte(passwd), 0o644); err != nil {
		return err
	}
	if err := os.Symlink("dash", filepath.Join(root, "bin/sh")); err != nil {
		return err
	}
	// What the host has no program of its own for, busybox does.
	list, err := exec.CommandContext(ctx, "busybox", "--list").Output()
	if err != nil {
		return fmt.Errorf("busybox: %w\nhint: apt-get install busybox-static", err)
	}
	for name := range strings.FieldsSeq(string(list)) {
		if _, err := os.Lstat(filepath.Join(root, "bin", name)); err != nil {
			if err := os.Symlink("busybox", filepath.Join(root, "bin", name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func copyTree(from, to string) error {
	if _, err := os.Stat(from); err != nil {
		return nil
	}
	return os.CopyFS(to, os.DirFS(from))
}

// copyFile copies what a name leads to.
func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}

// initramfs is what the kernel starts: this program, and the modules without
// which it does not find its disk, or tests their interfaces.
func (g *guest) initramfs(k *kernel) error {
	modules, err := k.needed(
		"virtio_pci", "virtio_blk", "overlay", "loop", "veth",
		"iptable_filter", "xt_tcpudp", "nf_tables", "nft_compat", "nfnetlink",
	)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	init, err := os.ReadFile(filepath.Join(g.dir, "init"))
	if err != nil {
		return err
	}
	cpio(&b, "init", 0o100755, init)
	cpio(&b, "modules", 0o40755, nil)
	for i, f := range modules {
		data, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		cpio(&b, fmt.Sprintf("modules/%02d-%s", i, filepath.Base(f)), 0o100644, data)
	}
	cpio(&b, "TRAILER!!!", 0, nil)
	return os.WriteFile(filepath.Join(g.dir, "initramfs"), b.Bytes(), 0o644)
}

// cpio writes one entry of a "newc" archive.
func cpio(w io.Writer, name string, mode int, data []byte) {
	pad := func(n int) string { return strings.Repeat("\x00", (4-n%4)%4) }
	head := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
	fmt.Fprint(w, head, pad(len(head)))
	_, _ = w.Write(data) // into memory
	fmt.Fprint(w, pad(len(data)))
}
