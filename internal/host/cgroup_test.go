package host

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
)

// nobody made it, or nobody known.
var nobody esclusa.ProcessKey

// TestMadeByRunc shows a container of runc whose state is gone before the
// record of its cgroup is read.
func TestMadeByRunc(t *testing.T) {
	h := newHost(t, Options{})
	fork(h, 0, 1, 0)
	for i, tt := range []struct {
		exe, args, path string
		want            string
		runtime         esclusa.Runtime
	}{
		{"/usr/sbin/runc", "runc run --bundle /b short", "/short", "short", esclusa.RuntimeRunc},
		{"/usr/sbin/runc", "runc --root /elsewhere create short", "/esc/short", "short", esclusa.RuntimeRunc},
		{"/usr/bin/crun", "crun run short", "/short/container", "short", esclusa.RuntimeRunc},
		{"/usr/bin/runc", "runc --root /run/containerd/runc/default --log /l create --bundle /b app", "/default/app", "app", esclusa.RuntimeContainerd},
		{"/usr/bin/runc", "runc --root=/run/containerd/runc/other create app", "/default/app", "", ""},
		{"/usr/bin/runc", "runc create app", "/esc", "", ""}, // a folder above
		{"/usr/bin/mkdir", "mkdir short", "/short", "", ""},
		{"/usr/bin/runc", "runc", "/runc", "", ""},
	} {
		pid := int32(i + 10)
		fork(h, 1, pid, 0)
		exe(h, pid, tt.exe, strings.Fields(tt.args)...)
		h.CgroupMade(uint64(pid), tt.path, key(pid))
		c, known := h.Container(uint64(pid))
		switch {
		case !known, (c != nil) != (tt.want != ""), c != nil && (c.ID != tt.want || c.Runtime != tt.runtime):
			t.Errorf("%s makes %s: %+v %v", tt.args, tt.path, c, known)
		}
	}
	// A runtime inside a container makes cgroups of that container.
	h.CgroupMade(500, "/docker/"+id1, nobody)
	h.Fork(&Fork{Key: key(600), Cgroup: 500})
	h.Exec(&Exec{Key: key(600), Cgroup: 500, Exe: "/usr/bin/runc", Args: []string{"runc", "run", "web"}})
	h.CgroupMade(501, "/web", key(600))
	if c, _ := h.Container(501); c != nil {
		t.Errorf("%+v", c)
	}
}

func TestCgroups(t *testing.T) {
	h := newHost(t, Options{})
	const own, below, other, hosts = 101, 102, 103, 104
	h.CgroupMade(own, "/docker/"+id1, nobody)
	h.CgroupMade(below, "/docker/"+id1+"/init.scope", nobody)
	h.CgroupMade(other, "/docker/"+id2, nobody)
	h.CgroupMade(hosts, "/system.slice/ssh.service", nobody)
	c, known := h.Container(own)
	if c == nil || !known || c.ID != id1 || c.Runtime != esclusa.RuntimeDocker || c.CgroupPath != "/docker/"+id1 {
		t.Fatalf("%+v %v", c, known)
	}
	if b, _ := h.Container(below); b != c {
		t.Errorf("below: %+v", b)
	}
	if c, known := h.Container(hosts); c != nil || !known {
		t.Errorf("the host's: %+v %v", c, known)
	}
	if c, known := h.Container(999); c != nil || known {
		t.Errorf("nobody's: %+v %v", c, known)
	}
	p := h.Fork(&Fork{Key: key(1), Cgroup: below, Name: "init"})
	q := h.Fork(&Fork{Key: key(2), Parent: key(1), Cgroup: below})
	if got, _ := p.Container(); got != c || q.Ancestors[0].Container != id1 {
		t.Errorf("%+v %+v", got, q.Ancestors)
	}
	// A cgroup of version 1 may be renamed by who is inside.
	h.CgroupMade(own, "/docker/"+id2, nobody)
	if got, _ := h.Container(own); got != c {
		t.Errorf("renamed: %+v", got)
	}
	h.CgroupGone(own, second)
	h.CgroupGone(below, second)
	h.CgroupGone(below, second)
	if got, known := h.Container(below); got != c || !known {
		t.Error("forgotten at once")
	}
	h.CgroupGone(other, 100*second)
	if got := h.ByID(id1); got != nil || h.ByID(id2) == nil {
		t.Errorf("after the grace: %+v", got)
	}
	if got, _ := p.Container(); got != c {
		t.Error("a process lost its container")
	}
	if n := len(h.Containers()); n != 1 {
		t.Errorf("%d containers", n)
	}
}

