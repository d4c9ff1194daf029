package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"

	"github.com/esclusa/esclusa"
)

// Container is what a daemon says about one of its containers.
type Container struct {
	Name     string
	ImageRef string
	// Image is the manifest's digest and ImageID the configuration's. Docker
	// knows of the first only what the image was pulled by, which may be an
	// index of several platforms.
	Image, ImageID esclusa.Digest
	// NoImage says why there are no digests; nil where there are.
	NoImage    error
	Labels     map[string]string
	Started    time.Time // docker's
	Privileged bool      // docker's
	Spec       []byte    // containerd's: the OCI configuration, JSON
}

// Bounds for what is said about one container.
const (
	maxLabels = 1000
	maxSpec   = 4 << 20
)

// ContainerdContainer asks containerd. A container that it does not have is
// ErrNotFound.
//
// A tag may have been moved since the container was made: the image is named
// only if its layers are those that the container's snapshot stands on.
func ContainerdContainer(ctx context.Context, socket, namespace, id string) (*Container, error) {
	c := &containerdStore{newGRPC(socket), namespace}
	defer c.http.CloseIdleConnections()
	msg, err := c.ask(ctx, "/containerd.services.containers.v1.Containers/Get", appendString(nil, 1, id))
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", id, notKnown(err))
	}
	s, err := parseStoredContainer(msg)
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", id, err)
	}
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	if s.sandbox() {
		return &s.Container, nil
	}
	s.Image, s.ImageID, s.NoImage = c.imageOf(ctx, s)
	return &s.Container, nil
}

