package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/esclusa/esclusa/internal/registrytest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestNoFormatTellsASecret scans an image whose configuration, history, labels
// and files are full of secrets. Whatever is written, statements and policies'
// explanations included, holds none of them, and all that stands beside them.
func TestNoFormatTellsASecret(t *testing.T) {
	const random = "q7Xv2Lm9zP" // joined, so that the scan of these sources finds nothing
	secret := func(n string) string { return random + n }
	aws, gh := "AKIA"+"Q3EGRJ7DLPM2XVNB", "gh"+"p_k2Jd8Zm4Qw7Rt5Yp1Xv9b6Nc3Lh0Gf4TB51C"
	long := "RUN curl -k https://" + strings.Repeat("a", 100) + ".corp.net/x -H 'X: " + gh + "'"
	private, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	key := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}))
	body := strings.Split(key, "\n")[2]
	key = strings.ReplaceAll(key, "\n", `\n`)
	img := registrytest.Spec{
		Config: ocispec.ImageConfig{
			Env:    []string{"PATH=/usr/bin", "DB_PASSWORD=" + secret("A") + " " + secret("B"), "SOME=" + aws, "PASSWORD_FILE=/run/secrets/db"},
			Labels: map[string]string{"team": "shop", "deploy.token": secret("C"), "note": "use " + gh},
			Cmd:    []string{"serve", "--password", secret("D"), "--port", "8080"}, Entrypoint: []string{"run", "--token=" + secret("E")},
		},
		Layers: []registrytest.Layer{
			{Files: []registrytest.File{{Path: "app/config.env", Content: "AWS=" + aws + "\n"}}, CreatedBy: "COPY app /app"},
			{Empty: true, CreatedBy: "ENV DB_PASSWORD=" + secret("A") + " " + secret("B") + " MODE=plain"},
			{Empty: true, CreatedBy: "/bin/sh -c #(nop)  ENV API_TOKEN " + secret("F")},
			{Empty: true, CreatedBy: long},
			{Empty: true, CreatedBy: "RUN curl -k https://git:" + secret("G") + "@corp.net/x # buildkit"},
			{Empty: true, CreatedBy: "RUN |2 NPM_TOKEN=" + secret("H") + " LEVEL=debug /bin/sh -c sudo make all"},
			{Empty: true, CreatedBy: "RUN sudo printf '" + key + "' > /k"},
		},
	}.Build(t).Layout(t, "latest")

	dir := t.TempDir()
	var out, talk bytes.Buffer
	a := app{stdin: strings.NewReader(""), stdout: &out, stderr: &talk, getenv: func(name string) string {
		return map[string]string{"XDG_CACHE_HOME": filepath.Join(dir, "cache")}[name]
	}}
	args := []string{"gate", "ci", img, "--offline", "-q", "--attest", filepath.Join(dir, "statements")}
	for _, f := range formatNames() {
		args = append(args, "-o", f+"="+filepath.Join(dir, f))
	}
	for range 2 { // the second time from the cache
		if code := run(t.Context(), args, a); code != 1 {
			t.Fatalf("exit code %d: %s", code, &talk)
		}
	}
	run(t.Context(), []string{"scan", img, "--offline", "-q", "--all"}, a)
	run(t.Context(), []string{"gate", "explain", img, "--offline", "-q"}, a)
	written := map[string]string{"stdout": out.String(), "stderr": talk.String()}
	for _, name := range append(formatNames(), "statements") {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		written[name] = string(data)
	}
	for name, text := range written {
		for _, s := range []string{random, aws[4:12], gh[4:12], body[:16]} {
			if i := strings.Index(text, s); i >= 0 {
				t.Errorf("%s tells %q: …%s…", name, s, text[max(0, i-80):min(len(text), i+40)])
			}
		}
	}
	for _, s := range []string{
		"PATH=/usr/bin", "PASSWORD_FILE=/run/secrets/db", "DB_PASSWORD=q7Xv… (23 characters)", `"team":"shop"`, `"8080"`,
		"COPY app /app", " MODE=plain", "LEVEL=debug /bin/sh -c sudo make all", "corp.net/x", "AKIA… (20 characters)",
	} {
		if !strings.Contains(written["json"], s) {
			t.Errorf("the report does not show %q", s)
		}
	}
	if t.Failed() {
		t.Log(written["json"])
	}
}
