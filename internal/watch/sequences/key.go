package sequences

import (
	"strings"

	"github.com/esclusa/esclusa"
)

// keysOf are the keys of an event: mostly one, none when the event has nothing
// of that sort.
func keysOf(by Key, e *esclusa.Event) []key {
	k := key{}
	if e.Container != nil {
		k.container = e.Container.ID
	}
	switch by {
	case Tree:
		k.process = root(e)
	case Process:
		k.process = e.Process.ProcessKey
	case FileKey:
		return fileKeys(k, e)
	case Pod:
		if e.Container != nil && e.Container.Pod.Name != "" {
			p := e.Container.Pod
			return []key{{text: p.Namespace + "/" + p.Name + "/" + p.UID}}
		}
		fallthrough
	case Container:
		if e.Container == nil {
			return nil
		}
	}
	return []key{k}
}

// fileKeys are the paths that an event is about.
func fileKeys(k key, e *esclusa.Event) []key {
	var out []key
	add := func(path string) {
		if path != "" {
			k.text = path
			out = append(out, k)
		}
	}
	own := func(name string) string {
		if f, ok := e.Fields.Get(name); ok {
			return f.Text
		}
		return ""
	}
	switch e.Kind {
	case esclusa.EventFile:
		add(own("path"))
	case esclusa.EventExec:
		add(e.Process.Exe)
		if script := own("script"); script != e.Process.Exe {
			add(script)
		}
	}
	return out
}

// root is the topmost process of an event's container; on the host, the
// topmost below what starts sessions and services.
func root(e *esclusa.Event) esclusa.ProcessKey {
	top := e.Process.ProcessKey
	for _, a := range e.Ancestors {
		if e.Container != nil && a.Container != e.Container.ID || e.Container == nil && starter(&a) {
			break
		}
		top = a.ProcessKey
	}
	return top
}

// starter says whether a process of the host starts what has nothing to do
// with each other.
func starter(a *esclusa.Ancestor) bool {
	switch a.Name {
	case "systemd", "init", "sshd", "sshd-session", "cron", "crond", "login", "dockerd", "containerd", "crio", "kubelet", "conmon":
		return true
	}
	return a.PID == 1 || strings.HasPrefix(a.Name, "containerd-shim")
}
