package fields

import (
	"strings"
	"time"

	"github.com/esclusa/esclusa"
)

// Inode numbers of the first namespaces: the same since Linux 3.8.
const (
	firstUser = 0xEFFFFFFD
	firstPID  = 0xEFFFFFFC
)

func eventFields() []*Field {
	return []*Field{
		{
			Path: "event.kind", Type: Text, Coarse: true, Doc: "The kind of event.",
			text: func(e *esclusa.Event) string { return string(e.Kind) },
		},
		{
			Path: "event.host", Type: Text, Coarse: true, Doc: "The node.",
			text: func(e *esclusa.Event) string { return e.Host },
		},
	}
}

func processFields() []*Field {
	out := []*Field{
		{
			Path: "process.pid", Type: Number, Doc: "The process's id on the host.",
			number: func(e *esclusa.Event) int64 { return int64(e.Process.PID) },
		},
		{
			Path: "process.name", Type: Text, Doc: "The kernel's short name: at most 15 bytes, after an exec the last part of the path that was asked for.",
			text: func(e *esclusa.Event) string { return e.Process.Name },
		},
		{
			Path: "process.exe", Type: Text, Doc: "The path of the executable in the process's root, links resolved.",
			text: func(e *esclusa.Event) string { return e.Process.Exe },
		},
		{
			Path: "process.exeSource", Type: Text, Doc: "Where the executable's content lives; empty when the kernel could not be asked.",
			Values: []string{
				"", string(esclusa.SourceHost), string(esclusa.SourceImage), string(esclusa.SourceUpper),
				string(esclusa.SourceTmpfs), string(esclusa.SourceMemory),
			},
			text: func(e *esclusa.Event) string { return string(e.Process.ExeSource) },
		},
		{
			Path: "process.exeDeleted", Type: Bool, Doc: "No name leads to the executable any more.",
			flag: func(e *esclusa.Event) bool { return e.Process.ExeDeleted },
		},
		{
			Path: "process.args", Type: List, Doc: "The arguments, the program's name first; at most 64 KiB together.",
			list: func(e *esclusa.Event) []string { return e.Process.Args },
		},
		{
			Path: "process.command", Type: Text, Doc: "The arguments with blanks between; of more than 4 KiB the first three and the last one.",
			text: func(e *esclusa.Event) string { return command(e.Process.Args) },
		},
		{
			Path: "process.age", Type: Duration, Doc: "How long the process has lived.",
			span: func(e *esclusa.Event) time.Duration { return since(e.At, e.Process.Started) },
		},
		{
			Path: "process.entered", Type: Bool, Doc: "Its parent is not in its container: the container's first process, or one that the runtime put in (exec, probe).",
			flag: entered,
		},
	}
	return append(append(out, credentialFields()...), parentFields()...)
}

func credentialFields() []*Field {
	return []*Field{
		{
			Path: "process.uid", Type: Number, Doc: "The real user id, of the host's user namespace.",
			number: func(e *esclusa.Event) int64 { return int64(e.Process.Creds.UID) },
		},
		{
			Path: "process.euid", Type: Number, Doc: "The effective user id.",
			number: func(e *esclusa.Event) int64 { return int64(e.Process.Creds.EUID) },
		},
		{
			Path: "process.gid", Type: Number, Doc: "The real group id.",
			number: func(e *esclusa.Event) int64 { return int64(e.Process.Creds.GID) },
		},
		{
			Path: "process.capabilities", Type: List, Doc: "The effective capabilities: lower case, without CAP_.",
			list: func(e *esclusa.Event) []string { return e.Process.Creds.Capabilities() },
		},
		{
			Path: "process.hostUser", Type: Bool, Doc: "It is in the host's first user namespace: root is root.",
			flag: func(e *esclusa.Event) bool { return e.Process.NS.User == firstUser },
		},
		{
			Path: "process.hostPid", Type: Bool, Doc: "It is in the host's first pid namespace: it sees every process.",
			flag: func(e *esclusa.Event) bool { return e.Process.NS.PID == firstPID },
		},
	}
}

