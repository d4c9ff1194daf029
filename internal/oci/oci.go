// Package oci opens the image that a user names and hands out its layers as
// verified streams. It reads OCI layouts and docker archives (files, folders,
// standard input), registries, and the stores of docker and containerd.
//
// It writes nothing to disk, unpacks no tar and judges nothing. Digests are
// checked while bytes pass: a mismatch is an error in place of io.EOF, and
// the caller then discards what it made of the stream.
//
// Start with Open; Decompress is the seam where inflating is done.
package oci

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/esclusa/esclusa"
)

// Options say how to reach an image. The zero value reads files and public
// registries.
type Options struct {
	// Platform is "os/arch[/variant]". Empty prefers the host's, and takes
	// another where the image has only that one.
	Platform string
	// DockerConfig is docker's config.json: registry logins and the names of
	// credential helpers. Empty uses neither.
	DockerConfig string
	// Logins are tried before DockerConfig, by registry host.
	Logins map[string]Login
	// PlainHTTP lists registry hosts that speak no TLS. Loopback hosts are
	// tried without TLS by themselves when they turn out not to speak it.
	PlainHTTP []string
	// Transport carries requests to registries; nil is Go's default one.
	Transport http.RoundTripper
	// UserAgent is sent to registries.
	UserAgent string
	// DockerHost is docker's address in the form of DOCKER_HOST, and
	// Containerd the path of containerd's socket. Empty leaves the store out,
	// unless a prefix of the target asks for it.
	DockerHost string
	Containerd string
	// Stdin is what the target "-" reads.
	Stdin  io.Reader
	Limits Limits
}

// Login is a user's name and password (or access token) at a registry.
type Login struct{ User, Password string }

// Limits bound what an image may cost. Zero fields take the defaults.
type Limits struct {
	// Layer is the largest blob of a layer, in bytes (default 32 GiB).
	Layer int64
	// Output is the most that one layer may unpack to (default 128 GiB).
	Output int64
	// Ratio is the most that a layer may grow by unpacking, judged once it
	// gave more than 256 MiB (default 250).
	Ratio int64
	// Pipe is the most that is held in memory of a target that cannot be
	// read twice (default 64 MiB).
	Pipe int64
}

func (l Limits) withDefaults() Limits {
	set := func(v *int64, def int64) {
		if *v <= 0 {
			*v = def
		}
	}
	set(&l.Layer, 32<<30)
	set(&l.Output, 128<<30)
	set(&l.Ratio, 250)
	set(&l.Pipe, 64<<20)
	return l
}

// What no real image comes near; a caller has no reason to move these.
const (
	maxManifest = 4 << 20
	maxConfig   = 8 << 20
	maxLayers   = 1000
	maxNesting  = 4
	maxMembers  = 10_000 // of an index, or of an archive's manifest.json
)

// Image is an open image.
type Image struct {
	esclusa.Image
	// Layers are the layers of Image.Layers, lowest first, with their streams.
	Layers []Layer
	// Annotations are the manifest's, over those of the index entry.
	Annotations map[string]string
	serial      func(ctx context.Context) ([]int, error)
	close       func() error
	doubts      atomic.Int64
}

// Doubts is how often a layer's gzip stream was refused by our own decoder
// and given to the standard library's, which decides.
func (img *Image) Doubts() int64 { return img.doubts.Load() }

// Serial is nil when the layers can be opened in any order and at once. Else
// they come out of one stream: opened one at a time in this order (indexes
// into Layers) the stream is read once, in any other way several times. Ask
// only if a layer is to be opened: it may cost the first pass over the stream.
func (img *Image) Serial(ctx context.Context) ([]int, error) {
	if img.serial == nil {
		return nil, nil
	}
	order, err := img.serial(ctx)
	return order, advise(err)
}

// Close frees what the image holds open. Streams still open fail.
func (img *Image) Close() error {
	if img.close == nil {
		return nil
	}
	return img.close()
}

// Layer is one layer and the way to its bytes.
type Layer struct {
	esclusa.Layer

	open   func(ctx context.Context) (io.ReadCloser, error)
	limits Limits
	doubts *atomic.Int64 // of the image
}

// Counted is the layer, and count is told how many bytes of its blob each read
// gave. It is called from the goroutine that reads.
func (l *Layer) Counted(count func(n int)) *Layer {
	c := *l
	c.open = func(ctx context.Context) (io.ReadCloser, error) {
		r, err := l.open(ctx)
		if err != nil {
			return nil, err
		}
		return &counted{r, count}, nil
	}
	return &c
}

type counted struct {
	io.ReadCloser
	count func(n int)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.count(n)
	return n, err
}

// Sentinels for what callers branch on. ErrNotImage says that the target is
// there and is something else, a folder of sources for example.
var (
	ErrNotFound = errors.New("not found")
	ErrNotImage = errors.New("not an image")
	ErrDenied   = errors.New("access denied")
	// ErrUnreadable says that a layer has no content to examine: encrypted,
	// or kept by a third party. The other layers can be read.
	ErrUnreadable = errors.New("layer cannot be read")
	// ErrDigest says that bytes are not those that their digest names.
	ErrDigest = errors.New("digest mismatch")
)

// Open finds the image that target names:
//
//	path            an OCI layout (folder or tar), a docker archive; gzip too
//	path:tag        one of several images in it; also path@sha256:…
//	-               the same from standard input
//	name[:tag][@digest]   docker's store, containerd's, then the registry
//
// The prefixes oci:, docker-archive:, docker:, containerd: and registry:
// choose one of them. The image is to be closed.
func Open(ctx context.Context, target string, o Options) (*Image, error) {
	o.Limits = o.Limits.withDefaults()
	if o.Platform != "" {
		if _, err := parsePlatform(o.Platform); err != nil {
			return nil, err
		}
	}
	img, err := o.locate(ctx, target)
	if err != nil {
		return nil, advise(err)
	}
	img.Kind, img.Ref = esclusa.TargetImage, target
	img.Image.Layers = make([]esclusa.Layer, len(img.Layers))
	for i := range img.Layers {
		img.Layers[i].limits, img.Layers[i].doubts = o.Limits, &img.doubts
		img.Image.Layers[i] = img.Layers[i].Layer
	}
	return img, nil
}
