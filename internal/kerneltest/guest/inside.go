package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// What happens in the guest. The first process loads modules, mounts the disk
// and waits for its children; one of them does the jobs and tells the host of
// them by the second serial port, which no message of the kernel disturbs.

const (
	jobsArgument = "jobs"
	newRoot      = "/root"
	serial       = "/dev/ttyS1"
)

// message is a line on that port.
type message struct {
	Job  int    `json:"job"`
	Line string `json:"line,omitempty"`
	// Exit is set when the job has ended.
	Exit    *int    `json:"exit,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	// Done is set when all have.
	Done bool `json:"done,omitempty"`
}

// boot is the first process.
func boot() {
	if err := start(); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
	}
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func start() error {
	if err := os.MkdirAll("/dev", 0o755); err != nil {
		return err
	}
	if err := unix.Mount("dev", "/dev", "devtmpfs", 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("mount /dev: %w", err)
	}
	if err := loadModules("/modules"); err != nil {
		return err
	}
	if err := switchRoot(); err != nil {
		return err
	}
	for _, m := range []struct{ kind, at, options string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"devtmpfs", "/dev", ""},
		{"tmpfs", "/run", ""},
		{"cgroup2", "/sys/fs/cgroup", ""},
		{"bpf", "/sys/fs/bpf", ""},
		{"securityfs", "/sys/kernel/security", ""},
		{"tracefs", "/sys/kernel/tracing", ""},
		{"devpts", "/dev/pts", ""},
		{"tmpfs", "/dev/shm", ""},
		{"mqueue", "/dev/mqueue", ""},
	} {
		if err := os.MkdirAll(m.at, 0o755); err != nil && !errors.Is(err, unix.EPERM) {
			return err
		}
		if err := unix.Mount(m.kind, m.at, m.kind, 0, m.options); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	worker, err := os.StartProcess("/proc/self/exe", []string{"guest", jobsArgument}, &os.ProcAttr{
		Dir: "/", Files: []*os.File{nil, os.Stdout, os.Stderr},
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TMPDIR=/tmp", "ESCLUSA_KERNEL=required"},
	})
	if err != nil {
		return err
	}
	for { // orphans are ours to wait for
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid == worker.Pid {
			return err
		}
	}
}

func loadModules(dir string) error {
	files, err := filepath.Glob(dir + "/*")
	if err != nil {
		return err
	}
	slices.Sort(files)
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load %s: %w", name, err)
		}
	}
	return nil
}

// switchRoot puts the disk in the place of the initramfs: from the latter no
// container can turn away (pivot_root(2) refuses).
func switchRoot() error {
	if err := os.MkdirAll(newRoot, 0o755); err != nil {
		return err
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := unix.Mount("/dev/vda", newRoot, "ext4", 0, "")
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("mount the disk: %w", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.Join(unix.Chdir(newRoot), unix.Mount(".", "/", "", unix.MS_MOVE, ""), unix.Chroot("."), unix.Chdir("/"))
}

// runJobs does the jobs, one after the other.
func runJobs() error {
	port, err := os.OpenFile(serial, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer port.Close()
	if t, err := unix.IoctlGetTermios(int(port.Fd()), unix.TCGETS); err == nil {
		t.Oflag &^= unix.OPOST
		_ = unix.IoctlSetTermios(int(port.Fd()), unix.TCSETS, t)
	}
	tell := json.NewEncoder(port)
	data, err := os.ReadFile(jobsFile)
	if err != nil {
		return err
	}
	var jobs []job
	if err := json.Unmarshal(data, &jobs); err != nil {
		return err
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, out)
	}
	for i, j := range jobs {
		if err := j.do(i, tell); err != nil {
			return err
		}
	}
	if err := tell.Encode(message{Done: true}); err != nil {
		return err
	}
	unix.Sync()
	return nil
}

func (j *job) do(n int, tell *json.Encoder) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour) // the host stops all at its own time
	defer cancel()
	cmd := exec.CommandContext(ctx, j.Args[0], j.Args[1:]...)
	cmd.Dir = j.Dir
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	told := make(chan error, 1)
	go func() {
		sc := bufio.NewScanner(r)
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			if err := tell.Encode(message{Job: n, Line: sc.Text()}); err != nil {
				told <- err
				return
			}
		}
		told <- sc.Err()
	}()
	err := cmd.Run()
	w.Close()
	if terr := <-told; terr != nil {
		return terr
	}
	code := cmd.ProcessState.ExitCode()
	if err != nil && code == 0 {
		code = -1
	}
	return tell.Encode(message{Job: n, Exit: &code, Seconds: time.Since(began).Seconds()})
}
