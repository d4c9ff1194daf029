package prove_test

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/kerneltest"
	"github.com/esclusa/esclusa/internal/shield"
	"github.com/esclusa/esclusa/internal/shield/guards"
)

var lawful = flag.Bool("lawful", false, "run the whole lawful workload, which takes minutes (make lawful)")

// work is a piece of the lawful workload. Its script says at its end how many
// operations went well ("ops 200") and fails when one did not.
type work struct {
	name   string
	in     []string // what it runs in
	needs  []string // programs
	long   bool     // not by default
	script string
}

func works() []work {
	container := []string{"unshare", "--mount", "--pid", "--fork", "--mount-proc", "--ipc", "--uts"}
	rootless := append([]string{"unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc"}, "--net")
	pod := []string{"unshare", "--net", "--ipc", "--uts"}
	return []work{
		{"sysctl --system", nil, []string{"sysctl"}, false, `sysctl --system >/dev/null; echo ops 1`},
		{"a CNI plug-in's tables", pod, []string{"iptables-legacy", "iptables-nft"}, false, `
			for i in $(seq 20); do iptables-legacy -A INPUT -p tcp --dport $i -j ACCEPT; iptables-nft -A INPUT -p tcp --dport $i -j ACCEPT; done
			echo ops 40`},
		{"nested user namespaces", rootless, nil, false, `
			for i in $(seq 20); do unshare -Urm sh -c 'mount -t tmpfs t /tmp && echo x >/tmp/x && cat /tmp/x >/dev/null'; done
			echo ops 20`},
		{"a rootless overlay", rootless, nil, false, `
			mkdir l u w m; for i in $(seq 30); do echo $i >l/$i; done
			mount -t overlay -o userxattr,lowerdir=l,upperdir=u,workdir=w o m
			for i in $(seq 30); do chmod 755 m/$i; echo y >>m/$i; mv m/$i m/n$i; done
			umount m; echo ops 90`},
		{"an overlay of a container", container, nil, false, `
			mkdir l u w m; for i in $(seq 30); do echo $i >l/$i; done
			mount -t overlay -o lowerdir=l,upperdir=u,workdir=w o m
			for i in $(seq 30); do chmod 755 m/$i; cp m/$i m/runc; echo y >m/runc; m=$(cat m/runc); done
			umount m; echo ops 90`},
		{"a Go build", container, []string{"go"}, true, `
			export GOCACHE=$PWD/cache GO111MODULE=off GOFLAGS=
			printf 'package main\nimport ("encoding/json"; "os")\nfunc main() { _ = json.NewEncoder(os.Stdout).Encode(200) }\n' >main.go
			n=$(go build -v -o main main.go 2>&1 | wc -l); [ "$(./main)" = 200 ]; echo ops $n`},
		{"PostgreSQL", container, []string{"setpriv", "psql"}, true, `
			b=$(ls -d /usr/lib/postgresql/*/bin | tail -1); chown nobody .; as="setpriv --reuid=nobody --regid=nogroup --clear-groups"
			$as $b/initdb -D db -A trust >/dev/null
			$as $b/pg_ctl -D db -w -l log -o "-k $PWD -h ''" start >/dev/null
			$as $b/pgbench -h $PWD -i -q postgres 2>/dev/null
			n=$($as $b/pgbench -h $PWD -c 4 -j 2 -t 500 postgres | tee out | sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p')
			grep -q '^number of failed transactions: 0 ' out
			$as $b/pg_ctl -D db -w -m fast stop >/dev/null; echo ops $n`},
		{"nginx", container, []string{"nginx", "busybox"}, true, `
			ip link set lo up || true; echo hello >index.html; chmod 755 .
			printf 'user root; pid %s/pid; error_log %s/err; events {}\nhttp { access_log off; server { listen 127.0.0.1:18080; root %s; } }\n' $PWD $PWD $PWD >conf
			nginx -c $PWD/conf
			for i in $(seq 200); do [ "$(busybox wget -qO- http://127.0.0.1:18080/)" = hello ]; done
			kill $(cat pid); echo ops 200`},
		{"a Node service", container, []string{"node"}, true, `
			cat >s.js <<-'J'
			const http = require('http'), fs = require('fs');
			const s = http.createServer((q, r) => fs.readFile('s.js', () => r.end('ok'))).listen(0, '127.0.0.1', async () => {
			  let n = 0;
			  for (; n < 1000; n++) if (await (await fetch('http://127.0.0.1:' + s.address().port)).text() !== 'ok') process.exit(1);
			  console.log('ops', n); process.exit(0);
			});
			J
			node s.js`},
		{"a Python service", container, []string{"python3"}, true, `
			cat >s.py <<'P'
import http.server, threading, urllib.request
class H(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *a): pass
s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)
threading.Thread(target=s.serve_forever, daemon=True).start()
for i in range(500):
    assert b'import' in urllib.request.urlopen('http://127.0.0.1:%d/s.py' % s.server_port).read()
print('ops 500')
P
			python3 s.py`},
	}
}

var opsLine = regexp.MustCompile(`(?m)^ops (\d+)$`)

// run does the work and says how many operations went well.
func (w *work) run(t *testing.T) (ops int, out string, err error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // for work that is not root's
		t.Fatal(err)
	}
	args := append(append([]string{}, w.in...), "sh", "-ec", w.script)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "XTABLES_LOCKFILE="+dir+"/lock")
	b, err := cmd.CombinedOutput()
	if m := opsLine.FindSubmatch(b); m != nil {
		ops, _ = strconv.Atoi(string(m[1]))
	}
	return ops, string(b), err
}

// TestLawful: with all guards that this kernel has in force, not one operation
// of lawful work fails, and no guard takes one for abuse. Each work is done
// without the guards first: what fails then shows nothing.
func TestLawful(t *testing.T) {
	kerneltest.Needs(t)
	s, err := shield.New(possible(t), func(*shield.Patch) guards.Mode { return guards.Enforce })
	if err != nil {
		t.Fatal(err)
	}
	all := 0
	for _, w := range works() {
		if w.long && !*lawful {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			for _, n := range w.needs {
				if _, err := exec.LookPath(n); err != nil {
					t.Skip("needs ", n)
				}
			}
			before, out, err := w.run(t)
			if err != nil || before == 0 {
				t.Fatalf("without the guards: %v: %s", err, out)
			}
			hits, stop := watched(t, s)
			ops, out, err := w.run(t)
			stop()
			if err != nil || ops < before/2 || ops == 0 {
				t.Fatalf("with the guards: %d operations, %d without, %v: %s", ops, before, err, out)
			}
			// Other tests of the same run try abuse on this kernel meanwhile.
			if n := hits.Load(); n > 0 && (*lawful || os.Getenv("ESCLUSA_KERNEL") == "required") {
				t.Fatalf("%d operations were taken for abuse", n)
			}
			t.Logf("%d operations, 0 failed", ops)
			all += ops
		})
	}
	if !t.Failed() {
		t.Logf("%d operations with %d guards in force, 0 failed", all, len(s.Objects()))
	}
}

// watched puts guards in force until stop, and counts what they tell.
func watched(t *testing.T, s *shield.Shield) (hits *atomic.Int64, stop func()) {
	t.Helper()
	set, err := kernel.Load(shield.Alone(), s.Objects()...)
	if err != nil {
		t.Fatal(err)
	}
	hits = &atomic.Int64{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- set.Run(ctx, func(_ kernel.Head, rec []byte) {
			var e esclusa.Event
			if s.Decode(rec, &e) == nil {
				hits.Add(1)
				t.Logf("told: %v", e.Fields)
			}
		})
	}()
	return hits, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	}
}