// TestInside shows what someone inside a container gains by making cgroups
// that are named after another: nothing.
func TestInside(t *testing.T) {
	h := newHost(t, Options{Cgroups: 3000})
	h.CgroupMade(1, "/docker/"+id1, nobody)
	h.CgroupMade(2, "/docker/"+id2, nobody)
	h.CgroupMade(3, "/docker/"+id2+"/docker/"+id1, nobody)
	victim, _ := h.Container(1)
	c, _ := h.Container(3)
	if c == victim || c.ID != id2+"/"+id1 || h.ByID(id1).CgroupPath != "/docker/"+id1 {
		t.Errorf("%+v", c)
	}
	if len(c.Gaps) != 1 || !strings.Contains(c.Gaps[0].Err, "vouches") {
		t.Errorf("%+v", c.Gaps)
	}
	// Nor can it fill the memory.
	for i := range uint64(2 * maxBelow) {
		h.CgroupMade(1000+i, fmt.Sprintf("/docker/%s/%d", id2, i), nobody)
	}
	if s := h.Stats(); s.Cgroups > maxBelow+10 || s.CgroupsRefused < maxBelow {
		t.Errorf("%+v", s)
	}
	for i := range uint64(4000) { // nor can a user of the host
		h.CgroupMade(100_000+i, fmt.Sprintf("/user.slice/user-7.slice/user@7.service/docker-%064x.scope", i), nobody)
		h.CgroupMade(200_000+i, fmt.Sprintf("/user.slice/user-7.slice/user@7.service/app.slice/%d", i), nobody)
	}
	h.CgroupMade(4, "/docker/"+strings.Repeat("7", 64), nobody)
	if c, _ := h.Container(4); c == nil {
		t.Errorf("no room for a container: %+v", h.Stats())
	}
	if c, known := h.Container(1000 + 2*maxBelow - 1); c != nil || known {
		t.Errorf("a cgroup that is not kept: %+v %v", c, known)
	}
}

