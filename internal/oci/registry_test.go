package oci_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/esclusa/esclusa/internal/oci"
	"github.com/esclusa/esclusa/internal/registrytest"
)

// secret is built at run time: no scanner shall take it for a leaked one.
func secret() string { return strings.Join([]string{"open", "sesame"}, "-") }

func TestLogin(t *testing.T) {
	b := sample(t)
	host := func(o registrytest.Auth) string {
		reg := registrytest.Serve(t)
		reg.Push("private", b, "1")
		reg.Protect(o)
		return reg.Host
	}
	basic := host(registrytest.Auth{User: "me", Password: secret()})
	token := host(registrytest.Auth{User: "me", Password: secret(), Token: true})
	public := host(registrytest.Auth{User: "x", Password: secret(), Token: true, Anonymous: true})

	config := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return write(t, "config.json", text)
	}
	auths := func(host, password string) string {
		return config(map[string]any{"auths": map[string]any{host: map[string]string{
			"auth": base64.StdEncoding.EncodeToString([]byte("me:" + password)),
		}}})
	}
	for _, c := range []struct {
		name, host string
		o          oci.Options
		denied     bool
	}{
		{"basic, from docker's file", basic, oci.Options{DockerConfig: auths(basic, secret())}, false},
		{"token, from docker's file", token, oci.Options{DockerConfig: auths(token, secret())}, false},
		{"basic, given", basic, oci.Options{Logins: map[string]oci.Login{basic: {User: "me", Password: secret()}}}, false},
		{"token, given", token, oci.Options{Logins: map[string]oci.Login{token: {User: "me", Password: secret()}}}, false},
		{"token for everybody", public, oci.Options{}, false},
		{"basic, nothing", basic, oci.Options{}, true},
		{"token, nothing", token, oci.Options{}, true},
		{"basic, wrong", basic, oci.Options{DockerConfig: auths(basic, "x")}, true},
		{"token, wrong", token, oci.Options{DockerConfig: auths(token, "x")}, true},
		{"login of another host", basic, oci.Options{Logins: map[string]oci.Login{token: {User: "me", Password: secret()}}}, true},
		{"no such file", public, oci.Options{DockerConfig: "/nonexistent/config.json"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			img, err := oci.Open(t.Context(), c.host+"/private:1", c.o)
			if c.denied {
				if !errors.Is(err, oci.ErrDenied) || !strings.Contains(hintOf(err), "docker login") {
					t.Errorf("%v, hint %q", err, hintOf(err))
				}
				if err != nil && strings.Contains(err.Error(), secret()) {
					t.Errorf("the error tells the password: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer img.Close()
			tars(t, img)
		})
	}
	t.Run("helper", func(t *testing.T) {
		dir := t.TempDir()
		script := fmt.Sprintf("#!/bin/sh\nread host\necho '{\"ServerURL\":\"'$host'\",\"Username\":\"me\",\"Secret\":\"%s\"}'\n", secret())
		if err := os.WriteFile(filepath.Join(dir, "docker-credential-esclusatest"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
		o := oci.Options{DockerConfig: config(map[string]any{"credHelpers": map[string]string{basic: "esclusatest"}})}
		tars(t, open(t, basic+"/private:1", o))
	})
	t.Run("absent helper", func(t *testing.T) {
		o := oci.Options{DockerConfig: config(map[string]any{"credHelpers": map[string]string{basic: "esclusa-absent"}})}
		_, err := oci.Open(t.Context(), basic+"/private:1", o)
		if !strings.Contains(hintOf(err), "credential helper") {
			t.Errorf("%v, hint %q", err, hintOf(err))
		}
	})
	t.Run("broken file", func(t *testing.T) {
		_, err := oci.Open(t.Context(), basic+"/private:1", oci.Options{DockerConfig: write(t, "config.json", []byte("{"))})
		if !strings.Contains(hintOf(err), "config.json") {
			t.Errorf("%v, hint %q", err, hintOf(err))
		}
	})
}

func TestTLS(t *testing.T) {
	reg := registrytest.ServeTLS(t)
	b := sample(t)
	ref := reg.Push("a", b, "1")
	tars(t, open(t, ref, oci.Options{Transport: reg.Server.Client().Transport}))
	_, err := oci.Open(t.Context(), ref, oci.Options{})
	if !strings.Contains(hintOf(err), "certificate") {
		t.Errorf("%v, hint %q", err, hintOf(err))
	}
}

// TestPulls counts what a pull asks for: registries bill by the manifest.
func TestPulls(t *testing.T) {
	reg := registrytest.Serve(t)
	b := sample(t)
	ref := reg.Push("a", registrytest.Index(t, b), "1")
	img := open(t, ref, oci.Options{PlainHTTP: []string{reg.Host}})
	want := []string{
		"GET /v2/a/manifests/1",
		"GET /v2/a/manifests/" + string(b.Root.Digest),
		"GET /v2/a/blobs/" + string(b.Manifest.Config.Digest),
	}
	if got := reg.Requests(); !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
	tars(t, img)
	if got := len(reg.Requests()); got != len(want)+len(img.Layers) {
		t.Errorf("%d requests", got)
	}
}

// TestFaults breaks the registry in the ways that pass.
func TestFaults(t *testing.T) {
	b := sample(t)
	layer := string(b.Manifest.Layers[1].Digest)
	cut := func(every int) registrytest.Fault {
		return func(w http.ResponseWriter, r *http.Request, n int) bool {
			if !strings.HasSuffix(r.URL.Path, layer) || n >= every {
				return false
			}
			// Part of what is left, then the connection breaks.
			var from int
			if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(b.Blobs[b.Manifest.Layers[1].Digest])-1, len(b.Blobs[b.Manifest.Layers[1].Digest])))
			}
			rest := b.Blobs[b.Manifest.Layers[1].Digest][from:]
			w.Header().Set("Content-Length", fmt.Sprint(len(rest)))
			w.Header().Set("Accept-Ranges", "bytes")
			if from > 0 {
				w.WriteHeader(http.StatusPartialContent)
			}
			w.Write(rest[:min(len(rest), 7)])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	}
	for _, c := range []struct {
		name  string
		fault registrytest.Fault
		ok    bool
	}{
		{"too many requests", registrytest.FirstTimes(1, http.StatusTooManyRequests, "/"), true},
		{"unavailable", registrytest.FirstTimes(2, http.StatusServiceUnavailable, "/manifests/"), true},
		{"layer unavailable", registrytest.FirstTimes(1, http.StatusBadGateway, layer), true},
		{"broken connection", cut(3), true},
		{"always broken connection", cut(1000), false},
		{"layer gone", registrytest.FirstTimes(1000, http.StatusNotFound, layer), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.Serve(t)
			ref := reg.Push("a", b, "1")
			reg.Break(c.fault)
			img := open(t, ref, oci.Options{PlainHTTP: []string{reg.Host}})
			if c.ok {
				tars(t, img)
				return
			}
			s, err := img.Layers[1].OpenTar(t.Context())
			if err == nil {
				_, err = io.Copy(io.Discard, s)
				s.Close()
			}
			if err == nil {
				t.Error("read")
			}
			for _, i := range []int{0, 2} { // the others do not suffer
				s, err := img.Layers[i].OpenTar(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, s); err != nil {
					t.Error(err)
				}
				s.Close()
			}
		})
	}
}

func TestLying(t *testing.T) {
	b := sample(t)
	other := registrytest.Image(t)
	for _, c := range []struct {
		name, part string
		answer     []byte
		header     map[string]string
	}{
		{"another manifest", "/manifests/", other.Blobs[other.Root.Digest], map[string]string{"Content-Type": b.Root.MediaType, "Docker-Content-Digest": string(b.Root.Digest)}},
		{"another configuration", string(b.Manifest.Config.Digest), other.Blobs[other.Manifest.Config.Digest], nil},
		{"endless manifest", "/manifests/", make([]byte, 5<<20), map[string]string{"Content-Type": b.Root.MediaType}},
		{"a page", "/manifests/", []byte("<html>"), map[string]string{"Content-Type": "text/html"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := registrytest.Serve(t)
			ref := reg.Push("a", b, "1")
			reg.Break(func(w http.ResponseWriter, r *http.Request, _ int) bool {
				if !strings.Contains(r.URL.Path, c.part) {
					return false
				}
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				w.Header().Set("Content-Length", fmt.Sprint(len(c.answer)))
				w.Write(c.answer)
				return true
			})
			img, err := oci.Open(t.Context(), ref, oci.Options{})
			if err == nil {
				img.Close()
				t.Fatal("opened")
			}
			t.Log(err)
		})
	}
}
