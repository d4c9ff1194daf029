package oci_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/oci"
	"github.com/esclusa/esclusa/internal/registrytest"
)

// need skips the test where the real thing is not installed.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed (Debian packages containerd, docker.io)", p)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("containerd and dockerd need root")
	}
}

// needMount skips the test where the root is a folder that someone called
// chroot on, and no mount: pivot_root, which docker and buildah unpack layers
// with, is refused there by the kernel. Everywhere else they must work.
func needMount(t *testing.T) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 4 && f[4] == "/" {
			return
		}
	}
	t.Skip("in a chroot: docker and buildah need a root that is a mount (pivot_root)")
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

// shortDir is a folder whose sockets fit into the 108 bytes of their address.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "oci")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
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

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestNoDaemon: a socket on which nobody answers is said with its remedy.
func TestNoDaemon(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "x.sock")
	options := oci.Options{Containerd: absent, DockerHost: "unix://" + absent}
	for target, variable := range map[string]string{"containerd:app:1": "CONTAINERD_ADDRESS", "docker:app:1": "DOCKER_HOST"} {
		if _, err := oci.Open(t.Context(), target, options); err == nil || !strings.Contains(hintOf(err), variable) {
			t.Errorf("%s: %v, hint %q", target, err, hintOf(err))
		}
	}
}

func TestContainerd(t *testing.T) {
	socket := containerd(t)
	b := sample(t)
	options := oci.Options{Containerd: socket}
	imported := func(namespace, name string, b *registrytest.Built, more ...string) {
		args := append([]string{"--address", socket, "--namespace", namespace, "images", "import", "--no-unpack"}, more...)
		run(t, "ctr", append(args, b.LayoutTar(t, name))...)
	}
	imported("default", "docker.io/library/app:1", b)
	imported("k8s.io", "registry.example.com/team/other:2", b)
	imported("default", "given-by-hand:1", b)
	for _, target := range []string{"app:1", "containerd:app:1", "containerd:given-by-hand:1", "registry.example.com/team/other:2"} {
		t.Run(target, func(t *testing.T) {
			img := open(t, target, options)
			check(t, b, img, true)
		})
	}
	t.Run("large blob", func(t *testing.T) { // several messages
		big := registrytest.Image(t, registrytest.Layer{Compression: registrytest.None, Files: []registrytest.File{
			{Path: "big", Content: strings.Repeat("0123456789abcdef", 400_000)},
		}})
		imported("default", "docker.io/library/big:1", big)
		img := open(t, "containerd:big:1", options)
		if got := tars(t, img); len(got[0]) < 4_800_000 {
			t.Errorf("%d bytes", len(got[0]))
		}
		whole, table := mark(t, &img.Layers[0])
		if fetched := readParts(t, &img.Layers[0], whole, table); fetched == 0 || fetched > 2<<20 {
			t.Errorf("%d bytes of %d fetched for 300 kB", fetched, table.Size)
		}
	})
	t.Run("unknown", func(t *testing.T) {
		_, err := oci.Open(t.Context(), "containerd:nothing:1", options)
		if !errors.Is(err, oci.ErrNotFound) || hintOf(err) == "" {
			t.Errorf("%v, hint %q", err, hintOf(err))
		}
	})
	t.Run("other platform", func(t *testing.T) {
		_, err := oci.Open(t.Context(), "containerd:app:1", oci.Options{Containerd: socket, Platform: "linux/s390x"})
		if !strings.Contains(hintOf(err), "linux/amd64") {
			t.Errorf("%v, hint %q", err, hintOf(err))
		}
	})
	t.Run("closed early", func(t *testing.T) { closedEarly(t, open(t, "containerd:app:1", options)) })
}

