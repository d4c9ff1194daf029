package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/esclusa/esclusa"
)

// content is where blobs and manifests are fetched by digest. What it gives
// is not trusted.
type content interface {
	fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error)
}

const (
	mediaDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	mediaDockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	mediaDockerConfig   = "application/vnd.docker.container.image.v1+json"
)

// document is a manifest or an index: only its fields tell them apart.
type document struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	ArtifactType  string               `json:"artifactType"`
	Config        *ocispec.Descriptor  `json:"config"`
	Layers        []ocispec.Descriptor `json:"layers"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
	Annotations   map[string]string    `json:"annotations"`
	// FSLayers is what docker's schema 1 has.
	FSLayers json.RawMessage `json:"fsLayers"`
}

func (d *document) isIndex() bool { return d.Manifests != nil }

// parseDocument refuses what two readers could understand in two ways
// (CVE-2021-41190): both layers and manifests, or a media type that
// contradicts the fields.
func parseDocument(b []byte) (*document, error) {
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("parse manifest: %w", err)
	}
	isManifest := d.Config != nil || d.Layers != nil
	switch {
	case d.SchemaVersion == 1 || d.FSLayers != nil:
		return nil, hint(fmt.Errorf("%w: a docker schema 1 manifest, which is not supported", ErrNotImage),
			"pull the image and push it again with a current tool: that writes schema 2")
	case isManifest && d.isIndex(),
		d.isIndex() && (d.MediaType == ocispec.MediaTypeImageManifest || d.MediaType == mediaDockerManifest),
		isManifest && (d.MediaType == ocispec.MediaTypeImageIndex || d.MediaType == mediaDockerIndex):
		return nil, fmt.Errorf("parse manifest: both a manifest and an index")
	case !isManifest && !d.isIndex():
		return nil, fmt.Errorf("%w: neither a manifest nor an index", ErrNotImage)
	case len(d.Layers) > maxLayers:
		return nil, &LimitError{"number of layers", maxLayers, "layers"}
	case len(d.Manifests) > maxMembers:
		return nil, &LimitError{"number of manifests in an index", maxMembers, "manifests"}
	}
	return &d, nil
}

// resolve follows indexes down to the manifest for the platform and opens it.
func (o *Options) resolve(ctx context.Context, c content, root ocispec.Descriptor) (*Image, error) {
	annotations := map[string]string{}
	var seen []digest.Digest
	for d := root; ; {
		if slices.Contains(seen, d.Digest) {
			return nil, fmt.Errorf("index %s contains itself", d.Digest)
		}
		if len(seen) > maxNesting {
			return nil, &LimitError{"nesting of indexes", maxNesting, "levels"}
		}
		seen = append(seen, d.Digest)
		b, err := fetchAll(ctx, c, d, "manifest", maxManifest)
		if err != nil {
			return nil, err
		}
		doc, err := parseDocument(b)
		if err != nil {
			return nil, err
		}
		maps.Copy(annotations, d.Annotations)
		maps.Copy(annotations, doc.Annotations)
		if !doc.isIndex() {
			return o.assemble(ctx, c, d, doc, annotations, len(seen) > 1)
		}
		if d, err = o.choose(doc.Manifests); err != nil {
			return nil, err
		}
	}
}

// fetchAll reads a small blob whole and verified.
func fetchAll(ctx context.Context, c content, d ocispec.Descriptor, what string, limit int64) ([]byte, error) {
	if d.Size > limit || d.Size < 0 {
		return nil, &LimitError{"size of a " + what, limit, "bytes"}
	}
	r, err := c.fetch(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("fetch %s %s: %w", what, d.Digest, err)
	}
	defer r.Close()
	v, err := newVerifier(r, what+" "+string(d.Digest), esclusa.Digest(d.Digest), d.Size)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(v)
	if err != nil {
		return nil, fmt.Errorf("read %w", err)
	}
	return b, nil
}

func (o *Options) assemble(ctx context.Context, c content, d ocispec.Descriptor, doc *document, annotations map[string]string, indexed bool) (*Image, error) {
	if doc.Config == nil {
		return nil, fmt.Errorf("%w: a manifest without configuration", ErrNotImage)
	}
	switch doc.Config.MediaType {
	case ocispec.MediaTypeImageConfig, mediaDockerConfig, "", "application/octet-stream":
	default:
		kind := doc.ArtifactType
		if kind == "" {
			kind = doc.Config.MediaType
		}
		return nil, fmt.Errorf("%w: an artifact of type %q", ErrNotImage, kind)
	}
	b, err := fetchAll(ctx, c, *doc.Config, "configuration", maxConfig)
	if err != nil {
		return nil, err
	}
	cfg, err := parseConfig(b)
	if err != nil {
		return nil, err
	}
	if len(cfg.RootFS.DiffIDs) != len(doc.Layers) {
		return nil, fmt.Errorf("the manifest has %d layers, its configuration %d", len(doc.Layers), len(cfg.RootFS.DiffIDs))
	}
	if err := o.checkPlatform(cfg, indexed); err != nil {
		return nil, err
	}
	img := cfg.image()
	img.Digest, img.ID = esclusa.Digest(d.Digest), esclusa.Digest(doc.Config.Digest)
	img.Annotations = annotations
	for i, l := range doc.Layers {
		layer := &img.Layers[i]
		layer.Digest, layer.MediaType, layer.Size = esclusa.Digest(l.Digest), l.MediaType, l.Size
		if newHash(layer.Digest) == nil {
			return nil, fmt.Errorf("layer %d: unusable digest %q", i, l.Digest)
		}
		layer.open = func(ctx context.Context) (io.ReadCloser, error) { return openLayer(ctx, c, l) }
	}
	return img, nil
}

// openLayer says why where a layer has no content to look at.
func openLayer(ctx context.Context, c content, l ocispec.Descriptor) (io.ReadCloser, error) {
	if strings.HasSuffix(l.MediaType, "+encrypted") {
		return nil, hint(fmt.Errorf("%w: it is encrypted (%q)", ErrUnreadable, l.MediaType),
			"scan the image before it is encrypted")
	}
	r, err := c.fetch(ctx, l)
	if err != nil && isForeign(l) {
		return nil, hint(fmt.Errorf("%w: it is kept by a third party (%q): %w", ErrUnreadable, l.MediaType, err),
			"push the image with its foreign layers")
	}
	return r, err
}

func isForeign(l ocispec.Descriptor) bool {
	return len(l.URLs) > 0 || strings.Contains(l.MediaType, "nondistributable") || strings.Contains(l.MediaType, "foreign")
}

// checkPlatform refuses a configuration of another platform than was asked
// for by name; inside an index the index has decided.
func (o *Options) checkPlatform(cfg *configFile, indexed bool) error {
	want, asked := o.wanted()
	if !asked || indexed || cfg.OS == "" || fit(want, cfg.Platform) > 0 {
		return nil
	}
	return noPlatform(want, []string{formatPlatform(cfg.Platform)})
}

// configFile is an image configuration with docker's additions.
type configFile struct {
	Created lenientTime `json:"created"`
	ocispec.Platform
	Config struct {
		ocispec.ImageConfig
		Healthcheck *struct{ Test []string }
	} `json:"config"`
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	History []configHistory `json:"history"`
}

type configHistory struct {
	Created    lenientTime `json:"created"`
	CreatedBy  string      `json:"created_by"`
	Comment    string      `json:"comment"`
	EmptyLayer bool        `json:"empty_layer"`
}

// lenientTime is zero where the text is no time: no container fails to start
// for it, so no scan may.
type lenientTime struct{ time.Time }

func (t *lenientTime) UnmarshalJSON(b []byte) error {
	if at, err := time.Parse(`"`+time.RFC3339Nano+`"`, string(bytes.TrimSpace(b))); err == nil {
		t.Time = at
	}
	return nil
}

func parseConfig(b []byte) (*configFile, error) {
	var cfg configFile
	if err := json.Unmarshal(b, &cfg); err != nil {
		return nil, fmt.Errorf("parse configuration: %w", err)
	}
	if len(cfg.RootFS.DiffIDs) > maxLayers {
		return nil, &LimitError{"number of layers", maxLayers, "layers"}
	}
	for i, d := range cfg.RootFS.DiffIDs {
		if newHash(esclusa.Digest(d)) == nil {
			return nil, fmt.Errorf("configuration: layer %d: unusable diff-id %q", i, d)
		}
	}
	return &cfg, nil
}

// image is all that the configuration tells.
func (cfg *configFile) image() *Image {
	img := &Image{}
	if cfg.OS != "" || cfg.Architecture != "" {
		img.Platform = formatPlatform(cfg.Platform)
	}
	img.Created = cfg.Created.Time
	c := &cfg.Config
	img.Config = esclusa.ImageConfig{
		User: c.User, Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd, WorkingDir: c.WorkingDir,
		ExposedPorts: sortedKeys(c.ExposedPorts), Volumes: sortedKeys(c.Volumes), Labels: c.Labels, StopSignal: c.StopSignal,
	}
	if c.Healthcheck != nil {
		img.Config.Healthcheck = c.Healthcheck.Test
	}
	var makers []string // of layers
	for _, h := range cfg.History {
		img.History = append(img.History, esclusa.History{
			CreatedBy: h.CreatedBy, Comment: h.Comment, Created: h.Created.Time, EmptyLayer: h.EmptyLayer,
		})
		if !h.EmptyLayer {
			makers = append(makers, h.CreatedBy)
		}
	}
	img.Layers = make([]Layer, len(cfg.RootFS.DiffIDs))
	for i, d := range cfg.RootFS.DiffIDs {
		img.Layers[i].DiffID = esclusa.Digest(d)
		if len(makers) == len(img.Layers) { // else nobody knows which made which
			img.Layers[i].CreatedBy = makers[i]
		}
	}
	return img
}

func sortedKeys(m map[string]struct{}) []string { return slices.Sorted(maps.Keys(m)) }
