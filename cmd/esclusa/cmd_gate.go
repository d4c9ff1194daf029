package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/gate"
	"github.com/esclusa/esclusa/internal/gate/attest"
	"github.com/esclusa/esclusa/internal/gate/policy"
	"github.com/esclusa/esclusa/internal/scan/report"
	"github.com/spf13/cobra"
)

func (a app) gateCommand() *cobra.Command {
	var codes strings.Builder
	for _, e := range gate.ExitTable {
		fmt.Fprintf(&codes, "\n  %d  %-9s  %s", e.Code, e.Name, e.Meaning)
	}
	c := &cobra.Command{
		Use:   "gate",
		Short: "Decide whether an image may go to production",
		Long:  "Gate judges what scan found by one policy.\n\nExit codes:" + codes.String(),
	}
	group(c, func(got string) string { return "esclusa gate ci " + got })
	c.AddCommand(a.gateCI(), a.gateExplain(), a.gateTest())
	return c
}

// gateOptions are the flags of the commands that judge.
type gateOptions struct {
	scanOptions
	policy     string
	exceptions []string
	since      string
}

func (o *gateOptions) register(c *cobra.Command) {
	o.scanOptions.register(c)
	c.Flags().StringVarP(&o.policy, "policy", "p", "", "policy `FILE` (default: the built-in policy)")
	c.Flags().StringArrayVar(&o.exceptions, "exceptions", nil, "`FILE` with exceptions, beside those of the policy; repeatable")
	c.Flags().StringVar(&o.since, "since", "", "`BASE` image or saved report: deny only what this build makes worse")
}

// load reads the policy and its exceptions.
func (o *gateOptions) load() (*policy.Policy, error) {
	p, err := readPolicy(o.policy)
	if err != nil {
		return nil, err
	}
	var files []*policy.Exceptions
	for _, name := range o.exceptions {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, usageError{err, ""}
		}
		ex, err := policy.ParseExceptions(name, data)
		if err != nil {
			return nil, usageError{err, ""}
		}
		files = append(files, ex)
	}
	q, err := p.With(files...)
	if err != nil {
		return nil, usageError{err, ""}
	}
	return q, nil
}

func readPolicy(name string) (*policy.Policy, error) {
	if name == "" {
		return gate.Default()
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, usageError{err, ""}
	}
	p, err := policy.Parse(name, data)
	if err != nil {
		return nil, usageError{err, ""}
	}
	return p, nil
}

// facts scans the target, and the base if there is one.
func (a app) facts(c *cobra.Command, o *gateOptions, target string) (*esclusa.Report, gate.Facts, error) {
	s, done, err := a.scanner(c.Context(), &o.scanOptions, target, o.since)
	if err != nil {
		return nil, gate.Facts{}, err
	}
	defer done()
	r, err := a.scanOrSaved(c, s, target, &o.scanOptions)
	if err != nil {
		return nil, gate.Facts{}, err
	}
	facts := gate.FactsOf(r)
	facts.Later = report.Later
	if o.since != "" {
		old, err := a.scanOrSaved(c, s, o.since, &o.scanOptions)
		if err != nil {
			return nil, gate.Facts{}, fmt.Errorf("--since: %w", err)
		}
		facts = facts.Since(gate.FactsOf(old))
	}
	return r, facts, nil
}

