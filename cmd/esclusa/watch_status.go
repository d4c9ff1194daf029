package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/service"
	"github.com/esclusa/esclusa/internal/shield"
	"github.com/esclusa/esclusa/internal/shield/guards"
	"github.com/esclusa/esclusa/internal/watch"
	"github.com/spf13/cobra"
)

// nodeStatus is how a running sensor is.
type nodeStatus struct {
	Start  esclusa.NodeStart `json:"start"`
	Sensor watch.Status      `json:"sensor"`
	// Patches are how many virtual patches are in each mode; NotGuarded what
	// this host may have and this kernel cannot guard.
	Patches    map[guards.Mode]int `json:"patches"`
	NotGuarded []esclusa.Gap       `json:"notGuarded,omitempty"`
}

func socketOf(state string) string { return filepath.Join(state, "sensor.sock") }

// answering is the part of a sensor that answers others.
type answering struct {
	start  esclusa.NodeStart
	sensor *watch.Sensor
	keeper *shield.Keeper
	unix   net.Listener
	tcp    net.Listener // nil without --metrics
}

// answer opens what a sensor answers at. That it can is known before a program
// is in the kernel.
func answer(state, address string) (*answering, error) {
	var a answering
	var err error
	if a.unix, err = service.Unix(socketOf(state)); err != nil {
		return nil, err
	}
	if address == "" {
		return &a, nil
	}
	if a.tcp, err = net.Listen("tcp", address); err != nil {
		a.unix.Close()
		return nil, usagef("--metrics takes an address and a port, as in 127.0.0.1:9464", "%v", err)
	}
	return &a, nil
}

func (a *answering) close() {
	a.unix.Close()
	if a.tcp != nil {
		a.tcp.Close()
	}
}

// run answers until ctx ends.
func (a *answering) run(ctx context.Context) error {
	numbers := http.NewServeMux()
	numbers.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) { a.metrics(w) })
	if a.tcp == nil {
		return service.Serve(ctx, a.unix, a.own(numbers))
	}
	return runAll(ctx,
		func(ctx context.Context) error { return service.Serve(ctx, a.unix, a.own(numbers)) },
		func(ctx context.Context) error { return service.Serve(ctx, a.tcp, numbers) })
}

// own is what the socket of the sensor's folder answers.
func (a *answering) own(numbers http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", numbers)
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(a.status()) // who asked is gone
	})
	return mux
}

func (a *answering) status() nodeStatus {
	return nodeStatus{Start: a.start, Sensor: a.sensor.Status(), Patches: a.keeper.Counts(), NotGuarded: a.keeper.Gaps()}
}

// metrics writes the numbers in Prometheus' text format.
func (a *answering) metrics(w io.Writer) {
	st := a.status()
	set := metrics.NewSet()
	count := func(name string, n uint64) { set.NewCounter(name).Set(n) }
	count("esclusa_watch_records_total", st.Sensor.Records)
	count("esclusa_watch_events_total", st.Sensor.Events)
	count("esclusa_watch_detections_total", st.Sensor.Detections)
	count("esclusa_watch_unread_total", st.Sensor.Unread)
	for _, l := range st.Sensor.Lost {
		count(fmt.Sprintf("esclusa_watch_lost_total{kind=%q,reason=%q}", l.Kind, l.Reason), l.Count)
	}
	gauge := func(name string, n int) { set.NewGauge(name, nil).Set(float64(n)) }
	gauge("esclusa_watch_missing", len(st.Sensor.Missing))
	for _, m := range []guards.Mode{guards.Off, guards.Observe, guards.Enforce} {
		gauge(fmt.Sprintf("esclusa_shield_patches{mode=%q}", m), st.Patches[m])
	}
	gauge("esclusa_shield_not_guarded", len(st.NotGuarded))
	set.WritePrometheus(w)
	metrics.WriteProcessMetrics(w)
}

func (a app) watchStatusCommand() *cobra.Command {
	var state, output string
	c := &cobra.Command{
		Use:   "status",
		Short: "Say how the sensor of this host is",
		Long: `Status asks the running sensor what it has seen, what it could not see, and which
virtual patches are in force. Exit code 1 says that something was lost or cannot
be seen, 2 that no sensor answers.`,
		Args: args(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return usagef("table or json", "unknown format %q", output)
			}
			var st nodeStatus
			err := service.Get(c.Context(), socketOf(state), "/status", &st)
			switch {
			case errors.Is(err, service.ErrAbsent):
				return hinted{errors.New("no sensor answers"), "sudo esclusa watch starts one; --state names its folder"}
			case err != nil:
				return asRoot(err)
			case output == "json":
				err = a.writeJSON(st)
			default:
				_, err = io.WriteString(a.stdout, st.text(time.Now()))
			}
			if err == nil && st.blind() {
				return exitError(1)
			}
			return err
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "table", "`FORMAT`: table or json")
	c.Flags().StringVar(&state, "state", stateDir, "the sensor's `FOLDER`")
	return c
}

// blind says that there is something that the sensor does not know.
func (st *nodeStatus) blind() bool {
	return len(st.Sensor.Lost)+len(st.Sensor.Missing)+len(st.NotGuarded) > 0 || st.Sensor.Unread > 0
}

func (st *nodeStatus) text(now time.Time) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-11s  %s\n", name, fmt.Sprintf(format, args...))
	}
	s := &st.Sensor
	line("host", "%s, Linux %s", st.Start.Host, st.Start.Kernel)
	line("sensor", "%s, watching for %s", st.Start.Tool, now.Sub(s.Since).Round(time.Second))
	line("events", "%d, and %d detections", s.Events, s.Detections)
	lost := "nothing"
	for i, l := range s.Lost {
		if i == 0 {
			lost = ""
		} else {
			lost += ", "
		}
		lost += fmt.Sprintf("%d of %s (%s)", l.Count, l.Kind, l.Reason)
	}
	line("lost", "%s", lost)
	if s.Unread > 0 {
		line("not read", "%d records", s.Unread)
	}
	for _, g := range s.Missing {
		line("not seen", "%s", g.What)
	}
	line("patches", "%d in force, %d looking on, %d off", st.Patches[guards.Enforce], st.Patches[guards.Observe], st.Patches[guards.Off])
	for _, g := range st.NotGuarded {
		line("not guarded", "%s", g.What)
	}
	return b.String()
}
