package main

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// blob is a layer as it lies in an image.
type blob struct {
	Name    string // of the file, below the cache folder
	Digest  string
	DiffID  string
	Size    int64 // compressed
	Bytes   int64 // of tar
	Entries int
}

// The images that are measured.
const (
	largeImage   = "large.tar"
	changedImage = "large-changed.tar"
	goImage      = "go.tar"
	debianImage  = "debian.tar"
	emptyImage   = "empty.tar"
)

const emptyFiles = 3_000_000

func (b *bench) buildImages(ctx context.Context) error {
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return err
	}
	base, err := b.debian(ctx, "debian-base", nil)
	if err != nil {
		return err
	}
	full, err := b.debian(ctx, "debian-full", debs)
	if err != nil {
		return err
	}
	dirs := map[string]string{}
	for name, get := range map[string]func(context.Context) (string, error){
		"srv/app": b.node, "usr/local/go": gorootDir,
		"opt/app": func(ctx context.Context) (string, error) { return b.application(ctx, full) },
	} {
		if dirs[name], err = get(ctx); err != nil {
			return err
		}
	}
	layers := []struct {
		name  string
		write func(*tar.Writer) error
	}{
		{"debian-base", func(w *tar.Writer) error { return copyTar(w, base, nil) }},
		{"debian-more", func(w *tar.Writer) error { return newerTar(w, full, base) }},
		{"go", folder("usr/local/go", dirs)},
		{"python", func(w *tar.Writer) error { return pythonFrom(w, full) }},
		{"node", folder("srv/app", dirs)},
		{"application", folder("opt/app", dirs)},
		{"node-changed", func(w *tar.Writer) error {
			return errors.Join(folder("srv/app", dirs)(w), file(w, "srv/app/changed", []byte("changed\n")))
		}},
		{"binary", func(w *tar.Writer) error {
			data, err := os.ReadFile(filepath.Join(dirs["usr/local/go"], "bin", "gofmt"))
			return errors.Join(err, file(w, "gofmt", data))
		}},
		{"empty", writeEmpty},
	}
	blobs := map[string]blob{}
	for _, l := range layers {
		if blobs[l.name], err = b.layer(l.name, l.write); err != nil {
			return err
		}
	}
	large := []string{"debian-base", "debian-more", "go", "python", "node", "application"}
	changed := []string{"debian-base", "debian-more", "go", "python", "node-changed", "application"}
	for name, parts := range map[string][]string{
		largeImage: large, changedImage: changed, goImage: {"binary"}, debianImage: {"debian-base"}, emptyImage: {"empty"},
	} {
		if _, err := b.once(name, func(tmp string) error { return b.archive(tmp, parts, blobs) }); err != nil {
			return err
		}
	}
	return nil
}

// layer writes a gzip layer and what it is.
func (b *bench) layer(name string, write func(*tar.Writer) error) (blob, error) {
	var l blob
	note, err := b.once(name+".json", func(tmp string) error {
		_, err := b.once(name+".tar.gz", func(gz string) error {
			var err error
			l, err = writeLayer(gz, write)
			return err
		})
		if err != nil {
			return err
		}
		if l.Digest == "" {
			return fmt.Errorf("%s.tar.gz is there without its %s.json: remove it", name, name)
		}
		l.Name = name + ".tar.gz"
		data, err := json.MarshalIndent(l, "", "  ")
		return errors.Join(err, os.WriteFile(tmp, data, 0o644))
	})
	if err != nil {
		return l, err
	}
	data, err := os.ReadFile(note)
	if err != nil {
		return l, err
	}
	return l, json.Unmarshal(data, &l)
}

func writeLayer(name string, write func(*tar.Writer) error) (blob, error) {
	f, err := os.Create(name)
	if err != nil {
		return blob{}, err
	}
	defer f.Close()
	packed, unpacked := sum{hash: sha256.New()}, sum{hash: sha256.New()}
	buf := bufio.NewWriterSize(f, 1<<20)
	gz := gzip.NewWriter(io.MultiWriter(buf, &packed))
	both := io.MultiWriter(gz, &unpacked)
	tw := tar.NewWriter(both)
	if err := errors.Join(write(tw), tw.Close(), gz.Close(), buf.Flush(), f.Close()); err != nil {
		return blob{}, err
	}
	l := blob{Digest: packed.String(), DiffID: unpacked.String(), Size: packed.n, Bytes: unpacked.n}
	l.Entries, err = countEntries(name)
	return l, err
}

type sum struct {
	hash hash.Hash
	n    int64
}

func (s *sum) Write(p []byte) (int, error) {
	s.n += int64(len(p))
	return s.hash.Write(p)
}

func (s *sum) String() string { return "sha256:" + hex.EncodeToString(s.hash.Sum(nil)) }

func countEntries(name string) (int, error) {
	n := 0
	err := eachEntry(name, func(*tar.Header, io.Reader) error { n++; return nil })
	return n, err
}

// eachEntry goes through a tar, compressed or not.
func eachEntry(name string, visit func(*tar.Header, io.Reader) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var r io.Reader = bufio.NewReaderSize(f, 1<<20)
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(r); err != nil {
			return err
		}
	}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = visit(h, tr)
		}
		if err != nil {
			return err
		}
	}
}

