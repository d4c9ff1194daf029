package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/oci"
)

// Who is asked about a container, and how patiently. A container's metadata
// exist before its cgroup does, but for runc's own state, which is written
// after it: hence the second try.
const (
	maxLookups    = 4096
	lookupWorkers = 4
	lookupTime    = 5 * time.Second // of one try, all daemons together
	lookupTries   = 3
)

// lookup is a question for beside the events: about a container, or where a
// cgroup is that nobody told of.
type lookup struct {
	box    *box
	cgroup uint64
	try    int
}

// ask never waits. The lock is held.
func (h *Host) ask(l lookup) {
	select {
	case h.lookups <- l:
	default:
		h.stats.LookupsDropped++
	}
}

func (h *Host) lookUp(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-h.lookups:
			if l.box == nil {
				h.locate(l.cgroup)
			} else {
				h.describe(ctx, l)
			}
		}
	}
}

// locate asks the kernel where a cgroup is.
func (h *Host) locate(id uint64) {
	at, err := h.tree.pathOf(id)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.stats.CgroupsUnknown++
		h.options.Log.Debug("cgroup not found", "err", err)
		return
	}
	h.made(id, at, h.isState)
}

// describe finds out about a container and swaps the answer in.
func (h *Host) describe(ctx context.Context, l lookup) {
	within, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	pl := l.box.place
	f, err := h.facts(within, pl)
	was := l.box.load()
	c := f.over(*was)
	if c.Cgroup == 0 {
		c.Cgroup = h.tree.unifiedID(f.pid, pl)
	}
	h.judge(within, &c)
	if err != nil {
		c.Gaps = unanswered(pl, err)
	}

	h.mu.Lock()
	defer h.mu.Unlock()
	if !l.box.now.CompareAndSwap(was, &c) { // started again meanwhile
		h.later = append(h.later, l)
		return
	}
	if err == nil || errors.Is(err, errNoImage) {
		return
	}
	if l.try++; l.try == lookupTries {
		h.stats.LookupsFailed++
		h.options.Log.Debug("container not known to its runtime", "container", pl.id, "err", err)
		return
	}
	h.later = append(h.later, l)
}

func unanswered(pl place, err error) []esclusa.Gap {
	return []esclusa.Gap{{Scope: esclusa.GapItem, What: "image of container " + pl.id, Err: err.Error()}}
}

// retry asks again what had no answer; called each second.
func (h *Host) retry() {
	again := h.later
	h.later = nil
	for _, l := range again {
		h.ask(l)
	}
}

// Judge asks scan again about the image of every container: call it when scan
// has learned of new advisories or images.
func (h *Host) Judge(ctx context.Context) {
	h.mu.RLock()
	var all []*box
	for _, b := range h.boxes {
		all = append(all, b)
	}
	h.mu.RUnlock()
	for _, b := range all {
		was := b.load()
		c := *was
		h.judge(ctx, &c)
		b.now.CompareAndSwap(was, &c) // who replaced it meanwhile has asked too
	}
}

func (h *Host) judge(ctx context.Context, c *esclusa.Container) {
	if h.options.Images == nil || c.Image == "" && c.ImageID == "" {
		return
	}
	if f, ok := h.options.Images.Image(ctx, c.Image, c.ImageID); ok {
		c.Verdict, c.Worst, c.Exploited = f.Verdict, f.Worst, f.Exploited
	}
}

// facts are what a runtime says about a container.
type facts struct {
	runtime    esclusa.Runtime
	name, ref  string
	image, id  esclusa.Digest
	labels     map[string]string
	pod        esclusa.Pod
	started    time.Time
	privileged bool
	pid        int32 // of its first process
}

// Labels are kept within bounds: an image brings them.
const (
	maxLabels     = 128
	maxLabelBytes = 2 << 10
)

// over is a container with what is newly known of it.
func (f *facts) over(c esclusa.Container) esclusa.Container {
	if f.runtime != "" {
		c.Runtime = f.runtime
	}
	if f.name != "" && f.name != c.ID {
		c.Name = f.name
	}
	if f.ref != "" {
		c.ImageRef = f.ref
	}
	if f.image != "" || f.id != "" {
		c.Image, c.ImageID = f.image, f.id
	}
	if len(f.labels) > 0 {
		c.Labels = map[string]string{}
		for k, v := range f.labels {
			if len(c.Labels) == maxLabels {
				break
			}
			if len(k) <= maxLabelBytes && len(v) <= maxLabelBytes {
				c.Labels[k] = v
			}
		}
	}
	if f.pod != (esclusa.Pod{}) {
		c.Pod = f.pod
	}
	if !f.started.IsZero() {
		c.Started = f.started.UTC()
	}
	c.Privileged = c.Privileged || f.privileged
	c.Gaps = nil
	return c
}