// storage writes files as CRI-O keeps them.
func storage(t *testing.T, files map[string]any) string {
	t.Helper()
	root := t.TempDir()
	for name, v := range files {
		b, ok := v.(string)
		if !ok {
			j, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			b = string(j)
		}
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// CRI-O is in no distribution's archive that tests could use: the files are
// as containers/storage writes them for Podman (see TestPodman), the
// annotations as CRI-O documents them.
func TestCRIO(t *testing.T) {
	manifest := "sha256:" + strings.Repeat("ab", 32)
	type m = map[string]any
	root := storage(t, map[string]any{
		"overlay-containers/containers.json": []m{
			{"id": id2, "image": id2, "metadata": `{"image-name":"registry.k8s.io/pause:3.10","name":"k8s_POD_shop"}`},
			{"id": id1, "image": id1, "metadata": `{"image-name":"quay.io/team/app:1","name":"k8s_web_shop-1_prod"}`},
		},
		"overlay-images/images.json": []m{{"id": id2, "digest": "sha256:" + id2}, {"id": id1, "digest": manifest}},
		"overlay-containers/" + id1 + "/userdata/config.json": m{
			"annotations": m{
				"io.kubernetes.pod.name": "shop-1", "io.kubernetes.pod.namespace": "prod", "io.kubernetes.pod.uid": uid,
				"io.kubernetes.container.name": "web", "io.kubernetes.cri-o.ImageName": "quay.io/team/app:1",
				"io.kubernetes.cri-o.SandboxID": id2, "io.kubernetes.cri-o.ContainerType": "container",
				"io.kubernetes.cri-o.Labels": `{"own":"1"}`,
			},
			"process": m{"capabilities": m{"bounding": rootCapabilities()}},
		},
		"overlay-containers/" + id2 + "/userdata/config.json": m{
			"annotations": m{
				"io.kubernetes.cri-o.Labels": `{"app":"shop"}`, "io.kubernetes.cri-o.ContainerType": "sandbox",
				"io.kubernetes.pod.name": "shop-1", "io.kubernetes.pod.namespace": "prod", "io.kubernetes.pod.uid": uid,
			},
		},
	})
	facts := scans{esclusa.Digest(manifest): {Worst: esclusa.SeverityHigh}}
	h := started(t, Options{Storage: []string{t.TempDir(), root}, Images: facts})
	slice := "/kubepods.slice/kubepods-pod" + strings.ReplaceAll(uid, "-", "_") + ".slice/crio-"
	h.CgroupMade(1, slice+id1+".scope", nobody)
	h.CgroupMade(2, slice+id2+".scope", nobody)
	c := eventually(t, h, id1, answered)
	want := &esclusa.Container{
		ID: id1, Name: "web", Runtime: esclusa.RuntimeCRIO, CgroupPath: slice + id1 + ".scope", ImageRef: "quay.io/team/app:1",
		Image: esclusa.Digest(manifest), ImageID: "sha256:" + id1, Pod: esclusa.Pod{Namespace: "prod", Name: "shop-1", UID: uid},
		Labels: map[string]string{"own": "1", "app": "shop"}, Privileged: true, Worst: esclusa.SeverityHigh,
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	if c := eventually(t, h, id2, answered); c.Name != "" || c.Pod.Name != "shop-1" {
		t.Errorf("%+v", c)
	}
	// Scan learns something.
	facts[esclusa.Digest(manifest)] = ImageFact{Verdict: esclusa.Deny, Worst: esclusa.SeverityCritical, Exploited: 1}
	h.Judge(context.Background())
	if c := h.ByID(id1); c.Verdict != esclusa.Deny || c.Exploited != 1 || c.Pod.Name != "shop-1" {
		t.Errorf("%+v", c)
	}
}

// TestHostileStorage reads what no runtime wrote: each is a gap, none a wait.
func TestHostileStorage(t *testing.T) {
	list := func(s string) map[string]any { return map[string]any{"overlay-containers/containers.json": s} }
	for name, files := range map[string]map[string]any{
		"nothing":       {},
		"no list":       list(`{}`),
		"cut":           list(`[{"id":"` + id1 + `"`),
		"no metadata":   list(`[{"id":"` + id1 + `","image":"` + id2 + `"}]`),
		"a path as id":  list(`[{"id":"` + id1 + `","image":"../../etc","metadata":"{}"}]`),
		"an image gone": list(`[{"id":"` + id1 + `","image":"` + id2 + `","metadata":"{}"}]`),
		"another's":     list(`[{"id":"` + id2 + `","image":"` + id2 + `","metadata":"{}"}]`),
	} {
		t.Run(name, func(t *testing.T) {
			h := started(t, Options{Storage: []string{storage(t, files)}})
			h.CgroupMade(1, "/libpod_parent/libpod-"+id1, nobody)
			if c := eventually(t, h, id1, answered); c.ImageID != "" || len(c.Gaps) != 1 {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestLabelsBound(t *testing.T) {
	f := facts{labels: map[string]string{"big": strings.Repeat("x", maxLabelBytes+1)}}
	for i := range 2 * maxLabels {
		f.labels[fmt.Sprint(i)] = "v"
	}
	if c := f.over(esclusa.Container{}); len(c.Labels) > maxLabels || c.Labels["big"] != "" {
		t.Errorf("%d labels", len(c.Labels))
	}
}

func FuzzSpec(f *testing.F) {
	f.Add([]byte(`{"annotations":{"a":"b"},"process":{"capabilities":{"bounding":["CAP_SYS_ADMIN"]}},"linux":{"namespaces":[{"type":"user"}]}}`))
	f.Add([]byte(`[{"id":"a","metadata":"{}"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseSpec(b); err == nil && s.privileged() && len(s.Process.Capabilities.Bounding) < len(rootCapabilities()) {
			t.Errorf("%s is privileged", b)
		}
		jsonLabels(string(b))["written"] = "" // never nil
		_ = eachStored(context.Background(), json.NewDecoder(strings.NewReader(string(b))), func(stored) bool { return true })
	})
}
