package rails_test

import (
	"strings"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/respond/rails"
)

func TestDecide(t *testing.T) {
	now := time.Date(2026, 11, 27, 5, 0, 0, 0, time.UTC)
	r := &rails.Rails{
		Protect:  rails.Protect{Processes: []string{"postgres"}, Namespaces: []string{"kube-system"}, Labels: map[string]string{"keep": "yes"}},
		Workload: 2, Node: 3, Approve: []esclusa.ActionName{esclusa.ActionStop},
	}
	hit := func(pid int32, exe string) rails.Hit {
		return rails.Hit{ProcessKey: esclusa.ProcessKey{PID: pid}, Exe: exe, Host: true, Owned: true}
	}
	inside := hit(70, "/usr/sbin/sshd")
	inside.Host = false
	own := hit(70, "/home/a/sshd")
	own.Owned = false
	thread := hit(70, "")
	thread.Kernel = true
	pod := &esclusa.Container{ID: "c", Pod: esclusa.Pod{Namespace: "shop", Name: "web"}}
	past := func(workloads ...string) *rails.History {
		var h rails.History
		for i, w := range workloads {
			h.Add(w, now.Add(-time.Duration(i+1)*time.Second))
		}
		return &h
	}
	for _, tt := range []struct {
		name  string
		act   esclusa.ActionName
		stage esclusa.Stage
		facts rails.Facts
		done  *rails.History
		want  rails.Verdict
		why   string
	}{
		{"a process of nobody", "freeze", esclusa.StageContain, rails.Facts{Hits: []rails.Hit{hit(70, "/usr/bin/nc")}, Self: 9}, past(), rails.Allow, ""},
		{"init", "freeze", esclusa.StageContain, rails.Facts{Hits: []rails.Hit{hit(70, "/usr/bin/nc"), hit(1, "/sbin/any")}}, past(), rails.Refuse, "first process"},
		{"the sensor", "kill", esclusa.StageKill, rails.Facts{Hits: []rails.Hit{hit(9, "/opt/any")}, Self: 9}, past(), rails.Refuse, "the sensor"},
		{"a thread of the kernel", "kill", esclusa.StageKill, rails.Facts{Hits: []rails.Hit{thread}}, past(), rails.Refuse, "thread of the kernel"},
		{"sshd", "kill", esclusa.StageKill, rails.Facts{Hits: []rails.Hit{hit(70, "/usr/sbin/sshd")}}, past(), rails.Refuse, "protected"},
		{"sshd, updated", "kill", esclusa.StageKill, rails.Facts{Hits: []rails.Hit{hit(70, "/usr/sbin/sshd (deleted)")}}, past(), rails.Refuse, "protected"},
		{"by the policy's name", "kill", esclusa.StageKill, rails.Facts{Hits: []rails.Hit{hit(70, "/usr/lib/postgresql/15/bin/postgres")}}, past(), rails.Refuse, "protected"},
		{"evidence of sshd", "evidence", esclusa.StageObserve, rails.Facts{Hits: []rails.Hit{hit(70, "/usr/sbin/sshd")}}, past(), rails.Allow, ""},
		{"who calls himself sshd in a container", "kill", esclusa.StageKill, rails.Facts{Hits: []rails.Hit{inside}}, past(), rails.Allow, ""},
		{"who calls himself sshd in his home", "kill", esclusa.StageKill, rails.Facts{Hits: []rails.Hit{own}}, past(), rails.Allow, ""},
		{"a protected namespace", "freeze", esclusa.StageContain, rails.Facts{Container: &esclusa.Container{Pod: esclusa.Pod{Namespace: "kube-system"}}}, past(), rails.Refuse, "kube-system"},
		{"another namespace", "freeze", esclusa.StageContain, rails.Facts{Container: pod}, past(), rails.Allow, ""},
		{"a protected label", "freeze", esclusa.StageContain, rails.Facts{Container: &esclusa.Container{Labels: map[string]string{"keep": "yes"}}}, past(), rails.Refuse, "keep=yes"},
		{"the label with another value", "freeze", esclusa.StageContain, rails.Facts{Container: &esclusa.Container{Labels: map[string]string{"keep": "no"}}}, past(), rails.Allow, ""},
		{"two for one workload", "freeze", esclusa.StageContain, rails.Facts{Container: pod}, past("pod shop/web", "pod shop/web"), rails.Refuse, "this workload"},
		{"two for others", "freeze", esclusa.StageContain, rails.Facts{Container: pod}, past("a", "b"), rails.Allow, ""},
		{"three on the node", "freeze", esclusa.StageContain, rails.Facts{Container: pod}, past("a", "b", "c"), rails.Refuse, "this node"},
		{"evidence is not counted", "evidence", esclusa.StageObserve, rails.Facts{Container: pod}, past("a", "b", "c"), rails.Allow, ""},
		{"a person is asked", "stop", esclusa.StageKill, rails.Facts{Container: pod}, past(), rails.Ask, "person"},
	} {
		a := esclusa.Action{Name: tt.act}
		d := r.Decide(&a, tt.stage, esclusa.StageKill, &tt.facts, tt.done, now)
		if d.Verdict != tt.want || !strings.Contains(d.Why, tt.why) || d.Verdict != rails.Allow && d.Why == "" {
			t.Errorf("%s: %+v", tt.name, d)
		}
	}
	if d := r.Decide(&esclusa.Action{Name: "kill"}, esclusa.StageKill, esclusa.StageContain, &rails.Facts{}, past(), now); d.Verdict != rails.Refuse || !strings.Contains(d.Why, "stops at contain") {
		t.Errorf("above what the policy allows: %+v", d)
	}
	for path, want := range map[string]rails.Verdict{"/usr/bin/containerd": rails.Refuse, "/tmp/x": rails.Allow} {
		a := esclusa.Action{Name: "quarantine-file", Target: esclusa.Target{Path: path}}
		if d := r.Decide(&a, esclusa.StageContain, esclusa.StageKill, &rails.Facts{}, past(), now); d.Verdict != want {
			t.Errorf("%s: %+v", path, d)
		}
	}
	full := past("a", "b", "c")
	if d := r.Decide(&esclusa.Action{Name: "freeze"}, esclusa.StageContain, esclusa.StageKill, &rails.Facts{}, full, now.Add(time.Minute)); d.Verdict != rails.Allow {
		t.Errorf("a minute later: %+v", d)
	}
}
