package rules

import (
	"fmt"
	"testing"

	"github.com/esclusa/esclusa"
)

// many are n rules as people write them: most name programs, others paths,
// arguments, ports or files. Literals differ, shapes repeat.
func many(n int) []File {
	var out []File
	for i := range n {
		var f File
		name := fmt.Sprintf("rule-%d", i)
		switch i % 6 {
		case 0:
			f = ruleFile(name, "exec", fmt.Sprintf(`process.name in ["tool%d", "evil%d"] && container.present`, i, i))
		case 1:
			f = ruleFile(name, "exec", fmt.Sprintf(`process.exe.startsWith("/opt/bad%d/") && !process.exeDeleted`, i))
		case 2:
			f = ruleFile(name, "exec", fmt.Sprintf(`"--flag%d" in process.args || process.args.exists(a, a.startsWith("x%d="))`, i, i))
		case 3:
			f = ruleFile(name, "connect", fmt.Sprintf(`connect.port == %d && connect.scope == "public"`, 20000+i))
		case 4:
			f = ruleFile(name, "file", fmt.Sprintf(`file.path.startsWith("/srv/app%d/") && file.op in ["write", "create"]`, i))
		case 5:
			f = ruleFile(name, "exec", fmt.Sprintf(`process.parent.name == "daemon%d" && process.name in ["sh", "bash"]`, i))
		}
		out = append(out, f)
	}
	return out
}

// quiet are events that no rule cares about.
func quiet() []*esclusa.Event {
	var out []*esclusa.Event
	for i := range 64 {
		e := execEvent(fmt.Sprintf("prog%d", i), "-v", "--config", fmt.Sprintf("/etc/app%d.conf", i))
		e.Ancestors = []esclusa.Ancestor{{Name: "entrypoint.sh", Container: "c0ffee"}, {Name: "containerd-shim"}}
		switch i % 4 {
		case 1:
			e.Kind = esclusa.EventConnect
			e.Fields = esclusa.Fields{
				esclusa.Text("address", "10.1.2.3"), esclusa.Number("port", int64(5000+i)), esclusa.Text("family", "ip4"), esclusa.Text("protocol", "tcp"),
			}
		case 2:
			e.Kind = esclusa.EventFile
			e.Fields = esclusa.Fields{esclusa.Text("path", fmt.Sprintf("/var/lib/data%d", i)), esclusa.Text("op", "write"), esclusa.Number("mode", 0o644)}
		}
		out = append(out, e)
	}
	return out
}

func benchmark(b *testing.B, s *Set, events []*esclusa.Event) {
	b.ReportAllocs()
	hits := 0
	for i := 0; b.Loop(); i++ {
		s.Match(events[i%len(events)], func(*Rule) { hits++ })
	}
	if hits > 0 {
		b.Fatal("a quiet event matched")
	}
}

// One operation is one event that no rule cares about. The three must cost
// the same.
func BenchmarkQuiet(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmark(b, load(b, many(n)...), quiet()) })
	}
	b.Run("builtin", func(b *testing.B) { benchmark(b, builtinSet(b), quiet()) })
}

// One operation is one event of an attack, through the rules of the house.
func BenchmarkAttacks(b *testing.B) {
	s := builtinSet(b)
	var all []esclusa.Event
	for _, r := range s.Rules() {
		for i := range r.Attacks {
			events, _, err := r.Attacks[i].All(r.kinds())
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, events...)
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Match(&all[i%len(all)], func(*Rule) {})
	}
}

// One operation is a set of the rules of the house, from its files.
func BenchmarkLoad(b *testing.B) {
	files := builtin(b)
	for b.Loop() {
		if _, err := Load(NewLanguage(), files, nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// An event that no rule cares about allocates nothing, and is looked at by no
// condition.
func TestQuietCostsNothing(t *testing.T) {
	s, house := load(t, many(1000)...), builtinSet(t)
	for _, e := range quiet() {
		if n := testing.AllocsPerRun(10, func() { house.Match(e, func(*Rule) {}) }); n > 0 {
			t.Errorf("%s through the rules of the house: %v allocations", e.Kind, n)
		}
		if ids := s.index.Find(e, nil); len(ids) > 0 {
			t.Errorf("%s %s: %d conditions are worth a look", e.Kind, e.Process.Name, len(ids))
		}
		if n := testing.AllocsPerRun(10, func() { s.Match(e, func(*Rule) {}) }); n > 0 {
			t.Errorf("%s: %v allocations", e.Kind, n)
		}
	}
}

// One operation is a health check: a shell with a command, the event that most
// rules of the house look at twice.
func BenchmarkHealthCheck(b *testing.B) {
	e := execEvent("sh", "-c", "curl -fsS http://127.0.0.1:8080/health || exit 1")
	e.Ancestors = []esclusa.Ancestor{{Name: "containerd-shim"}}
	benchmark(b, builtinSet(b), []*esclusa.Event{e})
}