func notKnown(err error) error {
	var status *grpcError
	if errors.As(err, &status) && status.code == grpcNotFound {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

// ask is a call with one answer.
func (c *containerdStore) ask(ctx context.Context, method string, msg []byte) ([]byte, error) {
	f, err := c.call(ctx, c.namespace, method, msg)
	if err != nil {
		return nil, err
	}
	defer f.body.Close()
	answer, err := f.next()
	if err != nil {
		return nil, noEOF(err)
	}
	return answer, nil
}

type storedContainer struct {
	Container
	snapshotter, snapshot string
	criImage              string // the image's id as Kubernetes' plug-in keeps it
}

// sandbox says that it is a pod's, whose image is of no interest: it may even
// have none.
func (s *storedContainer) sandbox() bool {
	return s.Labels["io.cri-containerd.kind"] == "sandbox" && s.ImageRef == ""
}

// parseStoredContainer reads GetContainerResponse.container.
func parseStoredContainer(msg []byte) (*storedContainer, error) {
	s := &storedContainer{}
	container := func(number uint64, b []byte, _ uint64) error {
		switch number {
		case 1:
			s.Name = string(b)
		case 2:
			return s.label(b)
		case 3:
			s.ImageRef = string(b)
		case 5: // an Any
			return fields(b, func(number uint64, b []byte, _ uint64) error {
				if number == 2 && len(b) <= maxSpec {
					s.Spec = append([]byte(nil), b...)
				}
				return nil
			})
		case 6:
			s.snapshotter = string(b)
		case 7:
			s.snapshot = string(b)
		case 10:
			return s.extension(b)
		}
		return nil
	}
	err := fields(msg, func(number uint64, b []byte, _ uint64) error {
		if number == 1 {
			return fields(b, container)
		}
		return nil
	})
	return s, err
}

// mapEntry reads one member of a map.
func mapEntry(msg []byte) (key string, value []byte, err error) {
	err = fields(msg, func(number uint64, b []byte, _ uint64) error {
		switch number {
		case 1:
			key = string(b)
		case 2:
			value = b
		}
		return nil
	})
	return key, value, err
}

func (s *storedContainer) label(msg []byte) error {
	key, value, err := mapEntry(msg)
	if err != nil {
		return err
	}
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	if len(s.Labels) >= maxLabels {
		return &LimitError{"number of labels of a container", maxLabels, "labels"}
	}
	s.Labels[key] = string(value)
	return nil
}

// extension reads what Kubernetes' plug-in keeps beside a container: it knows
// the image's id, which no moved tag changes.
func (s *storedContainer) extension(msg []byte) error {
	key, value, err := mapEntry(msg)
	if err != nil || key != "io.cri-containerd.container.metadata" {
		return err
	}
	return fields(value, func(number uint64, b []byte, _ uint64) error {
		var v struct {
			Metadata struct{ ImageRef string }
		}
		if number == 2 && json.Unmarshal(b, &v) == nil {
			s.criImage = v.Metadata.ImageRef
		}
		return nil
	})
}

// imageOf finds the image whose layers the container stands on.
func (c *containerdStore) imageOf(ctx context.Context, s *storedContainer) (manifest, config esclusa.Digest, err error) {
	if s.ImageRef == "" {
		return "", "", errors.New("it was not made from an image")
	}
	ask := appendString(appendString(nil, 1, s.snapshotter), 2, s.snapshot)
	msg, err := c.ask(ctx, "/containerd.services.snapshots.v1.Snapshots/Stat", ask)
	if err != nil {
		return "", "", fmt.Errorf("its snapshot: %w", err)
	}
	below, err := parseSnapshotParent(msg)
	if err != nil {
		return "", "", err
	}
	err = fmt.Errorf("%s is another image by now", s.ImageRef)
	for _, name := range []string{s.criImage, s.ImageRef} {
		if name == "" {
			continue
		}
		root, failed := c.image(ctx, name)
		if failed != nil {
			err = fmt.Errorf("image %s: %w", name, failed)
			continue
		}
		img, failed := (&Options{}).resolve(ctx, c, root)
		if failed != nil {
			err = fmt.Errorf("image %s: %w", name, failed)
			continue
		}
		var diffs []digest.Digest
		for i := range img.Layers {
			diffs = append(diffs, digest.Digest(img.Layers[i].DiffID))
		}
		if identity.ChainID(diffs).String() == below {
			return img.Digest, img.ID, nil
		}
	}
	return "", "", err
}

// parseSnapshotParent reads StatSnapshotResponse.info.parent.
func parseSnapshotParent(msg []byte) (parent string, err error) {
	err = fields(msg, func(number uint64, b []byte, _ uint64) error {
		if number != 1 {
			return nil
		}
		return fields(b, func(number uint64, b []byte, _ uint64) error {
			if number == 2 {
				parent = string(b)
			}
			return nil
		})
	})
	return parent, err
}

// dockerContainer is the part of docker's description that is of use here.
type dockerContainer struct {
	Name  string
	Image string // the image's id
	State struct{ StartedAt time.Time }

	HostConfig struct{ Privileged bool }
	Config     struct {
		Image  string
		Labels map[string]string
	}
}

// DockerContainer asks docker, or podman's service that speaks as docker
// does. A container that it does not have is ErrNotFound.
func DockerContainer(ctx context.Context, host, id string) (*Container, error) {
	d, err := newDocker(host, ctx)
	if err != nil {
		return nil, err
	}
	defer d.client.CloseIdleConnections()
	var in dockerContainer
	if err := d.describe(ctx, "/containers/"+url.PathEscape(id)+"/json", &in); err != nil {
		return nil, err
	}
	c := &Container{
		Name: strings.TrimPrefix(in.Name, "/"), ImageRef: in.Config.Image, Labels: in.Config.Labels,
		Started: in.State.StartedAt, Privileged: in.HostConfig.Privileged,
	}
	if len(c.Labels) > maxLabels {
		return nil, &LimitError{"number of labels of a container", maxLabels, "labels"}
	}
	if !strings.Contains(in.Image, ":") { // podman leaves the algorithm out
		in.Image = "sha256:" + in.Image
	}
	if newHash(esclusa.Digest(in.Image)) == nil {
		c.NoImage = fmt.Errorf("docker: unusable digest %q", in.Image)
		return c, nil
	}
	c.ImageID = esclusa.Digest(in.Image)
	var img struct{ RepoDigests []string }
	if err := d.describe(ctx, "/images/"+in.Image+"/json", &img); err == nil {
		c.Image = pulledBy(img.RepoDigests)
	}
	return c, nil
}

// pulledBy is the digest by which an image was pulled, if all names agree.
func pulledBy(names []string) esclusa.Digest {
	var all esclusa.Digest
	for _, n := range names {
		_, after, _ := strings.Cut(n, "@")
		d := esclusa.Digest(after)
		if newHash(d) == nil || all != "" && all != d {
			return ""
		}
		all = d
	}
	return all
}

func (d *docker) describe(ctx context.Context, path string, v any) error {
	r, err := d.open(ctx, path, "docker ps -a lists what docker has")
	if err != nil {
		return err
	}
	defer r.Close()
	if err := json.NewDecoder(io.LimitReader(r, maxInspect)).Decode(v); err != nil {
		return fmt.Errorf("read docker's answer to %s: %w", path, err)
	}
	return nil
}