var (
	errClaimed = errors.New("a process inside another container, or a user of the host, made it: nobody vouches for its image")
	errNoImage = errors.New("runc was started by hand: a root folder, not an image")
	errNobody  = errors.New("no runtime of this host knows it")
)

// runtimes is where to ask.
type runtimes struct {
	containerd, docker []string // sockets
	podman             string
	runc               []string // folders of states, of runc started by hand
	shim               string   // where shims keep states, a folder for each namespace
	more               []string // folders of states that are not asked by name alone
	storage            []string
}

func usual(o *Options) runtimes {
	at := func(set []string, usual ...string) []string {
		if set == nil {
			set = usual
		}
		in := make([]string, 0, len(set))
		for _, p := range set {
			in = append(in, filepath.Join("/", o.Root, p))
		}
		return in
	}
	return runtimes{
		containerd: at(o.Containerd, "/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock",
			"/run/k0s/containerd.sock", "/var/snap/microk8s/common/run/containerd.sock"),
		docker:  at(o.Docker, "/run/docker.sock"),
		podman:  at(nil, "/run/podman/podman.sock")[0],
		runc:    at(o.Runc, "/run/runc"),
		shim:    at(nil, "/run/containerd/runc")[0],
		more:    at(nil, "/run/docker/runtime-runc/moby"),
		storage: at(o.Storage, "/var/lib/containers/storage"),
	}
}

// isState says whether runc keeps a state of that name. It looks at a folder
// in memory (/run), once for a cgroup that nothing else explains.
func (r *runtimes) isState(namespace, name string) bool {
	if namespace != "" {
		return isFolder(filepath.Join(r.shim, namespace, name))
	}
	for _, dir := range r.runc {
		if isFolder(filepath.Join(dir, name)) {
			return true
		}
	}
	return false
}

func isFolder(name string) bool {
	info, err := os.Lstat(name)
	return err == nil && info.IsDir()
}

// errUnmade is a container of which runc has not yet written when it was
// started: its cgroup is made before that.
var errUnmade = errors.New("runc has not said yet, or no more, when it was started")

// facts asks those who may know.
func (h *Host) facts(ctx context.Context, pl place) (facts, error) {
	var (
		f   facts
		err error
	)
	switch pl.runtime {
	case esclusa.RuntimeRun:
		return f, nil
	case esclusa.RuntimeRunc:
		err = errNoImage
	case esclusa.RuntimeContainerd:
		if f, err = h.askContainerd(ctx, pl); errors.Is(err, errNobody) && !pl.sure {
			f, err = h.askDocker(ctx, pl)
		}
	case esclusa.RuntimeDocker:
		if f, err = h.askDocker(ctx, pl); errors.Is(err, errNobody) && !pl.sure {
			f, err = h.askContainerd(ctx, pl)
		}
	default:
		f, err = h.askStorage(ctx, pl)
	}
	s, found := h.state(ctx, pl)
	if s.Created.IsZero() && errors.Is(err, errNoImage) {
		err = errUnmade
	}
	if found {
		if f.started.IsZero() {
			f.started = s.Created
		}
		f.privileged = f.privileged || s.privileged()
		f.pid = s.PID
	}
	return f, err
}

// askContainerd asks each daemon, in the namespaces of Kubernetes, ctr and
// docker unless the path said which.
func (h *Host) askContainerd(ctx context.Context, pl place) (facts, error) {
	namespaces := []string{"k8s.io", "default", "moby"}
	if pl.namespace != "" {
		namespaces = []string{pl.namespace}
	}
	err := errNobody
	for _, socket := range h.containerd {
		if _, absent := os.Stat(socket); absent != nil {
			continue
		}
		for _, namespace := range namespaces {
			c, failed := oci.ContainerdContainer(ctx, socket, namespace, pl.id)
			switch {
			case errors.Is(failed, oci.ErrNotFound):
				continue
			case failed != nil:
				err = failed
				continue
			case namespace == "moby": // docker's, which knows more
				return h.askDocker(ctx, pl)
			}
			f := facts{runtime: esclusa.RuntimeContainerd, name: c.Name, ref: c.ImageRef, image: c.Image, id: c.ImageID, labels: c.Labels}
			h.readSpec(ctx, &f, c.Spec, socket, namespace, pl)
			return f, c.NoImage
		}
	}
	return facts{}, err
}

