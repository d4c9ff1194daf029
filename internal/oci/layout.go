package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/esclusa/esclusa"
)

// layout is an OCI layout: files by name.
type layout func(ctx context.Context, name string) (io.ReadCloser, error)

func (l layout) fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	if newHash(esclusa.Digest(d.Digest)) == nil { // it becomes a path
		return nil, fmt.Errorf("unusable digest %q", d.Digest)
	}
	return l(ctx, blobName(d.Digest))
}

func blobName(d digest.Digest) string {
	return "blobs/" + strings.Replace(string(d), ":", "/", 1)
}

func (o *Options) openLayoutFolder(ctx context.Context, dir, selector string) (*Image, error) {
	if !isLayout(dir) {
		return nil, hint(fmt.Errorf("%q: %w: a folder without %s", dir, ErrNotImage, ocispec.ImageLayoutFile),
			"for an image of that name write registry:%s", dir)
	}
	root, err := os.OpenRoot(dir) // no link leads out of it
	if err != nil {
		return nil, err
	}
	l := layout(func(_ context.Context, name string) (io.ReadCloser, error) { return openRegular(root, name) })
	img, err := o.openLayout(ctx, l, selector, nil)
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("%q: %w", dir, err)
	}
	img.onClose(root.Close)
	return img, nil
}

// openRegular never waits at a FIFO that lies where a blob should.
func openRegular(root *os.Root, name string) (io.ReadCloser, error) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is no regular file", name)
	}
	return root.Open(name)
}

// openLayoutTar asks the manifest.json beside the index too, unless the user
// has chosen between them.
func (o *Options) openLayoutTar(ctx context.Context, a *archive, selector string, both bool) (*Image, error) {
	var members []dockerMember
	if both && a.has(dockerManifestFile) {
		var err error
		if members, err = readDockerManifest(ctx, a); err != nil {
			return nil, err
		}
	}
	img, err := o.openLayout(ctx, a.open, selector, members)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(img.Layers))
	for i, l := range img.Layers {
		names[i] = blobName(digest.Digest(l.Digest))
	}
	img.serial = a.serial(names)
	return img, nil
}

// openLayout opens the image of index.json that selector names. members are
// those of the manifest.json beside it, if there is one.
func (o *Options) openLayout(ctx context.Context, l layout, selector string, members []dockerMember) (*Image, error) {
	index, err := readIndex(ctx, l)
	if err != nil {
		return nil, err
	}
	d, err := o.selectMember(index.Manifests, selector)
	if err != nil {
		return nil, err
	}
	img, err := o.resolve(ctx, l, d)
	if err != nil {
		return nil, err
	}
	for _, m := range index.Manifests {
		if name := refName(m); m.Digest == d.Digest && name != "" {
			img.Tags = append(img.Tags, name)
		}
	}
	if len(members) > 0 {
		if err := agree(img, members); err != nil {
			return nil, err
		}
	}
	slices.Sort(img.Tags)
	img.Tags = slices.Compact(img.Tags)
	return img, nil
}

// agree holds the two lists of a docker archive together: docker loads what
// manifest.json says and others what index.json says, so an archive in which
// they name different images could show us one and run the other.
func agree(img *Image, members []dockerMember) error {
	for _, m := range members {
		if digestName(m.Config) == img.ID {
			img.Tags = append(img.Tags, m.RepoTags...)
			return nil
		}
	}
	return hint(fmt.Errorf("index.json names image %s, manifest.json does not", img.ID.Short()),
		"choose one of them: docker-archive:FILE reads manifest.json, oci:FILE index.json")
}

func readIndex(ctx context.Context, l layout) (*document, error) {
	r, err := l(ctx, ocispec.ImageIndexFile)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("read index.json: %w", err)
	}
	if len(b) > maxManifest {
		return nil, &LimitError{"size of index.json", maxManifest, "bytes"}
	}
	return parseIndex(b)
}

func parseIndex(b []byte) (*document, error) {
	var index document
	if err := json.Unmarshal(b, &index); err != nil {
		return nil, fmt.Errorf("parse index.json: %w", err)
	}
	if len(index.Manifests) > maxMembers {
		return nil, &LimitError{"number of manifests in an index", maxMembers, "manifests"}
	}
	return &index, nil
}

// refName is the name that an entry of index.json has, the full one first.
func refName(d ocispec.Descriptor) string {
	if name := d.Annotations["io.containerd.image.name"]; name != "" {
		return name
	}
	return d.Annotations[ocispec.AnnotationRefName]
}

func (o *Options) selectMember(members []ocispec.Descriptor, selector string) (ocispec.Descriptor, error) {
	var found []ocispec.Descriptor
	names := map[string]bool{}
	digests := map[digest.Digest]bool{}
	for _, m := range members {
		if isAttestation(m) || selector != "" && !selects(selector, string(m.Digest), refName(m), m.Annotations[ocispec.AnnotationRefName]) {
			continue
		}
		names[refName(m)] = true
		if !digests[m.Digest] {
			digests[m.Digest] = true
			found = append(found, m)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1 && len(names) <= 1: // they differ by platform
		return o.choose(found)
	case len(found) > 1:
		return ocispec.Descriptor{}, whichImage(slices.Collect(maps.Keys(names)))
	case selector != "":
		for _, m := range members {
			names[refName(m)] = true
		}
		return ocispec.Descriptor{}, noneNamed(selector, slices.Collect(maps.Keys(names)))
	}
	return ocispec.Descriptor{}, fmt.Errorf("%w: index.json is empty", ErrNotImage)
}

// selects says whether what the user wrote behind the path names this image:
// by digest, by whole name, or by tag alone.
func selects(selector, digest string, names ...string) bool {
	if selector == digest {
		return true
	}
	for _, n := range names {
		if n == selector || strings.HasSuffix(n, ":"+selector) || strings.HasSuffix(n, "/"+selector) {
			return true
		}
	}
	return false
}

func whichImage(names []string) error {
	return hint(fmt.Errorf("there are %d images in it", len(names)), "write the name of one behind the path: %s", nameList(names))
}

func noneNamed(selector string, names []string) error {
	return hint(fmt.Errorf("no image named %q in it: %w", selector, ErrNotFound), "there are: %s", nameList(names))
}

func nameList(names []string) string {
	slices.Sort(names)
	var out []string
	for i, n := range names {
		if i == 20 {
			out = append(out, "…")
			break
		}
		out = append(out, fmt.Sprintf("%q", n))
	}
	return strings.Join(out, " ")
}