// closedEarly closes streams in the middle; the others must not care.
func closedEarly(t *testing.T, img *oci.Image) {
	t.Helper()
	for i := range img.Layers {
		s, err := img.Layers[i].OpenTar(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if _, err := s.Read(make([]byte, 10)); err == nil || err == io.EOF {
			t.Errorf("read after close: %v", err)
		}
	}
	tars(t, img)
}

func TestDocker(t *testing.T) {
	need(t, "dockerd", "docker")
	needMount(t)
	c := containerd(t)
	dir := shortDir(t)
	socket := filepath.Join(dir, "d.sock")
	host := "unix://" + socket
	daemon(t, socket, "dockerd", "--host", host, "--containerd", c, "--data-root", dir+"/data", "--exec-root", dir+"/exec",
		"--pidfile", dir+"/pid", "--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs")
	b := sample(t)
	run(t, "docker", "--host", host, "load", "--input", b.DockerArchive(t, "team/app:1", "team/app:latest"))
	options := oci.Options{DockerHost: host}

	for _, target := range []string{"team/app:1", "docker:team/app:1", "docker:" + b.Manifest.Config.Digest.Encoded()[:12]} {
		t.Run(target, func(t *testing.T) {
			img := open(t, target, options)
			if diff := cmp.Diff([]string{"team/app:1", "team/app:latest"}, img.Tags); diff != "" {
				t.Error(diff)
			}
			check(t, b, img, false)
		})
	}
	t.Run("same layer twice", func(t *testing.T) {
		l := registrytest.Files(registrytest.File{Path: "x", Content: "y"})
		twice := registrytest.Image(t, l, l, registrytest.Files(registrytest.File{Path: "z"}))
		run(t, "docker", "--host", host, "load", "--input", twice.DockerArchive(t, "twice:1"))
		img := open(t, "docker:twice:1", options)
		if img.ID != esclusa.Digest(twice.Manifest.Config.Digest) {
			t.Errorf("opened %s", img.ID)
		}
		tars(t, img)
		saved := filepath.Join(t.TempDir(), "saved.tar")
		run(t, "docker", "--host", host, "save", "--output", saved, "twice:1")
		tars(t, open(t, saved, oci.Options{}))
		tars(t, open(t, gzipped(t, saved), oci.Options{}))
	})
	t.Run("unknown", func(t *testing.T) {
		_, err := oci.Open(t.Context(), "docker:nothing:1", options)
		if !errors.Is(err, oci.ErrNotFound) || hintOf(err) == "" {
			t.Errorf("%v, hint %q", err, hintOf(err))
		}
	})
	t.Run("exports", func(t *testing.T) { // none for nothing, two for all layers
		var layers []registrytest.Layer
		for _, c := range []string{"a", "b", "c"} { // too large to be kept from the first pass
			layers = append(layers, registrytest.Files(registrytest.File{Path: c, Content: strings.Repeat(c, 2<<20)}))
		}
		run(t, "docker", "--host", host, "load", "--input", registrytest.Image(t, layers...).DockerArchive(t, "large:1"))
		proxy, asked := dockerProxy(t, socket)
		img := open(t, "docker:large:1", oci.Options{DockerHost: proxy})
		if n := asked("/get"); n != 0 {
			t.Errorf("%d exports before a layer was opened", n)
		}
		tars(t, img)
		if n := asked("/get"); n != 2 {
			t.Errorf("%d exports for %d layers", n, len(img.Layers))
		}
	})
	t.Run("closed early", func(t *testing.T) { closedEarly(t, open(t, "docker:team/app:1", options)) })
	t.Run("other platform", func(t *testing.T) {
		_, err := oci.Open(t.Context(), "docker:team/app:1", oci.Options{DockerHost: host, Platform: "linux/s390x"})
		if !strings.Contains(hintOf(err), "linux/amd64") {
			t.Errorf("%v, hint %q", err, hintOf(err))
		}
	})
}

// TestBuildah finds the base in what a builder of today writes.
func TestBuildah(t *testing.T) {
	if _, err := exec.LookPath("buildah"); err != nil || os.Getuid() != 0 {
		t.Skip("buildah is not installed (Debian package buildah), or needs root")
	}
	needMount(t)
	dir := t.TempDir()
	file := write(t, "f", []byte("x"))
	buildah := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("buildah", append([]string{"--root", dir + "/root", "--runroot", dir + "/run", "--storage-driver", "vfs"}, args...)...)
		cmd.Stderr = t.Output()
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("buildah %s: %v", args[0], err)
		}
		return strings.TrimSpace(string(out))
	}
	c := buildah("from", "scratch")
	buildah("add", c, file, "/f")
	buildah("commit", "--quiet", c, "base:1")
	c = buildah("from", "--pull-never", "localhost/base:1")
	buildah("add", c, file, "/g")
	buildah("commit", "--quiet", c, "oci:"+dir+"/out:v")

	img := open(t, dir+"/out:v", oci.Options{})
	tars(t, img)
	base := oci.Base(img, nil)
	if base.Name != "localhost/base:1" || base.Digest == "" || base.Layers != 1 {
		t.Errorf("%+v", base)
	}
}

// dockerProxy counts what is asked of docker, by the end of the path.
func dockerProxy(t *testing.T, socket string) (host string, asked func(suffix string) int) {
	t.Helper()
	var mu sync.Mutex
	var paths []string
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			mu.Lock()
			paths = append(paths, r.In.URL.Path)
			mu.Unlock()
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "docker"
		},
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}},
	}
	s := httptest.NewServer(proxy)
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "http://", "tcp://", 1), func(suffix string) int {
		mu.Lock()
		defer mu.Unlock()
		n := 0
		for _, p := range paths {
			if strings.HasSuffix(p, suffix) {
				n++
			}
		}
		return n
	}
}