// readSpec takes from a container's OCI configuration what Kubernetes' plug-in
// of containerd wrote there. Only the runtime writes annotations; labels may
// come from the image, so nothing is believed of a pod by label.
func (h *Host) readSpec(ctx context.Context, f *facts, b []byte, socket, namespace string, pl place) {
	s, err := parseSpec(b)
	if err != nil {
		return
	}
	f.privileged = s.privileged()
	const cri = "io.kubernetes.cri."
	a := s.Annotations
	if a[cri+"container-type"] == "" {
		return
	}
	f.pod = esclusa.Pod{Namespace: a[cri+"sandbox-namespace"], Name: a[cri+"sandbox-name"], UID: a[cri+"sandbox-uid"]}
	if f.pod.UID == "" { // containerd before 1.6
		f.pod.UID = pl.pod
	}
	if a[cri+"container-type"] == "sandbox" {
		f.name = "" // of the pod itself
		return
	}
	f.name, f.ref = a[cri+"container-name"], orElse(a[cri+"image-name"], f.ref)
	// The labels of a pod are with its sandbox.
	if sandbox := a[cri+"sandbox-id"]; isID(sandbox) {
		if c, err := oci.ContainerdContainer(ctx, socket, namespace, sandbox); err == nil {
			maps.Copy(c.Labels, f.labels)
			f.labels = c.Labels
		}
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func (h *Host) askDocker(ctx context.Context, pl place) (facts, error) {
	err := errNobody
	for _, socket := range h.docker {
		if _, absent := os.Stat(socket); absent != nil {
			continue
		}
		f, failed := askSocket(ctx, socket, pl)
		if failed == nil || f.runtime != "" {
			return f, failed
		}
		if !errors.Is(failed, oci.ErrNotFound) {
			err = failed
		}
	}
	return facts{}, err
}

// askSocket speaks docker's API. A label names a pod (cri-dockerd sets it)
// only where the cgroup is that pod's.
func askSocket(ctx context.Context, socket string, pl place) (facts, error) {
	c, err := oci.DockerContainer(ctx, (&url.URL{Scheme: "unix", Path: socket}).String(), pl.id)
	if err != nil {
		return facts{}, err
	}
	f := facts{
		runtime: esclusa.RuntimeDocker, name: c.Name, ref: c.ImageRef, image: c.Image, id: c.ImageID, labels: c.Labels,
		started: c.Started, privileged: c.Privileged,
	}
	const kube = "io.kubernetes."
	if uid := c.Labels[kube+"pod.uid"]; pl.pod != "" && uid == pl.pod {
		f.pod = esclusa.Pod{Namespace: c.Labels[kube+"pod.namespace"], Name: c.Labels[kube+"pod.name"], UID: uid}
		f.name = c.Labels[kube+"container.name"]
	}
	return f, c.NoImage
}

// askStorage reads what CRI-O and Podman keep in files. Podman keeps labels
// in a database of its own: its service is asked for them where it runs.
func (h *Host) askStorage(ctx context.Context, pl place) (facts, error) {
	err := errNobody
	for _, root := range h.storage {
		f, failed := readStorage(ctx, root, pl.id)
		if errors.Is(failed, os.ErrNotExist) {
			continue
		}
		if failed != nil {
			err = fmt.Errorf("container %s in %s: %w", pl.id, root, failed)
			continue
		}
		f.runtime = pl.runtime
		if pl.runtime == esclusa.RuntimeCRIO {
			h.readCRIO(&f, root, pl)
			return f, nil
		}
		if _, absent := os.Stat(h.podman); absent == nil {
			if more, err := askSocket(ctx, h.podman, pl); err == nil {
				f.labels, f.started, f.privileged = more.labels, more.started, more.privileged
			}
		}
		return f, nil
	}
	return facts{}, err
}

// readCRIO takes what CRI-O wrote into the OCI configuration.
func (h *Host) readCRIO(f *facts, root string, pl place) {
	s, err := readUserdata(root, pl.id)
	if err != nil {
		return
	}
	f.privileged = s.privileged()
	const kube, crio = "io.kubernetes.", "io.kubernetes.cri-o."
	a := s.Annotations
	f.pod = esclusa.Pod{Namespace: a[kube+"pod.namespace"], Name: a[kube+"pod.name"], UID: orElse(a[kube+"pod.uid"], pl.pod)}
	f.ref = orElse(a[crio+"ImageName"], f.ref)
	f.name = orElse(a[kube+"container.name"], f.name)
	f.labels = jsonLabels(a[crio+"Labels"])
	if sandbox := a[crio+"SandboxID"]; isID(sandbox) && sandbox != pl.id {
		if s, err := readUserdata(root, sandbox); err == nil {
			labels := jsonLabels(s.Annotations[crio+"Labels"])
			maps.Copy(labels, f.labels)
			f.labels = labels
		}
	}
	if strings.EqualFold(a[crio+"ContainerType"], "sandbox") {
		f.name = ""
	}
}
