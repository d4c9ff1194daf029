package host

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
)

const (
	id1 = "3b3ae7ce5ad7bbf4a5b1f4c7c1e8f1a0a9cf7cf2f0b2b3d1a8ea6f3b7c2d1e0f"
	id2 = "a1d6c9b50a7f4c1e9f7f2c6ab8f7b3d0e4c5a6978812f3d4c5b6a7988f0e1d2c"
	uid = "9c4ad2a4-1f0a-4d61-9a7f-0d7a3c5e1b2f"
)

// noState is a host on which runc keeps nothing.
func noState(string, string) bool { return false }

func states(names ...string) func(string, string) bool {
	return func(namespace, name string) bool {
		for _, n := range names {
			if n == namespace+"/"+name {
				return true
			}
		}
		return false
	}
}

// Paths as runtimes and orchestrators make them; version 1 and 2 differ in
// where a tree hangs, not in its names.
func TestPlace(t *testing.T) {
	under := strings.ReplaceAll(uid, "-", "_")
	containerd, docker, crio, podman, runc := esclusa.RuntimeContainerd, esclusa.RuntimeDocker, esclusa.RuntimeCRIO, esclusa.RuntimePodman, esclusa.RuntimeRunc
	tests := []struct {
		name, path string
		isState    func(string, string) bool
		want       place // path is as given when empty
	}{
		{name: "kubelet, systemd, containerd", path: "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + under + ".slice/cri-containerd-" + id1 + ".scope", want: place{id: id1, runtime: containerd, pod: uid, sure: true}},
		{name: "guaranteed pods have no slice of their class", path: "/kubepods.slice/kubepods-pod" + under + ".slice/cri-containerd-" + id1 + ".scope", want: place{id: id1, runtime: containerd, pod: uid, sure: true}},
		{name: "kubelet, systemd, CRI-O", path: "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + under + ".slice/crio-" + id1 + ".scope", want: place{id: id1, runtime: crio, pod: uid, sure: true}},
		{name: "crun puts a cgroup below", path: "/kubepods.slice/kubepods-pod" + under + ".slice/crio-" + id1 + ".scope/container", want: place{id: id1, runtime: crio, pod: uid, sure: true, path: "/kubepods.slice/kubepods-pod" + under + ".slice/crio-" + id1 + ".scope"}},
		{name: "kubelet, systemd, cri-dockerd", path: "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + under + ".slice/docker-" + id1 + ".scope", want: place{id: id1, runtime: docker, pod: uid, sure: true}},
		{name: "kubelet, cgroupfs", path: "/kubepods/burstable/pod" + uid + "/" + id1, want: place{id: id1, runtime: containerd, pod: uid}},
		{name: "kubelet, cgroupfs, guaranteed", path: "/kubepods/pod" + uid + "/" + id1, want: place{id: id1, runtime: containerd, pod: uid}},
		{name: "kubelet, cgroupfs, CRI-O", path: "/kubepods/besteffort/pod" + uid + "/crio-" + id1, want: place{id: id1, runtime: crio, pod: uid, sure: true}},
		{name: "static pod", path: "/kubepods/burstable/pod0123456789abcdef0123456789abcdef/" + id1, want: place{id: id1, runtime: containerd, pod: "0123456789abcdef0123456789abcdef"}},
		{name: "drivers at odds", path: "/system.slice/containerd.service/kubepods-burstable-pod" + under + ".slice:cri-containerd:" + id1, want: place{id: id1, runtime: containerd, sure: true}},
		{name: "docker, cgroupfs", path: "/docker/" + id1, want: place{id: id1, runtime: docker, sure: true}},
		{name: "docker, systemd", path: "/system.slice/docker-" + id1 + ".scope", want: place{id: id1, runtime: docker, sure: true}},
		{name: "docker below a slice of one's own", path: "/builds.slice/docker-" + id1 + ".scope", want: place{id: id1, runtime: docker, sure: true}},
		{name: "docker --cgroup-parent", path: "/actions_job/" + id1, want: place{id: id1, runtime: docker}},
		{name: "ECS", path: "/ecs/0aa1bb22cc33dd44ee55ff6677889900/" + id1, want: place{id: id1, runtime: docker}},
		{name: "ECS, systemd", path: "/ecstasks.slice/ecstasks-0aa1bb22cc33dd44ee55ff6677889900.slice/docker-" + id1 + ".scope", want: place{id: id1, runtime: docker, sure: true}},
		{name: "systemd inside docker", path: "/docker/" + id1 + "/init.scope", want: place{id: id1, runtime: docker, sure: true, path: "/docker/" + id1}},
		{name: "a step of docker build", path: "/docker/buildkit/5l2a8u1c0n7d4m9x3v6b2q8wz", want: place{id: "5l2a8u1c0n7d4m9x3v6b2q8wz", runtime: docker}},
		{name: "podman, systemd", path: "/machine.slice/libpod-" + id1 + ".scope", want: place{id: id1, runtime: podman, sure: true}},
		{name: "podman, crun", path: "/machine.slice/libpod-" + id1 + ".scope/container", want: place{id: id1, runtime: podman, sure: true, path: "/machine.slice/libpod-" + id1 + ".scope"}},
		{name: "podman pod", path: "/machine.slice/machine-libpod_pod_" + id2 + ".slice/libpod-" + id1 + ".scope", want: place{id: id1, runtime: podman, sure: true}},
		{name: "podman, cgroupfs", path: "/libpod_parent/libpod-" + id1, want: place{id: id1, runtime: podman, sure: true}},
		{name: "podman in a systemd unit", path: "/system.slice/web.service/libpod-payload-" + id1, want: place{id: id1, runtime: podman, sure: true}},
		{name: "podman, rootless", path: "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id1 + ".scope", want: place{id: "user-1000/" + id1, runtime: podman, sure: true, claimed: true}},
		{name: "docker, rootless", path: "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + id1 + ".scope", want: place{id: "user-1000/" + id1, runtime: docker, sure: true, claimed: true}},
		{name: "root's own units are no gift", path: "/user.slice/user-0.slice/user@0.service/docker-" + id1 + ".scope", want: place{id: id1, runtime: docker, sure: true}},
		{name: "nerdctl, systemd", path: "/system.slice/nerdctl-" + id1 + ".scope", want: place{id: id1, runtime: containerd, sure: true}},
		{name: "nerdctl, cgroupfs", path: "/default/" + id1, want: place{id: id1, runtime: containerd}},
		{name: "ctr", path: "/default/web", isState: states("default/web"), want: place{id: "web", runtime: containerd, namespace: "default", sure: true}},
		{name: "ctr with cgroups below", path: "/default/web/a/b", isState: states("default/web"), want: place{id: "web", runtime: containerd, namespace: "default", sure: true, path: "/default/web"}},
		{name: "runc", path: "/web", isState: states("/web"), want: place{id: "web", runtime: runc, sure: true}},
		{name: "runc below where it was started", path: "/user.slice/user-0.slice/session-3.scope/web", isState: states("/web"), want: place{id: "web", runtime: runc, sure: true}},
		{name: "runc, systemd", path: "/system.slice/runc-web.scope", want: place{id: "web", runtime: runc, sure: true}},
		{name: "esclusa watch run", path: "/esclusa-run-4711", want: place{id: "4711", runtime: esclusa.RuntimeRun, sure: true}},
		{
			name: "kind: a pod inside docker", path: "/docker/" + id1 + "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" + under + ".slice/cri-containerd-" + id2 + ".scope",
			want: place{id: id1 + "/" + id2, runtime: containerd, sure: true, claimed: true},
		},
		{name: "docker in docker in docker", path: "/docker/" + id1 + "/docker/" + id2 + "/docker/" + id2, want: place{id: id1 + "/" + id2, runtime: docker, sure: true, claimed: true}},
		{
			name: "a container that names a cgroup after runc's state of another", path: "/docker/" + id1 + "/web", isState: states("/web"),
			want: place{id: id1, runtime: docker, sure: true, path: "/docker/" + id1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.isState == nil {
				tt.isState = noState
			}
			if tt.want.path == "" {
				tt.want.path = tt.path
			}
			got, ok := findPlace(tt.path, tt.isState)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(place{})); !ok || diff != "" {
				t.Errorf("found: %v\n%s", ok, diff)
			}
		})
	}
}

// The host's own cgroups, those next to containers included.
func TestPlaceHost(t *testing.T) {
	for _, path := range []string{
		"", "/", "/init.scope", "/system.slice", "/system.slice/ssh.service", "/user.slice/user-1000.slice/session-3.scope",
		"/system.slice/containerd.service", "/system.slice/docker.service", "/docker", "/kubepods.slice", "/default", "/default/web",
		"/kubepods.slice/kubepods-pod" + strings.ReplaceAll(uid, "-", "_") + ".slice",
		"/kubepods/burstable/pod" + uid,
		"/machine.slice/libpod-conmon-" + id1 + ".scope",
		"/kubepods.slice/crio-conmon-" + id1 + ".scope",
		"/machine.slice/machine-libpod_pod_" + id1 + ".slice",
		"/system.slice/docker-" + id1[:63] + ".scope", "/docker/" + strings.ToUpper(id1), "/docker/" + id1 + "0",
		"/system.slice/runc-web.service", "/system.slice/runc-.scope",
	} {
		if p, ok := findPlace(path, noState); ok {
			t.Errorf("%s: %+v", path, p)
		}
	}
}

// FuzzPlace holds what others rely on: ids that are safe in a path and in an
// answer, a path above the one given, and no way for a cgroup inside a
// container to be told as another container.
func FuzzPlace(f *testing.F) {
	for _, s := range []string{"/docker/" + id1 + "/docker/" + id2, "/default/web", "/a/b:c:" + id1, "/user.slice/user@7.service/docker-" + id1 + ".scope"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		isState := states("/web", "default/web")
		p, ok := findPlace(path, isState)
		if !ok {
			return
		}
		outer, inner, nested := strings.Cut(p.id, "/")
		if !isName(outer) || nested && !isName(inner) {
			t.Errorf("id %q", p.id)
		}
		if nested != p.claimed {
			t.Errorf("%+v", p)
		}
		if !strings.HasPrefix(path, p.path) {
			t.Errorf("%q is not above %q", p.path, path)
		}
		below, ok := findPlace("/docker/"+id1+"/"+strings.TrimLeft(path, "/"), isState)
		if got, _, _ := strings.Cut(below.id, "/"); !ok || got != id1 {
			t.Errorf("inside a container it is %+v", below)
		}
	})
}

func BenchmarkPlace(b *testing.B) {
	path := "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + strings.ReplaceAll(uid, "-", "_") + ".slice/cri-containerd-" + id1 + ".scope"
	b.ReportAllocs()
	for b.Loop() {
		findPlace(path, noState)
	}
}
