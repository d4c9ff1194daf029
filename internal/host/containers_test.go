package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kerneltest"
	"github.com/esclusa/esclusa/internal/registrytest"
)

// need skips where the real thing is not installed.
func need(t *testing.T, programs ...string) {
	t.Helper()
	kerneltest.Needs(t)
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed (Debian packages containerd, docker.io, podman)", p)
		}
	}
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	var errs bytes.Buffer
	cmd.Stderr, cmd.WaitDelay = &errs, 10*time.Second
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out, errs.String())
	}
	return strings.TrimSpace(string(out))
}

// quietly runs what cleans up.
func quietly(program string, args ...string) { _ = exec.Command(program, args...).Run() }

// shortDir is a folder whose sockets fit into the 108 bytes of their address.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "host")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for deadline := time.Now().Add(5 * time.Second); named(dir) && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		}
		os.RemoveAll(dir)
	})
	return dir
}

// named says whether a process has a folder in its arguments: conmon ends by
// starting podman, which would make the folder again.
func named(dir string) bool {
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range found {
		if b, _ := os.ReadFile(f); bytes.Contains(b, []byte(dir)) {
			return true
		}
	}
	return false
}

// daemon runs a program until the test ends and waits for its socket.
func daemon(t *testing.T, socket, program string, args ...string) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-gone:
		case <-time.After(15 * time.Second):
			cmd.Process.Kill()
			<-gone
		}
	})
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		select {
		case err := <-gone:
			gone <- err
			t.Fatalf("%s ended: %v\n%s", program, err, log.String())
		default:
		}
		if _, err := os.Stat(socket); err == nil {
			return
		}
	}
	t.Fatalf("%s does not listen", program)
}