func (a app) gateCI() *cobra.Command {
	var o gateOptions
	var specs []string
	var all bool
	var statements string
	c := &cobra.Command{
		Use:   "ci TARGET",
		Short: "Scan a target and decide; the exit code tells the pipeline",
		Long: `Ci scans a target, judges it by the policy and ends with an exit code that a
pipeline understands. Each denial says the rule, the evidence, the fix, and how
to ask for an exception.`,
		Example: `  esclusa gate ci registry.example/app:1.5
  esclusa gate ci ./image.tar --policy policy.yaml --since registry.example/app:1.4
  esclusa gate ci . --output sarif=esclusa.sarif`,
		Args: args(1, "one target"),
		RunE: func(c *cobra.Command, args []string) error {
			start := time.Now()
			outs, err := outputs(orVerdict(specs))
			if err != nil {
				return err
			}
			if statements != "" {
				if err := place(statements); err != nil {
					return usageError{fmt.Errorf("--attest %s: %w", statements, err), ""}
				}
			}
			p, err := o.load()
			if err != nil {
				return err
			}
			r, facts, err := a.facts(c, &o, args[0])
			if err != nil {
				return err
			}
			v := gate.Decide(facts, p, time.Now())
			v.Took = time.Since(start)
			r.Verdict = &v
			if statements != "" {
				if err := writeStatements(statements, r, &v); err != nil {
					return err
				}
			}
			if err := a.write(outs, r, all); err != nil {
				return err
			}
			if err := a.verdict(specs, &v); err != nil {
				return err
			}
			if code := gate.ExitCode(v.Decision); code != gate.ExitAllow {
				return exitError(code)
			}
			return nil
		},
	}
	o.register(c)
	registerOutput(c, &specs, &all)
	c.Flags().StringVar(&statements, "attest", "", "write report and verdict as in-toto statements to `FILE`, a line each")
	return c
}

// orVerdict is what is written when nothing was asked for: the table of the
// scan above the verdict.
func orVerdict(specs []string) []string {
	if len(specs) == 0 {
		return []string{"table"}
	}
	return specs
}

// verdict prints the verdict where no machine reads: below the table, and on
// standard error when standard output is a document.
func (a app) verdict(specs []string, v *esclusa.Verdict) error {
	width, color := a.terminal()
	out := a.stdout
	for _, s := range specs {
		if s != "table" && !strings.Contains(s, "=") {
			out, color = a.stderr, false
		}
	}
	if out == a.stdout {
		below := *v
		below.Gaps = nil // the table above lists them
		v = &below
	}
	fmt.Fprintln(out)
	return gate.Render(out, v, color, width)
}

func writeStatements(name string, r *esclusa.Report, v *esclusa.Verdict) error {
	return writeFile(name, func(w io.Writer) error { return attest.Write(w, r, v) })
}

func (a app) gateExplain() *cobra.Command {
	var o gateOptions
	c := &cobra.Command{
		Use:   "explain TARGET",
		Short: "Say which rule looked at what, and why it did or did not fire",
		Args:  args(1, "one target or saved report"),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := o.load()
			if err != nil {
				return err
			}
			_, facts, err := a.facts(c, &o, args[0])
			if err != nil {
				return err
			}
			e := gate.Explain(facts, p, time.Now())
			width, _ := a.terminal()
			return e.Write(a.stdout, width)
		},
	}
	o.register(c)
	return c
}

func (a app) gateTest() *cobra.Command {
	var verbose bool
	var testFile string
	c := &cobra.Command{
		Use:   "test POLICY",
		Short: "Run a policy's own tests",
		Long: `Test runs the cases of POLICY_test.yaml beside POLICY.yaml: facts in short, and
the verdict that they must get. A rule without a case that fires it is named.`,
		Args: args(1, "one policy file"),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := readPolicy(args[0])
			if err != nil {
				return err
			}
			if testFile == "" {
				testFile = testsOf(args[0])
			}
			data, err := os.ReadFile(testFile)
			if err != nil {
				return usageError{err, "the tests of a policy stand beside it; --tests names another file"}
			}
			ts, err := policy.ParseTests(testFile, data)
			if err != nil {
				return usageError{err, ""}
			}
			ok, err := gate.WriteResults(a.stdout, p, gate.Test(p, ts), verbose)
			if err != nil {
				return err
			}
			if !ok {
				return exitError(gate.ExitDeny)
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "list the cases that passed as well")
	c.Flags().StringVar(&testFile, "tests", "", "`FILE` of the tests (default: POLICY_test.yaml)")
	return c
}

// testsOf is policy_test.yaml for policy.yaml.
func testsOf(policy string) string {
	for _, ext := range []string{".yaml", ".yml"} {
		if base, ok := strings.CutSuffix(policy, ext); ok {
			return base + "_test" + ext
		}
	}
	return policy + "_test.yaml"
}
