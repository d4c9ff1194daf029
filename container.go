package esclusa

import "time"

// Runtime names who made a container.
type Runtime string

// The runtimes that a cgroup's path tells apart.
const (
	RuntimeContainerd Runtime = "containerd"
	RuntimeCRIO       Runtime = "cri-o"
	RuntimeDocker     Runtime = "docker"
	RuntimePodman     Runtime = "podman"
	RuntimeRunc       Runtime = "runc" // started by hand
	// RuntimeRun is a command under `esclusa watch run`.
	RuntimeRun Runtime = "esclusa"
)

// Container is one container on this node. It joins an event to an image and
// so to all that scan knows of it.
type Container struct {
	ID      string  `json:"id"`
	Name    string  `json:"name,omitempty"`
	Runtime Runtime `json:"runtime"`
	// Cgroup is the id of its cgroup in the unified hierarchy, 0 where it has
	// none; CgroupPath is below the root of the hierarchy that named it.
	Cgroup     uint64 `json:"cgroup,omitempty"`
	CgroupPath string `json:"cgroupPath,omitempty"`
	// ImageRef is what was asked for, Image the manifest's digest and ImageID
	// the configuration's.
	ImageRef string            `json:"imageRef,omitempty"`
	Image    Digest            `json:"image,omitempty"`
	ImageID  Digest            `json:"imageId,omitempty"`
	Pod      Pod               `json:"pod,omitzero"`
	Labels   map[string]string `json:"labels,omitempty"`
	Started  time.Time         `json:"started,omitzero"`
	// Privileged says that it was started with the capabilities that make it
	// root of the host.
	Privileged bool `json:"privileged,omitempty"`
	// Verdict and the findings are scan's word on the image, where known.
	Verdict Decision `json:"verdict,omitempty"`
	// Worst is the highest severity among the image's findings, and Exploited
	// how many of them are known to be exploited.
	Worst     Severity `json:"worst,omitempty"`
	Exploited int      `json:"exploited,omitempty"`
	// Gaps are what could not be learned of it, and why.
	Gaps []Gap `json:"gaps,omitempty"`
}

// Pod is the Kubernetes pod of a container.
type Pod struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	UID       string `json:"uid,omitempty"`
}
