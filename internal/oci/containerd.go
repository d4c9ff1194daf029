package oci

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/esclusa/esclusa"
)

// defaultContainerd is where containerd listens unless told otherwise.
const defaultContainerd = "/run/containerd/containerd.sock"

// containerdStore is one namespace of containerd's content store.
type containerdStore struct {
	*grpcClient
	namespace string
}

// openContainerd looks through the namespaces of plain containerd, Kubernetes
// and docker.
func (o *Options) openContainerd(ctx context.Context, name string) (*Image, error) {
	ref, err := parseReference(name)
	if err != nil {
		return nil, err
	}
	socket := o.Containerd
	if socket == "" {
		socket = defaultContainerd
	}
	client := newGRPC(socket)
	// Who imports an archive may have given it any name: "app:1" is then not
	// docker.io/library/app:1.
	for _, as := range []string{ref.name(), name} {
		for _, namespace := range []string{"default", "k8s.io", "moby"} {
			c := &containerdStore{client, namespace}
			root, err := c.image(ctx, as)
			var status *grpcError
			if errors.As(err, &status) && status.code == grpcNotFound {
				continue
			}
			if err != nil {
				client.http.CloseIdleConnections()
				return nil, noDaemon(fmt.Errorf("look up %s: %w", as, err), "containerd", "CONTAINERD_ADDRESS")
			}
			return o.openStored(ctx, c, root, as)
		}
	}
	client.http.CloseIdleConnections()
	return nil, hint(fmt.Errorf("containerd: %s: %w", ref.name(), ErrNotFound), "ctr --namespace k8s.io images ls lists what Kubernetes has")
}

func (o *Options) openStored(ctx context.Context, c *containerdStore, root ocispec.Descriptor, name string) (*Image, error) {
	img, err := o.resolve(ctx, c, root)
	if err != nil {
		c.http.CloseIdleConnections()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	img.Tags = []string{name}
	img.onClose(func() error { c.http.CloseIdleConnections(); return nil })
	return img, nil
}

func (c *containerdStore) image(ctx context.Context, name string) (ocispec.Descriptor, error) {
	f, err := c.call(ctx, c.namespace, "/containerd.services.images.v1.Images/Get", appendString(nil, 1, name))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer f.body.Close()
	msg, err := f.next()
	if err != nil {
		return ocispec.Descriptor{}, noEOF(err)
	}
	return parseStoredImage(msg)
}

// parseStoredImage reads GetImageResponse.image.target.
func parseStoredImage(msg []byte) (ocispec.Descriptor, error) {
	var d ocispec.Descriptor
	descriptor := func(number uint64, b []byte, v uint64) error {
		switch number {
		case 1:
			d.MediaType = string(b)
		case 2:
			d.Digest = digest.Digest(b)
		case 3:
			d.Size = int64(v)
		}
		return nil
	}
	image := func(number uint64, b []byte, _ uint64) error {
		if number == 3 {
			return fields(b, descriptor)
		}
		return nil
	}
	err := fields(msg, func(number uint64, b []byte, _ uint64) error {
		if number == 1 {
			return fields(b, image)
		}
		return nil
	})
	if err == nil && newHash(esclusa.Digest(d.Digest)) == nil {
		err = fmt.Errorf("containerd: unusable digest %q", d.Digest)
	}
	return d, err
}

func (c *containerdStore) fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	from := func(offset int64) (*frames, error) {
		ask := appendString(nil, 1, string(d.Digest))
		if offset > 0 {
			ask = binary.AppendUvarint(append(ask, 2<<3), uint64(offset))
		}
		f, err := c.call(ctx, c.namespace, "/containerd.services.content.v1.Content/Read", ask)
		return f, notStored(err)
	}
	f, err := from(0)
	if err != nil {
		return nil, err
	}
	return &storedBlob{f: f, from: from}, nil
}

// notStored words the one failure that has a common cause.
func notStored(err error) error {
	var status *grpcError
	if errors.As(err, &status) && status.code == grpcNotFound {
		return hint(fmt.Errorf("%w: %w", ErrNotFound, err),
			"containerd does not keep it (other platform, or discard_unpacked_layers): scan the image in its registry")
	}
	return err
}

// storedBlob joins the messages of Content.Read.
type storedBlob struct {
	f    *frames
	from func(offset int64) (*frames, error)
	rest []byte
	err  error
}

func (s *storedBlob) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		msg, err := s.f.next()
		if err == nil {
			err = fields(msg, func(number uint64, b []byte, _ uint64) error {
				if number == 2 {
					s.rest = b
				}
				return nil
			})
		}
		if err != nil {
			s.err = notStored(err)
			return 0, s.err
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// Seek knows places from the start only.
func (s *storedBlob) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekStart || offset < 0 {
		return 0, errors.ErrUnsupported
	}
	f, err := s.from(offset)
	if err != nil {
		return 0, err
	}
	_ = s.f.body.Close()
	s.f, s.rest, s.err = f, nil, nil
	return offset, nil
}

func (s *storedBlob) Close() error { return s.f.body.Close() }
