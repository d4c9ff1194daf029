package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"
)

// maxResumes is how often a broken download of one blob is taken up again.
const maxResumes = 5

// reference is an image's name, completed the way docker completes it.
type reference struct {
	registry.Reference // what to ask for: the digest where there is one
	tag                string
}

// name is the whole name, as containerd keeps it.
func (r reference) name() string { return r.Reference.String() }

// parseReference reads "nginx", "nginx:1.25", "user/app", "host:5000/a/b@sha256:…".
func parseReference(s string) (reference, error) {
	name, digest, hasDigest := strings.Cut(s, "@")
	host, path, ok := strings.Cut(name, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" && strings.ToLower(host) == host {
		host, path = "docker.io", name
	}
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		host = "docker.io"
	}
	tag, hasTag := "", false
	if i := strings.LastIndexByte(path, ':'); i >= 0 {
		path, tag, hasTag = path[:i], path[i+1:], true
	}
	if host == "docker.io" && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	if !hasTag && !hasDigest {
		tag = "latest"
	}
	r := reference{registry.Reference{Registry: host, Repository: path, Reference: tag}, tag}
	err := r.ValidateRegistry()
	if strings.HasPrefix(host, ".") {
		err = errors.New("a host does not begin with a dot")
	}
	if err == nil {
		err = r.ValidateRepository()
	}
	if err == nil && (hasTag || tag != "") {
		err = r.ValidateReferenceAsTag()
	}
	if err == nil && hasDigest {
		r.Reference.Reference = digest
		err = r.ValidateReferenceAsDigest()
	}
	if err != nil {
		return r, hint(fmt.Errorf("bad image name %q: %w", s, err),
			"a name is [host/]path[:tag][@sha256:…] in lower case; a file or folder needs to exist")
	}
	return r, nil
}

// remoteImages is one repository of a registry.
type remoteImages struct {
	*remote.Repository
	// The answer to the first request: registries that count pulls count
	// every manifest.
	root  ocispec.Descriptor
	bytes []byte
}

func (r *remoteImages) fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	if d.Digest == r.root.Digest {
		return io.NopCloser(bytes.NewReader(r.bytes)), nil
	}
	if isManifest(d.MediaType) {
		return r.Manifests().Fetch(ctx, d)
	}
	body, err := r.Blobs().Fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	if s, ok := body.(io.ReadSeekCloser); ok {
		return &resumer{r: s, size: d.Size, ctx: ctx}, nil
	}
	return body, nil
}

func isManifest(mediaType string) bool {
	switch mediaType {
	case ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, mediaDockerManifest, mediaDockerIndex:
		return true
	}
	return false
}

// resumer takes a download up again where the connection broke: large layers
// outlive many a proxy's patience.
type resumer struct {
	r      io.ReadSeekCloser
	at     int64
	size   int64
	broken int
	ctx    context.Context // of the one request that this is the body of
}

func (r *resumer) Read(p []byte) (int, error) {
	for {
		n, err := r.r.Read(p)
		r.at += int64(n)
		if n > 0 || err == nil || err == io.EOF && r.at >= r.size {
			return n, eofOnly(err, r.at >= r.size)
		}
		if r.broken++; r.broken > maxResumes || r.ctx.Err() != nil || r.at == 0 || r.at >= r.size {
			return 0, noEOF(err)
		}
		if err := r.resume(); err != nil {
			return 0, err
		}
	}
}

// eofOnly hides an error that came with bytes: the next Read meets it again.
func eofOnly(err error, end bool) error {
	if err == io.EOF && end {
		return io.EOF
	}
	return nil
}

func (r *resumer) resume() error {
	// The reader asks again only when the position changes, and before it
	// closes the answer that it has: that must not wait for a free connection.
	if _, err := r.r.Seek(r.size, io.SeekStart); err != nil {
		return err
	}
	_, err := r.r.Seek(r.at, io.SeekStart)
	return err
}

// Seek knows places from the start only. The next Read asks for the bytes
// from there on (RFC 9110, 14.2).
func (r *resumer) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekStart {
		return 0, errors.ErrUnsupported
	}
	r.at = offset
	return offset, r.resume()
}

func (r *resumer) Close() error { return r.r.Close() }

func (o *Options) openRegistry(ctx context.Context, name string) (*Image, error) {
	ref, err := parseReference(name)
	if err != nil {
		return nil, err
	}
	client, err := o.client()
	if err != nil {
		return nil, err
	}
	repo := &remote.Repository{
		Reference: ref.Reference, Client: client, MaxMetadataBytes: maxManifest,
		PlainHTTP: slices.Contains(o.PlainHTTP, ref.Registry),
	}
	images := &remoteImages{Repository: repo}
	err = images.lookUp(ctx, ref)
	if errors.Is(err, http.ErrSchemeMismatch) && !repo.PlainHTTP && isLoopback(ref.Registry) {
		repo.PlainHTTP = true
		err = images.lookUp(ctx, ref)
	}
	if err != nil {
		return nil, advise(fmt.Errorf("look up %s: %w", ref.name(), err))
	}
	img, err := o.resolve(ctx, images, images.root)
	if err != nil {
		return nil, advise(fmt.Errorf("%s: %w", ref.name(), err))
	}
	if ref.tag != "" {
		img.Tags = []string{ref.Registry + "/" + ref.Repository + ":" + ref.tag}
	}
	return img, nil
}

// lookUp turns a tag into a manifest or index.
func (r *remoteImages) lookUp(ctx context.Context, ref reference) error {
	d, body, err := r.Manifests().FetchReference(ctx, ref.Reference.Reference)
	if err != nil {
		return err
	}
	defer body.Close()
	if d.Size > maxManifest {
		return &LimitError{"size of a manifest", maxManifest, "bytes"}
	}
	r.root = d
	r.bytes, err = io.ReadAll(io.LimitReader(body, maxManifest))
	return err
}

// client retries, logs in and asks credential helpers.
func (o *Options) client() (*auth.Client, error) {
	base := o.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	policy := &retry.GenericPolicy{
		Retryable: retry.DefaultPredicate, Backoff: retry.DefaultBackoff,
		MinWait: 200 * time.Millisecond, MaxWait: 30 * time.Second, MaxRetry: 4,
	}
	c := &auth.Client{
		Client: &http.Client{Transport: &retry.Transport{Base: base, Policy: func() retry.Policy { return policy }}},
		Cache:  auth.NewCache(),
	}
	if o.UserAgent != "" {
		c.SetUserAgent(o.UserAgent)
	}
	var file auth.CredentialFunc
	if _, err := os.Stat(o.DockerConfig); o.DockerConfig != "" && err == nil {
		store, err := credentials.NewStore(o.DockerConfig, credentials.StoreOptions{})
		if err != nil {
			return nil, hint(fmt.Errorf("read registry logins: %w", err), "mend or move away %s", o.DockerConfig)
		}
		file = credentials.Credential(store)
	}
	c.Credential = func(ctx context.Context, host string) (auth.Credential, error) {
		if l, ok := o.Logins[loginHost(host)]; ok {
			return auth.Credential{Username: l.User, Password: l.Password}, nil
		}
		if file == nil {
			return auth.EmptyCredential, nil
		}
		cred, err := file(ctx, host)
		if err != nil {
			return cred, hint(fmt.Errorf("ask for the login of %s: %w", host, err),
				"%s names a credential helper that does not work", o.DockerConfig)
		}
		return cred, nil
	}
	return c, nil
}

func loginHost(host string) string {
	if host == "registry-1.docker.io" {
		return "docker.io"
	}
	return host
}

// isLoopback is what docker lets be insecure without a word.
func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
