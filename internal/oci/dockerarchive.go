package oci

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/opencontainers/go-digest"
)

const dockerManifestFile = "manifest.json"

// dockerMember is one image of manifest.json.
type dockerMember struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func readDockerManifest(ctx context.Context, a *archive) ([]dockerMember, error) {
	b, err := a.read(ctx, dockerManifestFile, "manifest", maxManifest)
	if err != nil {
		return nil, err
	}
	return parseDockerManifest(b)
}

func parseDockerManifest(b []byte) ([]dockerMember, error) {
	var members []dockerMember
	if err := json.Unmarshal(b, &members); err != nil {
		return nil, fmt.Errorf("parse %s: %w", dockerManifestFile, err)
	}
	if len(members) > maxMembers {
		return nil, &LimitError{"number of images in " + dockerManifestFile, maxMembers, "images"}
	}
	for _, m := range members {
		if len(m.Layers) > maxLayers {
			return nil, &LimitError{"number of layers", maxLayers, "layers"}
		}
	}
	return members, nil
}

// openDockerArchive opens what docker save wrote. Its layers have no digest
// but their diff-ID, so that is what their streams are checked against.
func (o *Options) openDockerArchive(ctx context.Context, a *archive, selector string) (*Image, error) {
	members, err := readDockerManifest(ctx, a)
	if err != nil {
		return nil, err
	}
	m, err := selectDocker(members, selector)
	if err != nil {
		return nil, err
	}
	b, err := a.read(ctx, m.Config, "configuration", maxConfig)
	if err != nil {
		return nil, err
	}
	id := digest.FromBytes(b)
	if named := digestName(m.Config); named != "" && named != esclusa.Digest(id) {
		return nil, fmt.Errorf("configuration %q: %w: content is %s", m.Config, ErrDigest, id)
	}
	cfg, err := parseConfig(b)
	if err != nil {
		return nil, err
	}
	if len(cfg.RootFS.DiffIDs) != len(m.Layers) {
		return nil, fmt.Errorf("%s has %d layers, its configuration %d", dockerManifestFile, len(m.Layers), len(cfg.RootFS.DiffIDs))
	}
	if err := o.checkPlatform(cfg, false); err != nil {
		return nil, err
	}
	img := cfg.image()
	img.ID, img.Tags = esclusa.Digest(id), m.RepoTags
	img.attach(a, m.Layers)
	return img, nil
}

// attach gives the layers their files in the archive. One that is not there
// is that layer's trouble when it is opened, the others can be read.
func (img *Image) attach(a *archive, names []string) {
	for i, name := range names {
		l := &img.Layers[i]
		l.MediaType = "application/vnd.docker.image.rootfs.diff.tar"
		if e, err := a.find(name); err == nil {
			l.Size = e.size
		}
		l.open = func(ctx context.Context) (io.ReadCloser, error) { return a.open(ctx, name) }
	}
	img.serial = a.serial(names)
}

// openDockerFolder opens what docker save wrote and someone unpacked.
func (o *Options) openDockerFolder(ctx context.Context, dir, selector string) (*Image, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	a := &archive{folder: root}
	img, err := o.openDockerArchive(ctx, a, selector)
	if err != nil {
		a.close()
		return nil, fmt.Errorf("%q: %w", dir, err)
	}
	img.onClose(a.close)
	return img, nil
}

// isDockerFolder says whether a folder is an unpacked docker archive: other
// things are called manifest.json as well.
func isDockerFolder(dir string) bool {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false
	}
	a := &archive{folder: root}
	defer a.close()
	members, err := readDockerManifest(context.Background(), a)
	return err == nil && len(members) > 0 && members[0].Config != "" && len(members[0].Layers) > 0
}

// serial gives the order of files in a tar that is read forwards, else nil.
func (a *archive) serial(names []string) func(context.Context) ([]int, error) {
	if a.at != nil || a.folder != nil {
		return nil
	}
	return func(context.Context) ([]int, error) {
		order := make([]int, len(names))
		at := make([]int64, len(names))
		for i, name := range names {
			order[i] = i
			if e, err := a.find(name); err == nil {
				at[i] = e.offset
			}
		}
		slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(at[i], at[j]) })
		return order, nil
	}
}

func selectDocker(members []dockerMember, selector string) (dockerMember, error) {
	var found []dockerMember
	var names []string
	for _, m := range members {
		names = append(names, strings.Join(m.RepoTags, " "))
		if selector == "" || selects(selector, string(digestName(m.Config)), m.RepoTags...) {
			found = append(found, m)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return dockerMember{}, whichImage(names)
	case selector != "":
		return dockerMember{}, noneNamed(selector, names)
	}
	return dockerMember{}, fmt.Errorf("%w: %s is empty", ErrNotImage, dockerManifestFile)
}