func copyTar(w *tar.Writer, name string, keep func(*tar.Header) bool) error {
	return eachEntry(name, func(h *tar.Header, r io.Reader) error {
		if keep != nil && !keep(h) {
			return nil
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err := io.Copy(w, r)
		return err
	})
}

// newerTar copies what of full is not in base, as a build's second layer has
// it: by path, size and time.
func newerTar(w *tar.Writer, full, base string) error {
	type state struct {
		size int64
		mode int64
		link string
	}
	old := map[string]state{}
	err := eachEntry(base, func(h *tar.Header, _ io.Reader) error {
		old[h.Name] = state{h.Size, h.Mode, h.Linkname}
		return nil
	})
	if err != nil {
		return err
	}
	return copyTar(w, full, func(h *tar.Header) bool {
		s, ok := old[h.Name]
		return !ok || s != state{h.Size, h.Mode, h.Linkname}
	})
}

// folder writes a folder of this machine below its name in the image.
func folder(name string, dirs map[string]string) func(*tar.Writer) error {
	return func(w *tar.Writer) error {
		return walk(dirs[name], func(rel string, info fs.FileInfo) error {
			p := filepath.Join(dirs[name], rel)
			link := ""
			switch {
			case info.Mode()&fs.ModeSymlink != 0:
				var err error
				if link, err = os.Readlink(p); err != nil {
					return err
				}
			case !info.IsDir() && !info.Mode().IsRegular():
				return nil
			}
			h, err := tar.FileInfoHeader(info, link)
			if err != nil {
				return err
			}
			h.Name, h.Uid, h.Gid, h.Uname, h.Gname = path.Join(name, filepath.ToSlash(rel)), 0, 0, "", ""
			if info.IsDir() {
				h.Name += "/"
			}
			if err := w.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
				return err
			}
			f, err := os.Open(p)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(w, f)
			return err
		})
	}
}

func file(w *tar.Writer, name string, data []byte) error {
	h := &tar.Header{Name: name, Mode: 0o755, Size: int64(len(data)), Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0)}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

// writeEmpty is the image of many files, for memory.
func writeEmpty(w *tar.Writer) error {
	for i := range emptyFiles {
		name := fmt.Sprintf("data/%03d/%03d/file-%07d.txt", i/100_000, i/1000%100, i)
		if err := file(w, name, nil); err != nil {
			return err
		}
	}
	return nil
}

// copyJars takes Debian's jars out of its tar, as an application brings them:
// listed by no package database.
func copyJars(full, dir string) error {
	return eachEntry(full, func(h *tar.Header, r io.Reader) error {
		if h.Typeflag != tar.TypeReg || !strings.HasPrefix(path.Clean(h.Name), "usr/share/") || path.Ext(h.Name) != ".jar" {
			return nil
		}
		f, err := os.Create(filepath.Join(dir, path.Base(h.Name)))
		if err != nil {
			return err
		}
		_, err = io.Copy(f, r)
		return errors.Join(err, f.Close())
	})
}

// pythonFrom puts Debian's Python packages into a virtual environment: listed
// by no package database, as those of pip.
func pythonFrom(w *tar.Writer, full string) error {
	return eachEntry(full, func(h *tar.Header, r io.Reader) error {
		rest, ok := strings.CutPrefix(path.Clean(h.Name), "usr/lib/python3/dist-packages/")
		if !ok || h.Typeflag != tar.TypeReg {
			return nil
		}
		h.Name = "opt/venv/lib/python3.11/site-packages/" + rest
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err := io.Copy(w, r)
		return err
	})
}

// archive writes an image that every tool reads: an OCI layout and docker's
// manifest.json over the same blobs, as docker save does since version 25.
func (b *bench) archive(name string, parts []string, blobs map[string]blob) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := bufio.NewWriterSize(f, 1<<20)
	w := tar.NewWriter(buf)
	var ids, names []string
	var layers []map[string]any
	seen := map[string]bool{}
	for _, p := range parts {
		l := blobs[p]
		ids, names = append(ids, l.DiffID), append(names, blobPath(l.Digest))
		layers = append(layers, descriptor("application/vnd.oci.image.layer.v1.tar+gzip", l.Digest, l.Size))
		if seen[l.Digest] {
			continue
		}
		seen[l.Digest] = true
		if err := b.copyBlob(w, l); err != nil {
			return err
		}
	}
	config, cerr := putJSON(w, map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{"Cmd": []string{"/bin/sh"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": ids},
	}, "application/vnd.oci.image.config.v1+json")
	manifest, merr := putJSON(w, map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": layers,
	}, "application/vnd.oci.image.manifest.v1+json")
	if err := errors.Join(cerr, merr); err != nil {
		return err
	}
	index, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []any{manifest},
	})
	if err != nil {
		return err
	}
	docker, err := json.Marshal([]any{map[string]any{
		"Config": blobPath(config["digest"].(string)), "RepoTags": []string{"bench:latest"}, "Layers": names,
	}})
	return errors.Join(err, file(w, "index.json", index), file(w, "manifest.json", docker),
		file(w, "oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)), w.Close(), buf.Flush(), f.Close())
}

func blobPath(digest string) string { return "blobs/" + strings.Replace(digest, ":", "/", 1) }

func descriptor(media, digest string, size int64) map[string]any {
	return map[string]any{"mediaType": media, "digest": digest, "size": size}
}

func (b *bench) copyBlob(w *tar.Writer, l blob) error {
	f, err := os.Open(filepath.Join(b.dir, l.Name))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := w.WriteHeader(&tar.Header{Name: blobPath(l.Digest), Mode: 0o644, Size: l.Size, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

func putJSON(w *tar.Writer, v any, media string) (map[string]any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	s := sum{hash: sha256.New()}
	_, _ = s.Write(data)
	return descriptor(media, s.String(), int64(len(data))), file(w, blobPath(s.String()), data)
}
