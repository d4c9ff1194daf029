package oci

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func parsePlatform(s string) (ocispec.Platform, error) {
	part := strings.Split(s, "/")
	if len(part) < 2 || len(part) > 3 || slices.Contains(part, "") {
		return ocispec.Platform{}, hint(fmt.Errorf("bad platform %q", s), "write os/arch or os/arch/variant, as in linux/arm64")
	}
	p := ocispec.Platform{OS: part[0], Architecture: part[1]}
	if len(part) == 3 {
		p.Variant = part[2]
	}
	return p, nil
}

func formatPlatform(p ocispec.Platform) string {
	s := p.OS + "/" + p.Architecture
	if v := variant(p); v != "" {
		s += "/" + v
	}
	return s
}

// variant leaves out the variants that say nothing: they are what their
// architecture means by default.
func variant(p ocispec.Platform) string {
	if p.Architecture == "arm64" && p.Variant == "v8" || p.Architecture == "amd64" && p.Variant == "v1" {
		return ""
	}
	return p.Variant
}

// wanted is the asked-for platform, else the host's.
func (o *Options) wanted() (p ocispec.Platform, asked bool) {
	if o.Platform != "" {
		p, err := parsePlatform(o.Platform)
		return p, err == nil
	}
	return ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}, false
}

// fit says how well an image for has suits someone who wants want; 0 is not.
// Without a wanted variant any will do.
func fit(want, has ocispec.Platform) int {
	switch {
	case want.OS != has.OS || want.Architecture != has.Architecture:
		return 0
	case variant(want) == variant(has):
		return 3
	case want.Variant != "":
		return 0
	}
	if has.Variant == "v7" { // the newest of 32-bit arm
		return 2
	}
	return 1
}

// choose picks the member of an index for the platform. Members that are not
// images to run (attestations, platform unknown) do not count.
func (o *Options) choose(members []ocispec.Descriptor) (ocispec.Descriptor, error) {
	want, asked := o.wanted()
	var best ocispec.Descriptor
	var names []string
	var unnamed, runnable []ocispec.Descriptor
	score := 0
	for _, m := range members {
		if isAttestation(m) {
			continue
		}
		if m.Platform == nil {
			unnamed = append(unnamed, m)
			continue
		}
		runnable = append(runnable, m)
		names = append(names, formatPlatform(*m.Platform))
		if s := fit(want, *m.Platform); s > score {
			best, score = m, s
		}
	}
	switch {
	case score > 0:
		return best, nil
	case !asked && len(runnable) == 1 && len(unnamed) == 0:
		return runnable[0], nil
	case len(unnamed) == 1 && len(runnable) == 0:
		return unnamed[0], nil // its configuration tells
	case len(unnamed) > 1 && len(runnable) == 0:
		return best, fmt.Errorf("%d images without a platform, which one is not said", len(unnamed))
	case len(names) == 0:
		return best, fmt.Errorf("%w: the index names no image to run", ErrNotImage)
	}
	slices.Sort(names)
	return best, noPlatform(want, slices.Compact(names))
}

func noPlatform(want ocispec.Platform, has []string) error {
	return hint(fmt.Errorf("%w: no image for platform %s", ErrNotFound, formatPlatform(want)),
		"choose a platform that exists: %s", strings.Join(has, ", "))
}

// isAttestation knows buildkit's attestation manifests.
func isAttestation(m ocispec.Descriptor) bool {
	return m.Annotations["vnd.docker.reference.type"] == "attestation-manifest" ||
		m.Platform != nil && (m.Platform.OS == "unknown" || m.Platform.Architecture == "unknown")
}
