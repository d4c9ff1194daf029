package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/esclusa/esclusa/internal/service"
)

func TestUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	var got string
	if err := service.Get(t.Context(), path, "/x", &got); !errors.Is(err, service.ErrAbsent) {
		t.Errorf("nobody listens: %v", err)
	}
	// A process that died leaves its socket.
	old, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	old.(*net.UnixListener).SetUnlinkOnClose(false)
	old.Close()
	l, err := service.Unix(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /x", func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode("yes") })
	mux.HandleFunc("GET /large", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`"` + strings.Repeat("x", 9<<20) + `"`)) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- service.Serve(ctx, l, mux) }()
	if err := service.Get(t.Context(), path, "/x", &got); err != nil || got != "yes" {
		t.Errorf("%q %v", got, err)
	}
	for path2, want := range map[string]string{"/none": "404", "/large": "more than"} {
		if err := service.Get(t.Context(), path, path2, &got); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path2, err)
		}
	}
	// A file that is no socket is nobody's to remove.
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := service.Unix(file); err == nil {
		t.Error("a file was taken for a socket")
	}
	if data, err := os.ReadFile(file); string(data) != "x" {
		t.Error("it is gone:", err)
	}
	// One that answers is not pushed aside.
	if _, err := service.Unix(path); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Error(err)
	}
	if err := service.Get(t.Context(), path, "/x", &got); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