func containerd(t *testing.T) string {
	t.Helper()
	need(t, "containerd", "ctr")
	dir := shortDir(t)
	socket := filepath.Join(dir, "c.sock")
	config := fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = %q
[plugins."io.containerd.runtime.v1.linux"]
  no_shim = true
[plugins."io.containerd.internal.v1.opt"]
  path = %q
`, dir+"/root", dir+"/state", socket, dir+"/opt")
	path := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon(t, socket, "containerd", "--config", path)
	return socket
}

// sleeper is an image that sleeps.
func sleeper(t *testing.T, more ...registrytest.File) *registrytest.Built {
	t.Helper()
	name, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("busybox is not installed (Debian package busybox-static)")
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	files := append([]registrytest.File{{Path: "bin", Mode: os.ModeDir | 0o755}, {Path: "bin/sleep", Mode: 0o755, Content: string(b)}}, more...)
	return registrytest.Spec{
		Layers: []registrytest.Layer{registrytest.Files(files...)},
		Config: ocispec.ImageConfig{
			Cmd:    []string{"/bin/sleep", "600"},
			Labels: map[string]string{"from": "image", "io.kubernetes.pod.namespace": "kube-system", "io.kubernetes.pod.uid": uid},
		},
	}.Build(t)
}

// started is a Host at work.
func started(t *testing.T, o Options) *Host {
	t.Helper()
	h := newHost(t, o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return h
}

// eventually waits for what is asked beside the events.
func eventually(t *testing.T, h *Host, id string, ok func(*esclusa.Container) bool) *esclusa.Container {
	t.Helper()
	var c *esclusa.Container
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if c = h.ByID(id); c != nil && ok(c) {
			return c
		}
	}
	b, _ := json.MarshalIndent(c, "", " ")
	t.Fatalf("container %s: %s", id, b)
	return nil
}

func answered(c *esclusa.Container) bool { return c.ImageID != "" || len(c.Gaps) > 0 }

// where is the id that the kernel gives with a process.
func where(t *testing.T, h *Host, pid int32) uint64 {
	t.Helper()
	id := h.cgroupOf(pid, map[string]uint64{})
	if id == 0 {
		t.Fatalf("process %d has no cgroup", pid)
	}
	return id
}

// leaveNoCgroups removes what runtimes leave of the parents that a test names.
func leaveNoCgroups(t *testing.T, paths ...string) {
	t.Cleanup(func() {
		for _, p := range paths {
			found, _ := filepath.Glob("/sys/fs/cgroup/*" + p)
			for _, f := range append(found, "/sys/fs/cgroup"+p) {
				for range 20 { // conmon may be on its way out
					if err := os.Remove(f); !errors.Is(err, syscall.EBUSY) { // others' are not empty, and stay
						break
					}
					time.Sleep(20 * time.Millisecond)
				}
			}
		}
	})
}

// scans is what scan knows, in a test.
type scans map[esclusa.Digest]ImageFact

func (s scans) Image(_ context.Context, manifest, config esclusa.Digest) (ImageFact, bool) {
	f, ok := s[manifest]
	if !ok {
		f, ok = s[config]
	}
	return f, ok
}

func TestRunc(t *testing.T) {
	need(t)
	leaveNoCgroups(t, "/esc-other")
	root := t.TempDir()
	start := func(name string, c kerneltest.Container, cgroupsPath string) int32 {
		c.Args = []string{"sleep", "600"}
		bundle := c.Bundle(t)
		if cgroupsPath != "" {
			config := filepath.Join(bundle, "config.json")
			b, err := os.ReadFile(config)
			if err != nil {
				t.Fatal(err)
			}
			b = bytes.Replace(b, []byte(`"linux":{`), []byte(`"linux":{"cgroupsPath":"`+cgroupsPath+`",`), 1)
			if err := os.WriteFile(config, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { quietly("runc", "--root", root, "delete", "--force", name) })
		log := filepath.Join(t.TempDir(), "log") // the container would hold a pipe open
		cmd := exec.Command("runc", "--root", root, "--log", log, "run", "--detach", "--bundle", bundle, name)
		if err := cmd.Run(); err != nil {
			said, _ := os.ReadFile(log)
			t.Fatalf("runc: %v\n%s", err, said)
		}
		s, err := readState(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return s.PID
	}
	before := start("esc-before", kerneltest.Container{}, "")
	h := started(t, Options{Runc: []string{root}})
	if err := h.Seed(); err != nil {
		t.Fatal(err)
	}
	t.Run("there before", func(t *testing.T) {
		p := h.ByPID(before)
		if c, known := p.Container(); c == nil || !known || c.ID != "esc-before" || c.Runtime != esclusa.RuntimeRunc {
			t.Fatalf("%+v %v", c, known)
		}
		c := eventually(t, h, "esc-before", func(c *esclusa.Container) bool { return !c.Started.IsZero() })
		if c.Privileged || len(c.Gaps) != 1 || time.Since(c.Started) > time.Minute {
			t.Errorf("%+v", c)
		}
		at := h.tree.of(before)[1]
		if id, err := cgroupID(filepath.Join(h.tree.unified, at)); err != nil || at == "/" || c.Cgroup != id {
			t.Errorf("its cgroup is %d, not %d (%v) of %s", c.Cgroup, id, err, at)
		}
	})
	t.Run("nobody told of its cgroup", func(t *testing.T) {
		pid := start("esc-late", kerneltest.Container{Capabilities: rootCapabilities()}, "")
		id := where(t, h, pid)
		p := h.Fork(&Fork{Key: esclusa.ProcessKey{PID: pid, Start: bootTime()}, Cgroup: id})
		c := eventually(t, h, "esc-late", func(c *esclusa.Container) bool { return c.Privileged })
		if got, known := h.Container(id); got != c || !known {
			t.Errorf("%+v %v", got, known)
		}
		if got, _ := p.Container(); got != c {
			t.Errorf("the process learned %+v", got)
		}
	})
	t.Run("a cgroup of another name", func(t *testing.T) {
		pid := start("esc-named", kerneltest.Container{}, "/esc-other/deep")
		id := where(t, h, pid)
		h.Container(id)
		eventually(t, h, "esc-named", func(c *esclusa.Container) bool { return c.CgroupPath == "/esc-other/deep" && !c.Started.IsZero() })
		if got, known := h.Container(id); got == nil || got.ID != "esc-named" || !known {
			t.Errorf("%+v %v", got, known)
		}
	})
}

func TestContainerd(t *testing.T) {
	socket := containerd(t)
	leaveNoCgroups(t, "/kubepods/burstable/pod"+uid, "/kubepods/burstable", "/kubepods", "/default")
	b := sleeper(t)
	ctr := func(namespace string, args ...string) string {
		t.Helper()
		return run(t, "ctr", append([]string{"--address", socket, "--namespace", namespace}, args...)...)
	}
	start := func(namespace, id string, args ...string) {
		t.Helper()
		t.Cleanup(func() {
			quietly("ctr", "--address", socket, "--namespace", namespace, "task", "kill", "--signal", "KILL", id)
			quietly("ctr", "--address", socket, "--namespace", namespace, "task", "delete", "--force", id)
			quietly("ctr", "--address", socket, "--namespace", namespace, "container", "delete", id)
		})
		ctr(namespace, append(append([]string{"run", "--detach"}, args...), "docker.io/library/app:1", id)...)
	}
	for _, namespace := range []string{"default", "k8s.io"} {
		ctr(namespace, "images", "import", b.LayoutTar(t, "docker.io/library/app:1"))
	}
	manifest, config := esclusa.Digest(b.Root.Digest), esclusa.Digest(b.Manifest.Config.Digest)
	h := started(t, Options{Containerd: []string{socket}, Images: scans{manifest: {Verdict: esclusa.Deny, Exploited: 2}}})

	t.Run("ctr", func(t *testing.T) {
		start("default", "esc-app", "--label", "team=blue")
		if err := h.Seed(); err != nil {
			t.Fatal(err)
		}
		c := eventually(t, h, "esc-app", answered)
		if c.Image != manifest || c.ImageID != config || c.ImageRef != "docker.io/library/app:1" || c.Runtime != esclusa.RuntimeContainerd {
			t.Errorf("%+v", c)
		}
		if c.Labels["team"] != "blue" || c.Labels["from"] != "image" || c.Pod != (esclusa.Pod{}) || c.Privileged || c.Started.IsZero() || c.Cgroup == 0 {
			t.Errorf("%+v", c)
		}
		if c.Verdict != esclusa.Deny || c.Exploited != 2 || c.Gaps != nil {
			t.Errorf("%+v", c)
		}
	})
	t.Run("a pod", func(t *testing.T) { // as Kubernetes' plug-in makes it
		parent := "/kubepods/burstable/pod" + uid + "/"
		start("k8s.io", id2, "--cgroup", parent+id2, "--label", "io.cri-containerd.kind=sandbox", "--label", "app=shop")
		start("k8s.io", id1, "--cgroup", parent+id1, "--privileged", "--label", "io.cri-containerd.kind=container",
			"--annotation", "io.kubernetes.cri.container-type=container", "--annotation", "io.kubernetes.cri.container-name=web",
			"--annotation", "io.kubernetes.cri.sandbox-id="+id2, "--annotation", "io.kubernetes.cri.sandbox-name=shop-1",
			"--annotation", "io.kubernetes.cri.sandbox-namespace=prod", "--annotation", "io.kubernetes.cri.sandbox-uid="+uid,
			"--annotation", "io.kubernetes.cri.image-name=docker.io/library/app:1")
		if err := h.Seed(); err != nil {
			t.Fatal(err)
		}
		c := eventually(t, h, id1, answered)
		want := esclusa.Pod{Namespace: "prod", Name: "shop-1", UID: uid}
		if diff := cmp.Diff(want, c.Pod); diff != "" || c.Name != "web" || c.Image != manifest || c.Labels["app"] != "shop" {
			t.Errorf("%s\n%+v", diff, c)
		}
	})
	t.Run("the tag was moved", func(t *testing.T) {
		start("default", "esc-moved")
		ctr("default", "images", "import", sleeper(t, registrytest.File{Path: "new"}).LayoutTar(t, "docker.io/library/app:1"))
		if err := h.Seed(); err != nil {
			t.Fatal(err)
		}
		c := eventually(t, h, "esc-moved", answered)
		if c.Image != "" || c.ImageID != "" || len(c.Gaps) != 1 || !strings.Contains(c.Gaps[0].Err, "another image by now") {
			t.Errorf("%+v", c)
		}
	})
}

func TestDocker(t *testing.T) {
	need(t, "dockerd", "docker")
	leaveNoCgroups(t, "/kubepods/besteffort/pod"+uid, "/kubepods/besteffort", "/kubepods", "/esc-builds", "/docker")
	c := containerd(t)
	dir := shortDir(t)
	socket := filepath.Join(dir, "d.sock")
	host := "unix://" + socket
	daemon(t, socket, "dockerd", "--host", host, "--containerd", c, "--data-root", dir+"/data", "--exec-root", dir+"/exec",
		"--pidfile", dir+"/pid", "--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs")
	b := sleeper(t)
	docker := func(args ...string) string {
		t.Helper()
		return run(t, "docker", append([]string{"--host", host}, args...)...)
	}
	docker("load", "--input", b.DockerArchive(t, "team/app:1"))
	h := started(t, Options{Docker: []string{socket}, Containerd: []string{c}, Runc: []string{dir + "/exec/runtime-runc/moby"}})
	start := func(name string, args ...string) string {
		t.Helper()
		t.Cleanup(func() { quietly("docker", "--host", host, "rm", "--force", name) })
		id := docker(append(append([]string{"run", "--detach", "--network=none", "--name", name}, args...), "team/app:1")...)
		if err := h.Seed(); err != nil {
			t.Fatal(err)
		}
		return id
	}
	config := esclusa.Digest(b.Manifest.Config.Digest)
	t.Run("plain", func(t *testing.T) {
		c := eventually(t, h, start("esc-plain", "--label", "team=blue"), answered)
		if c.Name != "esc-plain" || c.ImageRef != "team/app:1" || c.ImageID != config || c.Runtime != esclusa.RuntimeDocker || c.Privileged {
			t.Errorf("%+v", c)
		}
		if c.Labels["team"] != "blue" || time.Since(c.Started) > time.Minute || c.Gaps != nil {
			t.Errorf("%+v", c)
		}
		if c.Pod != (esclusa.Pod{}) {
			t.Errorf("an image's labels made it a pod: %+v", c.Pod)
		}
	})
	t.Run("below a cgroup of one's own", func(t *testing.T) {
		args := []string{"--cgroup-parent=/esc-builds"}
		for _, c := range rootCapabilities() { // --privileged needs more than a container that runs this test has
			args = append(args, "--cap-add", c)
		}
		id := start("esc-parent", args...)
		c := eventually(t, h, id, answered)
		if c.ImageID != config || !c.Privileged || c.CgroupPath != "/esc-builds/"+id {
			t.Errorf("%+v", c)
		}
	})
	t.Run("a pod", func(t *testing.T) { // as cri-dockerd makes it
		id := start("esc-pod", "--cgroup-parent=/kubepods/besteffort/pod"+uid, "--label", "io.kubernetes.pod.namespace=prod",
			"--label", "io.kubernetes.pod.name=shop-1", "--label", "io.kubernetes.pod.uid="+uid, "--label", "io.kubernetes.container.name=web")
		c := eventually(t, h, id, answered)
		if diff := cmp.Diff(esclusa.Pod{Namespace: "prod", Name: "shop-1", UID: uid}, c.Pod); diff != "" || c.Name != "web" || c.Runtime != esclusa.RuntimeDocker {
			t.Errorf("%s\n%+v", diff, c)
		}
	})
	t.Run("ended", func(t *testing.T) {
		id := start("esc-ended")
		eventually(t, h, id, answered)
		docker("rm", "--force", "esc-ended")
		if h.ByID(id) == nil {
			t.Fatal("forgotten at once")
		}
	})
}

func TestPodman(t *testing.T) {
	need(t, "podman", "conmon")
	leaveNoCgroups(t, "/libpod_parent/conmon", "/libpod_parent")
	b := sleeper(t)
	dir := shortDir(t)
	podman := func(args ...string) string {
		t.Helper()
		return run(t, "podman", append([]string{
			"--root", dir + "/root", "--runroot", dir + "/run", "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs",
			"--runtime", "runc", "--events-backend", "file",
		}, args...)...)
	}
	podman("load", "--quiet", "--input", b.LayoutTar(t, "example.com/team/app:1"))
	t.Cleanup(func() { podman("rm", "--force", "--time=0", "--all") })
	id := podman("run", "--detach", "--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000", "--name=esc-pod", "example.com/team/app:1")
	h := started(t, Options{Storage: []string{dir + "/root"}})
	if err := h.Seed(); err != nil {
		t.Fatal(err)
	}
	c := eventually(t, h, id, answered)
	if c.Name != "esc-pod" || c.ImageRef != "example.com/team/app:1" || c.Runtime != esclusa.RuntimePodman || c.Gaps != nil {
		t.Errorf("%+v", c)
	}
	if c.Image != esclusa.Digest(b.Root.Digest) || c.ImageID != esclusa.Digest(b.Manifest.Config.Digest) || c.Started.IsZero() {
		t.Errorf("%+v", c)
	}
}
