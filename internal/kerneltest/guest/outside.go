package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
)

// boot starts the machine and reads what became of its jobs.
func (g *guest) boot(ctx context.Context, k *kernel, jobs []job) (ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	console := filepath.Join(g.dir, "console")
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "2048", "-smp", "2",
		"-display", "none", "-monitor", "none", "-nic", "none", "-no-reboot",
		"-serial", "file:"+console, "-serial", "stdio",
		"-drive", "file="+filepath.Join(g.dir, "disk")+",format=raw,if=virtio,cache=unsafe",
		"-kernel", k.image, "-initrd", filepath.Join(g.dir, "initramfs"),
		// The list of security modules is that of a host that has BPF among them.
		"-append", "console=ttyS0 quiet panic=-1 lsm=lockdown,capability,yama,bpf")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("%w\nhint: apt-get install qemu-system-x86", err)
	}
	r := newResults(jobs, g.verbose)
	sc := bufio.NewScanner(out)
	sc.Buffer(nil, 8<<20)
	for sc.Scan() {
		var m message
		if json.Unmarshal(sc.Bytes(), &m) == nil { // the firmware may say something too
			r.take(m)
		}
	}
	err = errors.Join(sc.Err(), cmd.Wait())
	if !r.done {
		text, _ := os.ReadFile(console)
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		return false, fmt.Errorf("%w; it said last:\n%s", errors.Join(errEarly, err, ctx.Err()), strings.Join(lines[max(0, len(lines)-30):], "\n"))
	}
	if err != nil {
		return false, err
	}
	return r.table()
}

var errEarly = errors.New("the machine ended before its jobs did")

// row is a test, or a command that is none.
type row struct {
	name, result string
	seconds      string
	why          []string
}

type results struct {
	jobs    []job
	verbose bool
	rows    []row
	said    map[string][]string // by test
	now     string              // the test that speaks
	job     int
	done    bool
}

func newResults(jobs []job, verbose bool) *results {
	return &results{jobs: jobs, verbose: verbose, said: map[string][]string{}, job: -1}
}

var (
	runs = regexp.MustCompile(`^=== (?:RUN|CONT|NAME) +(\S+)`)
	ends = regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP): (\S+) \(([\d.]+)s\)`)
)

func (r *results) take(m message) {
	if m.Done {
		r.done = true
		return
	}
	if m.Job < 0 || m.Job >= len(r.jobs) {
		return
	}
	j := &r.jobs[m.Job]
	if m.Job != r.job {
		r.job, r.now = m.Job, ""
		clear(r.said)
		fmt.Fprintln(os.Stderr, "guest:", j.Name)
	}
	if m.Exit != nil {
		r.ended(j, m)
		return
	}
	if r.verbose || !j.Tests {
		fmt.Println(m.Line)
	}
	if x := runs.FindStringSubmatch(m.Line); x != nil {
		r.now = x[1]
	} else if x := ends.FindStringSubmatch(m.Line); x != nil {
		r.rows = append(r.rows, row{j.Name + " " + x[2], strings.ToLower(x[1]), x[3], r.said[x[2]]})
	} else {
		r.said[r.now] = append(r.said[r.now], m.Line)
	}
}

func (r *results) ended(j *job, m message) {
	result, why := "pass", []string(nil)
	if *m.Exit != 0 {
		result, why = "fail", append([]string{fmt.Sprintf("exit code %d", *m.Exit)}, r.said[r.now]...)
	}
	if !j.Tests && *m.Exit == 0 {
		for _, line := range r.said[""] {
			if strings.HasPrefix(line, "not tried: ") {
				result, why = "skip", append(why, line)
			}
		}
	}
	r.rows = append(r.rows, row{j.Name, result, fmt.Sprintf("%.2f", m.Seconds), why})
}

// table prints the results; it is false when one is not a pass.
func (r *results) table() (ok bool, err error) {
	ok = true
	counts := map[string]int{}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nRESULT\tSECONDS\tIN THE GUEST")
	for _, x := range r.rows {
		counts[x.result]++
		fmt.Fprintf(t, "%s\t%s\t%s\n", x.result, x.seconds, x.name)
		if x.result == "pass" {
			continue
		}
		ok = false
		for _, line := range x.why[max(0, len(x.why)-40):] {
			fmt.Fprintf(t, "    %s\n", strings.TrimSpace(line))
		}
	}
	fmt.Fprintf(t, "\n%d passed, %d failed, %d skipped (a skip here is a failure)\n", counts["pass"], counts["fail"], counts["skip"])
	return ok && counts["pass"] > 0, t.Flush()
}
