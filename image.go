package esclusa

import "time"

// Digest names content: "sha256:" or "sha512:" and lower-case hex (OCI image
// specification, descriptor). It joins the image to everything known of it.
type Digest string

// Place says where in a target something is.
type Place struct {
	// Layer is the diff-ID of the layer that holds it; empty for a folder,
	// a lock file or an SBOM.
	Layer Digest `json:"layer,omitempty"`
	// Path is slash-separated and relative to the root of the target. What
	// lies inside an archive follows "!/": "app/x.jar!/BOOT-INF/lib/y.jar".
	Path string `json:"path,omitempty"`
	// Line counts from 1; 0 is "the whole file".
	Line int `json:"line,omitempty"`
}

// Origin says whose work something is: it decides who has to fix it.
type Origin string

// The origins. OriginUnknown is used where the image does not tell.
const (
	OriginUnknown Origin = ""
	OriginBase    Origin = "base" // came with the base image
	OriginOwn     Origin = "own"  // the team's own layers
)

// Distro is a Linux distribution as /etc/os-release names it.
type Distro struct {
	ID      string `json:"id"`                // "debian", "alpine", "rhel"
	Version string `json:"version,omitempty"` // VERSION_ID: "12", "3.19.1", "9.4"
	Name    string `json:"name,omitempty"`    // PRETTY_NAME
	// EndOfLife is the day after which the distribution gives no more
	// security fixes without a separate contract; zero when not known.
	EndOfLife time.Time `json:"endOfLife,omitzero"`
}

// Layer is one layer of an image, lowest first in Image.Layers.
type Layer struct {
	Digest    Digest `json:"digest,omitempty"` // of the compressed blob
	DiffID    Digest `json:"diffId"`           // of the uncompressed tar
	MediaType string `json:"mediaType,omitempty"`
	Size      int64  `json:"size,omitempty"`      // bytes of the blob
	CreatedBy string `json:"createdBy,omitempty"` // the history entry that made it
	Origin    Origin `json:"origin,omitempty"`
}

// ImageConfig is the part of the OCI image configuration that says how a
// container starts.
type ImageConfig struct {
	User         string            `json:"user,omitempty"`
	Env          []string          `json:"env,omitempty"`
	Entrypoint   []string          `json:"entrypoint,omitempty"`
	Cmd          []string          `json:"cmd,omitempty"`
	WorkingDir   string            `json:"workingDir,omitempty"`
	ExposedPorts []string          `json:"exposedPorts,omitempty"`
	Volumes      []string          `json:"volumes,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	StopSignal   string            `json:"stopSignal,omitempty"`
	Healthcheck  []string          `json:"healthcheck,omitempty"`
}

// History is one step of the image's build; steps without a layer included.
type History struct {
	CreatedBy  string    `json:"createdBy,omitempty"`
	Comment    string    `json:"comment,omitempty"`
	Created    time.Time `json:"created,omitzero"`
	EmptyLayer bool      `json:"emptyLayer,omitempty"`
}

// TargetKind says what a target is.
type TargetKind string

// The kinds of target.
const (
	TargetImage  TargetKind = "image"
	TargetRoot   TargetKind = "root"   // a root file system, "/" included
	TargetSource TargetKind = "source" // a source folder or a lock file
	TargetSBOM   TargetKind = "sbom"
)

// Image is what is being looked at. Its name is the model case; a root
// folder, a source folder and an SBOM are images without layers.
type Image struct {
	Kind TargetKind `json:"kind"`
	// Ref is the target as the user named it.
	Ref string `json:"ref"`
	// Digest is the manifest's: what a registry serves and a node runs.
	Digest Digest `json:"digest,omitempty"`
	// ID is the digest of the configuration.
	ID       Digest    `json:"id,omitempty"`
	Tags     []string  `json:"tags,omitempty"`
	Platform string    `json:"platform,omitempty"` // "linux/amd64"
	Created  time.Time `json:"created,omitzero"`
	Distro   Distro    `json:"distro,omitzero"`
	Layers   []Layer   `json:"layers,omitempty"`
	// BaseName and BaseDigest name the base image where labels, annotations
	// or the layers tell; BaseBy says which of them did.
	BaseName   string      `json:"baseName,omitempty"`
	BaseDigest Digest      `json:"baseDigest,omitempty"`
	BaseBy     string      `json:"baseBy,omitempty"`
	Config     ImageConfig `json:"config,omitzero"`
	History    []History   `json:"history,omitempty"`
}
