// Package rails says which actions may be done: never to what holds the
// machine up, never more in a minute than was said, never further than the
// policy allows, and the chosen ones only with a person's word. It only
// computes; what it must know of the target is handed in as Facts.
//
// Start with Rails.Decide.
package rails

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
)

// Verdict is what becomes of an action.
type Verdict int8

// The verdicts.
const (
	Refuse Verdict = iota
	Allow
	Ask // a person
)

// Decision is a verdict with its sentence.
type Decision struct {
	Verdict Verdict
	Why     string
}

// Hit is a process that an action would be felt by.
type Hit struct {
	esclusa.ProcessKey
	Name string
	Exe  string
	// Host says that it is in no container and in the host's own namespaces:
	// only there does a name count, a container's processes choose theirs.
	Host bool
	// Owned says that only root can write its executable.
	Owned bool
	// Kernel says that it is a thread of the kernel.
	Kernel bool
}

// Facts are what is known of a target when it is decided about.
type Facts struct {
	Hits      []Hit
	Container *esclusa.Container
	Self      int32 // our pid
}

// Protect is who is never touched, beside those that are built in.
type Protect struct {
	// Processes are names of executables of the host.
	Processes []string `yaml:"processes"`
	// Namespaces are those of pods.
	Namespaces []string `yaml:"namespaces"`
	// Labels of a container; an image can bring labels of its own.
	Labels map[string]string `yaml:"labels"`
}

// Rails are the settings of a policy.
type Rails struct {
	Protect Protect
	// Workload and Node are how many strong actions one workload and the whole
	// node may see in a minute.
	Workload, Node int
	// Approve are the actions that a person is asked about.
	Approve []esclusa.ActionName
}

// builtin are processes that hold the machine or its containers up, and the
// way in for who has to repair it.
func builtin() []string {
	return []string{
		"init", "systemd", "systemd-journald", "systemd-logind", "systemd-udevd", "systemd-networkd", "systemd-resolved", "dbus-daemon", "dbus-broker",
		"kubelet", "k3s", "k0s", "kube-proxy", "kube-apiserver", "etcd", "containerd", "containerd-shim-runc-v2", "containerd-shim", "dockerd", "docker-proxy",
		"crio", "conmon", "conmonrs", "podman", "runc", "crun", "youki", "buildkitd", "sshd", "sshd-session", "esclusa",
	}
}

// Decide says what becomes of an action. stage is how far it goes, allowed
// how far the policy goes for this case, done when strong actions were done.
func (r *Rails) Decide(a *esclusa.Action, stage, allowed esclusa.Stage, f *Facts, done *History, now time.Time) Decision {
	if stage > esclusa.StageObserve {
		if why := r.protected(f); why != "" {
			return Decision{Refuse, why}
		}
		if p := a.Target.Path; p != "" && f.Container == nil && r.named(p) {
			return Decision{Refuse, fmt.Sprintf("%s is protected", p)}
		}
	}
	if stage > allowed {
		return Decision{Refuse, fmt.Sprintf("the policy stops at %s here", allowed)}
	}
	if stage > esclusa.StageObserve {
		workload, node := done.within(Workload(f.Container), now)
		switch {
		case workload >= r.Workload:
			return Decision{Refuse, fmt.Sprintf("%d actions were done to this workload within a minute, and no more are allowed", workload)}
		case node >= r.Node:
			return Decision{Refuse, fmt.Sprintf("%d actions were done on this node within a minute, and no more are allowed", node)}
		}
	}
	if slices.Contains(r.Approve, a.Name) {
		return Decision{Ask, fmt.Sprintf("%s needs a person's word", a.Name)}
	}
	return Decision{Allow, ""}
}

// protected says why a target is not touched, or nothing.
func (r *Rails) protected(f *Facts) string {
	if c := f.Container; c != nil {
		if ns := c.Pod.Namespace; ns != "" && slices.Contains(r.Protect.Namespaces, ns) {
			return fmt.Sprintf("pods of namespace %s are protected", ns)
		}
		for k, v := range r.Protect.Labels {
			if got, ok := c.Labels[k]; ok && got == v {
				return fmt.Sprintf("containers with label %s=%s are protected", k, v)
			}
		}
	}
	for i := range f.Hits {
		h := &f.Hits[i]
		switch {
		case h.PID == 1:
			return "it would be felt by the first process of the host"
		case h.PID == f.Self:
			return "it would be felt by the sensor"
		case h.Kernel:
			return fmt.Sprintf("it would be felt by %s (%d), a thread of the kernel", h.Name, h.PID)
		case h.Host && h.Owned && r.named(h.Exe):
			return fmt.Sprintf("it would be felt by %s (%d), which is protected", h.Exe, h.PID)
		}
	}
	return ""
}

func (r *Rails) named(exe string) bool {
	name := path.Base(strings.TrimSuffix(exe, " (deleted)")) // updated while it runs
	return slices.Contains(builtin(), name) || slices.Contains(r.Protect.Processes, name)
}

// Workload is whose actions are counted together: those of a pod, of a named
// container, of the host.
func Workload(c *esclusa.Container) string {
	switch {
	case c == nil:
		return "host"
	case c.Pod.Name != "":
		return "pod " + c.Pod.Namespace + "/" + c.Pod.Name
	case c.Name != "":
		return "container " + c.Name
	}
	return "container " + c.ID
}

// History is when strong actions were done, for a minute.
type History struct{ done []act }

type act struct {
	workload string
	at       time.Time
}

// Add notes an action.
func (h *History) Add(workload string, at time.Time) { h.done = append(h.done, act{workload, at}) }

func (h *History) within(workload string, now time.Time) (w, node int) {
	h.done = slices.DeleteFunc(h.done, func(a act) bool { return now.Sub(a.at) >= time.Minute })
	for _, a := range h.done {
		if a.workload == workload {
			w++
		}
	}
	return w, len(h.done)
}
