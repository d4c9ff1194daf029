package registrytest_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa/internal/registrytest"
)

// TestTools holds what this package makes to tools that are not ours.
func TestTools(t *testing.T) {
	if _, err := exec.LookPath("skopeo"); err != nil {
		t.Skip("skopeo is not installed (Debian package skopeo)")
	}
	img := registrytest.Image(t,
		registrytest.Layer{CreatedBy: "ADD rootfs", Files: []registrytest.File{{Path: "etc/os-release", Content: "ID=x\n"}}},
		registrytest.Layer{Empty: true, CreatedBy: "ENV a=b"},
		registrytest.Layer{Compression: registrytest.Zstd, Files: []registrytest.File{{Path: "etc/os-release", Whiteout: true}}},
		registrytest.Layer{Compression: registrytest.None, Files: []registrytest.File{{Path: "a", Link: "b"}}},
	)
	index := registrytest.Index(t, img, registrytest.Spec{Platform: "linux/arm64/v8", Docker: true}.Build(t))
	reg := registrytest.Serve(t)
	ref := reg.Push("team/app", index, "1.0")
	for name, target := range map[string]string{
		"layout":   "oci:" + img.Layout(t, "v1") + ":v1",
		"tar":      "oci-archive:" + img.LayoutTar(t, "v1") + ":v1",
		"archive":  "docker-archive:" + img.DockerArchive(t, "x/y:1"),
		"save":     "docker-archive:" + img.DockerSave(t, "x/y:1"),
		"registry": "docker://" + ref,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			out, err := exec.Command("skopeo", "copy", "--insecure-policy", "--src-tls-verify=false",
				"--override-arch=amd64", "--dest-decompress", target, "dir:"+dir).CombinedOutput()
			if err != nil {
				t.Fatalf("skopeo copy %s: %v\n%s", target, err, out)
			}
			blobs, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil || len(blobs) < 4 {
				t.Fatalf("skopeo wrote %q, %v", blobs, err)
			}
		})
	}
}

func TestTar(t *testing.T) {
	raw := registrytest.Tar(t,
		registrytest.File{Path: "d", Mode: fs.ModeDir},
		registrytest.File{Path: "d/su", Mode: fs.ModeSetuid | 0o755, Content: "x", UID: 7},
		registrytest.File{Path: "d/gone", Whiteout: true},
		registrytest.File{Path: "d", Opaque: true},
		registrytest.File{Path: "l", Link: "d/su"},
		registrytest.File{Path: "h", Hard: "d/su"},
		registrytest.File{Path: "../up", Content: "y"},
	)
	var got []string
	for r := tar.NewReader(bytes.NewReader(raw)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%c %o %s %s", h.Typeflag, h.Mode, h.Name, h.Linkname))
	}
	want := []string{
		"5 755 d ", "0 4755 d/su ", "0 644 d/.wh.gone ", "0 644 d/.wh..wh..opq ",
		"2 777 l d/su", "1 644 h d/su", "0 644 ../up ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRegistry(t *testing.T) {
	reg := registrytest.Serve(t)
	img := registrytest.Image(t, registrytest.Files(registrytest.File{Path: "a", Content: "b"}))
	reg.Push("x", img, "1")
	layer := string(img.Manifest.Layers[0].Digest)

	get := func(path string, header ...string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, reg.Server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	for path, want := range map[string]int{
		"/v2/": 200, "/v2/x/manifests/1": 200, "/v2/x/manifests/2": 404, "/v2/y/manifests/1": 404,
		"/v2/x/blobs/" + layer: 200, "/v2/x/manifests/" + layer: 404, "/v2/x/tags/list": 200,
		"/v2/x/referrers/" + layer: 200,
	} {
		if got, body := get(path); got != want {
			t.Errorf("GET %s = %d %s, want %d", path, got, body, want)
		}
	}
	if got, body := get("/v2/x/blobs/"+layer, "Range", "bytes=0-1"); got != 206 || body != "\x1f\x8b" {
		t.Errorf("range: %d %q", got, body)
	}
	reg.Break(registrytest.FirstTimes(100, 503, "/tags/"))
	if got, _ := get("/v2/x/tags/list"); got != 503 {
		t.Errorf("broken: %d", got)
	}
	reg.Break(nil)
	reg.Protect(registrytest.Auth{User: "u", Password: "p"})
	if got, _ := get("/v2/"); got != 401 {
		t.Errorf("without password: %d", got)
	}
	if got, _ := get("/v2/", "Authorization", "Basic dTpw"); got != 200 {
		t.Errorf("with password: %d", got)
	}
}

func TestPushLayout(t *testing.T) {
	img := registrytest.Image(t, registrytest.Files(registrytest.File{Path: "a", Content: "b"}))
	reg := registrytest.Serve(t)
	reg.PushLayout(t, "r", img.Layout(t, "t"))
	resp, err := http.Get(reg.Server.URL + "/v2/r/manifests/t")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Docker-Content-Digest"); got != string(img.Root.Digest) {
		t.Errorf("digest %s, want %s", got, img.Root.Digest)
	}
	if seen := strings.Join(reg.Requests(), "\n"); seen != "GET /v2/r/manifests/t" {
		t.Errorf("requests %q", seen)
	}
	if _, err := os.Stat(filepath.Join(img.Layout(t), "oci-layout")); err != nil {
		t.Error(err)
	}
}