func parentFields() []*Field {
	return []*Field{
		{
			Path: "process.parent.pid", Type: Number, Doc: "The parent's id on the host.",
			number: func(e *esclusa.Event) int64 { return int64(parent(e).PID) },
		},
		{
			Path: "process.parent.name", Type: Text, Doc: "The parent's short name.",
			text: func(e *esclusa.Event) string { return parent(e).Name },
		},
		{
			Path: "process.parent.exe", Type: Text, Doc: "The parent's executable.",
			text: func(e *esclusa.Event) string { return parent(e).Exe },
		},
		{
			Path: "process.parent.container", Type: Text, Doc: "The id of the parent's container; empty on the host.",
			text: func(e *esclusa.Event) string { return parent(e).Container },
		},
		{
			Path: "process.ancestors", Type: Ancestors,
			Doc: "The processes above it, nearest first, at most 32; each with pid, name, exe and container: process.ancestors.exists(a, a.name == \"dpkg\").",
		},
	}
}

func containerFields() []*Field {
	c := func(path, doc string, get func(*esclusa.Container) string) *Field {
		return &Field{Path: "container." + path, Type: Text, Doc: doc, Coarse: true, text: func(e *esclusa.Event) string {
			if e.Container == nil {
				return ""
			}
			return get(e.Container)
		}}
	}
	out := []*Field{
		{
			Path: "container.present", Type: Bool, Coarse: true, Doc: "The process runs in a container.",
			flag: func(e *esclusa.Event) bool { return e.Container != nil },
		},
		c("id", "The container's id.", func(c *esclusa.Container) string { return c.ID }),
		c("name", "Its name.", func(c *esclusa.Container) string { return c.Name }),
		c("runtime", "Who made it: containerd, cri-o, docker, podman, runc or esclusa.", func(c *esclusa.Container) string { return string(c.Runtime) }),
		c("imageRef", "The image as it was asked for.", func(c *esclusa.Container) string { return c.ImageRef }),
		c("image", "The digest of the image's manifest.", func(c *esclusa.Container) string { return string(c.Image) }),
		c("pod.name", "The Kubernetes pod.", func(c *esclusa.Container) string { return c.Pod.Name }),
		c("pod.namespace", "The pod's namespace.", func(c *esclusa.Container) string { return c.Pod.Namespace }),
		c("verdict", "The gate's word on the image: allow, warn, deny, or undecided where it is not known.",
			func(c *esclusa.Container) string { return c.Verdict.String() }),
	}
	return append(out, containerFacts()...)
}

func containerFacts() []*Field {
	return []*Field{
		{
			Path: "container.privileged", Type: Bool, Doc: "It was started with all capabilities.",
			flag: func(e *esclusa.Event) bool { return e.Container != nil && e.Container.Privileged },
		},
		{
			Path: "container.worst", Type: Number, Doc: "The highest severity among the image's findings, as an ordered word: container.worst >= high.",
			number: func(e *esclusa.Event) int64 {
				if e.Container == nil {
					return 0
				}
				return int64(e.Container.Worst)
			},
		},
		{
			Path: "container.exploited", Type: Number, Doc: "How many of the image's findings are known to be exploited.",
			number: func(e *esclusa.Event) int64 {
				if e.Container == nil {
					return 0
				}
				return int64(e.Container.Exploited)
			},
		},
		{
			Path: "container.age", Type: Duration, Doc: "How long ago it was started; 0 where that is not known.",
			span: func(e *esclusa.Event) time.Duration {
				if e.Container == nil {
					return 0
				}
				return since(e.At, e.Container.Started)
			},
		},
		{
			Path: "container.labels", Type: Labels, Doc: "Its labels: \"team\" in container.labels && container.labels.team == \"ci\".",
			labels: func(e *esclusa.Event) map[string]string {
				if e.Container == nil {
					return nil
				}
				return e.Container.Labels
			},
		},
	}
}

func parent(e *esclusa.Event) esclusa.Ancestor {
	if len(e.Ancestors) == 0 {
		return esclusa.Ancestor{ProcessKey: e.Process.Parent}
	}
	return e.Ancestors[0]
}

func entered(e *esclusa.Event) bool {
	return e.Container != nil && len(e.Ancestors) > 0 && e.Ancestors[0].Container != e.Container.ID
}

func since(now, then time.Time) time.Duration {
	if then.IsZero() {
		return 0
	}
	return max(0, now.Sub(then))
}

// The parts of a long command that are kept. An expression runs over all of
// it, so its length is bounded; both ends, because padding is cheap.
const (
	commandHead = 3 << 10
	commandTail = 1 << 10
)

func command(args []string) string {
	s := strings.Join(args, " ")
	if len(s) > commandHead+commandTail {
		s = s[:commandHead] + " … " + s[len(s)-commandTail:]
	}
	return strings.ToValidUTF8(s, "�")
}
