package host

import (
	"strings"

	"github.com/esclusa/esclusa"
)

// place is what the path of a cgroup says about the container it belongs to.
type place struct {
	id      string
	runtime esclusa.Runtime
	// path is that of the container's own cgroup; the one asked about may lie
	// below.
	path string
	// namespace is containerd's, where the path names it.
	namespace string
	pod       string // uid
	// sure is false where an id stands alone and the runtime is a guess.
	sure bool
	// claimed says that whoever is inside another container, or a user of the
	// host, made this cgroup: they may have named it after another container,
	// so nobody is asked about it.
	claimed bool
}

// Bounds for the path of a cgroup: PATH_MAX, and what a runtime nests.
const (
	maxPath  = 4096
	maxParts = 64
)

// RunPrefix is what `esclusa watch run` names its cgroups with.
const RunPrefix = "esclusa-run-"

// scopes are what stands before the id in the name of a systemd scope, or of
// a cgroup where the runtime makes them itself.
func scopeRuntime(prefix string) (esclusa.Runtime, bool) {
	switch prefix {
	case "cri-containerd", "nerdctl", "containerd":
		return esclusa.RuntimeContainerd, true
	case "crio":
		return esclusa.RuntimeCRIO, true
	case "docker":
		return esclusa.RuntimeDocker, true
	case "libpod", "libpod-payload": // the second with --cgroups=split, as in systemd units
		return esclusa.RuntimePodman, true
	}
	return "", false
}

// findPlace reads a path below the root of a hierarchy. isState says whether
// runc keeps a state of that name; namespace is empty for runc started by
// hand. The outermost container is the one that the host's runtime made. One
// inside it is told as "outer/inner".
func findPlace(path string, isState func(namespace, name string) bool) (place, bool) {
	if len(path) > maxPath {
		path = path[:maxPath]
	}
	parts := strings.SplitN(strings.Trim(path, "/"), "/", maxParts+1)
	var (
		at     place // the container found so far
		found  bool
		uid    string // of the pod
		user   string // whose cgroups these are
		before string
		walked int
	)
	for i, part := range parts {
		if i == maxParts {
			break
		}
		walked += 1 + len(part)
		if p, ok := podUID(part); ok && !found {
			uid = p
		}
		if u, ok := userSlice(part); ok && !found {
			user = u
		}
		p, ok := partPlace(part, before)
		if !ok && !found && user == "" {
			p, ok = statePlace(part, before, isState)
		}
		before = part
		if !ok {
			continue
		}
		p.path = path[:min(walked, len(path))]
		switch {
		case found:
			outer, _, _ := strings.Cut(at.id, "/")
			p.id, p.claimed = outer+"/"+p.id, true
		case user != "":
			p.id, p.claimed = user+"/"+p.id, true
		}
		if !found {
			p.pod = uid
		}
		at, found = p, true
	}
	return at, found
}

// partPlace reads one part of a path, given the one above it.
func partPlace(part, above string) (place, bool) {
	name, isScope := strings.CutSuffix(part, ".scope")
	// A systemd path handed to a runtime that makes cgroups itself:
	// "slice:prefix:id".
	if pieces := strings.Split(name, ":"); len(pieces) == 3 && isID(pieces[2]) {
		if r, ok := scopeRuntime(pieces[1]); ok {
			return place{id: pieces[2], runtime: r, sure: true}, true
		}
	}
	if id, ok := strings.CutPrefix(name, RunPrefix); ok && isName(id) {
		return place{id: id, runtime: esclusa.RuntimeRun, sure: true}, true
	}
	if prefix, id, ok := cutLast(name); ok && isID(id) {
		if r, ok := scopeRuntime(prefix); ok {
			return place{id: id, runtime: r, sure: true}, true
		}
	}
	if id, ok := strings.CutPrefix(name, "runc-"); ok && isScope && isName(id) {
		return place{id: id, runtime: esclusa.RuntimeRunc, sure: true}, true
	}
	if above == "buildkit" && len(part) == 25 && isName(part) { // a step of a build
		return place{id: part, runtime: esclusa.RuntimeDocker}, true
	}
	if !isID(part) {
		return place{}, false
	}
	_, inPod := podUID(above)
	switch {
	case above == "docker":
		return place{id: part, runtime: esclusa.RuntimeDocker, sure: true}, true
	case above == "libpod_parent":
		return place{id: part, runtime: esclusa.RuntimePodman, sure: true}, true
	case inPod || above == "k8s.io" || above == "default":
		return place{id: part, runtime: esclusa.RuntimeContainerd}, true
	}
	return place{id: part, runtime: esclusa.RuntimeDocker}, true // --cgroup-parent
}

// statePlace asks whether runc knows a container of that name.
func statePlace(part, above string, isState func(namespace, name string) bool) (place, bool) {
	if !isName(part) {
		return place{}, false
	}
	if above != "" && isName(above) && isState(above, part) {
		return place{id: part, runtime: esclusa.RuntimeContainerd, namespace: above, sure: true}, true
	}
	if isState("", part) {
		return place{id: part, runtime: esclusa.RuntimeRunc, sure: true}, true
	}
	return place{}, false
}

// isID says whether s is an id as all but runc and ctr give them.
func isID(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// isName says whether s may be what a person called a container: what runc
// and containerd accept, and no path.
func isName(s string) bool {
	if s == "" || len(s) > 128 || s[0] == '.' {
		return false
	}
	for _, c := range []byte(s) {
		if c != '_' && c != '-' && c != '.' && c != '+' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '-')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// podUID reads "pod<uid>" (cgroupfs) and "…-pod<uid with _>.slice" (systemd).
func podUID(part string) (string, bool) {
	if name, ok := strings.CutSuffix(part, ".slice"); ok {
		i := strings.LastIndex(name, "-pod")
		if i < 0 || !strings.Contains(name, "kubepods") {
			return "", false
		}
		part = strings.ReplaceAll(name[i+1:], "_", "-")
	}
	uid, ok := strings.CutPrefix(part, "pod")
	// A uid, or the hash that the kubelet gives static pods.
	if !ok || len(uid) != 36 && len(uid) != 32 || strings.Trim(uid, "0123456789abcdef-") != "" {
		return "", false
	}
	return uid, true
}

// userSlice finds the part of the tree that systemd hands to a user; root
// needs no such gift.
func userSlice(part string) (string, bool) {
	name, ok := strings.CutSuffix(part, ".service")
	if !ok {
		return "", false
	}
	uid, ok := strings.CutPrefix(name, "user@")
	if !ok || uid == "" || uid == "0" || len(uid) > 10 || strings.Trim(uid, "0123456789") != "" {
		return "", false
	}
	return "user-" + uid, true
}
