package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const suite = "bookworm"

// What a well-filled application image installs.
var (
	debs = []string{
		"ca-certificates", "default-jre-headless", "build-essential", "nodejs", "npm", "maven", "git", "curl",
		"python3-pip", "python3-venv", "python3-numpy", "python3-requests", "python3-yaml",
		"libtomcat10-java", "libspring-web-java",
	}
	npms = map[string]string{
		"react-scripts": "5.0.1", "gatsby": "5.13.7", "@angular/cli": "17.3.8", "aws-sdk": "2.1692.0", "webpack": "5.91.0",
		"eslint": "8.57.0", "jest": "29.7.0", "typescript": "5.4.5", "express": "4.19.2", "lodash": "4.17.21",
		"@storybook/react": "7.6.20", "vite": "5.2.11", "mocha": "10.4.0",
	}
)

// debian makes a root file system as a tar.
func (b *bench) debian(ctx context.Context, name string, include []string) (string, error) {
	return b.once(name+".tar", func(tmp string) error {
		args := []string{"--variant=minbase", "--format=tar"}
		if len(include) > 0 {
			args = append(args, "--include="+strings.Join(include, ","))
		}
		return run(ctx, "", "mmdebstrap", append(args, suite, tmp)...)
	})
}

// node installs packages as an application's build does. Scripts of packages
// are not run: they are a stranger's code on this machine.
func (b *bench) node(ctx context.Context) (string, error) {
	return b.once("node", func(tmp string) error {
		if err := os.MkdirAll(tmp, 0o755); err != nil {
			return err
		}
		project, err := json.Marshal(map[string]any{"name": "bench", "version": "1.0.0", "private": true, "dependencies": npms})
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(tmp, "package.json"), project, 0o644); err != nil {
			return err
		}
		return run(ctx, tmp, "npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--legacy-peer-deps")
	})
}

// application is the top layer: programs, jars and four secrets.
func (b *bench) application(ctx context.Context, full string) (string, error) {
	return b.once("application", func(tmp string) error {
		if err := os.MkdirAll(filepath.Join(tmp, "lib"), 0o755); err != nil {
			return err
		}
		if err := goBuild(ctx, filepath.Join(tmp, "server"), "./cmd/esclusa"); err != nil {
			return err
		}
		if err := copyJars(full, filepath.Join(tmp, "lib")); err != nil {
			return err
		}
		return plant(tmp)
	})
}

// plant writes four secrets into three files. The tokens are put together here
// so that no scanner of this repository takes them for real; the key is one.
func plant(dir string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		".env":      "AWS_ACCESS_KEY_ID=" + "AKIA" + "Z7QJ3M5XK2WPRT6B\nAWS_SECRET_ACCESS_KEY=" + "q9Vt3LxB7nRk2WzY" + "8dHs5GmC1pJf4TuE6aNo0iXv\n",
		"deploy.sh": "export GITHUB_TOKEN=" + "ghp_" + "R7kQ2mX9vT4bN8wL3zJ6cH1yD5sF0aPg3uKe\n",
		"id_rsa":    string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// gorootDir is the Go toolchain that builds this.
func gorootDir(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	return strings.TrimSpace(string(out)), err
}

// once makes a file or folder of the cache whole or not at all.
func (b *bench) once(name string, do func(tmp string) error) (string, error) {
	path := filepath.Join(b.dir, name)
	if _, err := os.Lstat(path); err == nil {
		return path, nil
	}
	ext := filepath.Ext(name) // mmdebstrap goes by it
	tmp := strings.TrimSuffix(path, ext) + ".part" + ext
	if err := os.RemoveAll(tmp); err != nil {
		return "", err
	}
	fmt.Fprintln(os.Stderr, "making", name)
	if err := do(tmp); err != nil {
		return "", fmt.Errorf("make %s: %w", name, err)
	}
	return path, os.Rename(tmp, path)
}

func run(ctx context.Context, dir, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out[max(0, len(out)-2000):])
	}
	return nil
}

// walk gives the paths below dir in one order, folders before what is in them.
func walk(dir string, visit func(rel string, info fs.FileInfo) error) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		return visit(rel, info)
	})
}
