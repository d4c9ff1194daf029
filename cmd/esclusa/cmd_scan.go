package main

import (
	"fmt"
	"io"
	"os"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan"
	"github.com/esclusa/esclusa/internal/scan/report"
	"github.com/spf13/cobra"
)

func (a app) scanCommand() *cobra.Command {
	var o scanOptions
	var specs []string
	var all bool
	c := &cobra.Command{
		Use:   "scan TARGET",
		Short: "Say what is in a target and what is wrong with it",
		Long: `Scan reads a target once and reports, in the order in which to fix it, what is
wrong: vulnerable and malicious packages, secrets, malware, misconfiguration.
It judges nothing; gate does.

TARGET is an image (a name in a registry, in docker or in containerd; an OCI
layout; a docker archive), a root file system such as /, a folder of sources, a
lock file, or an SBOM (CycloneDX or SPDX JSON).`,
		Example: `  esclusa scan debian:12
  esclusa scan ./image.tar --output sarif=scan.sarif --output table
  esclusa scan /`,
		Args: args(1, "one target"),
		RunE: func(c *cobra.Command, args []string) error {
			outs, err := outputs(specs)
			if err != nil {
				return err
			}
			s, done, err := a.scanner(c.Context(), &o, args...)
			if err != nil {
				return err
			}
			defer done()
			r, err := a.scan(c.Context(), s, args[0], &o)
			if err != nil {
				return err
			}
			return a.write(outs, r, all)
		},
	}
	o.register(c)
	registerOutput(c, &specs, &all)
	c.AddCommand(a.scanDiffCommand(), a.scanReplayCommand())
	return c
}

func registerOutput(c *cobra.Command, specs *[]string, all *bool) {
	c.Flags().StringArrayVarP(specs, "output", "o", nil, "`FORMAT` or FORMAT=FILE; repeatable")
	c.Flags().BoolVar(all, "all", false, "list everything in the table, not just what matters first")
	_ = c.RegisterFlagCompletionFunc("output", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return formatNames(), cobra.ShellCompDirectiveNoFileComp
	})
}

func (a app) scanReplayCommand() *cobra.Command {
	var specs []string
	var all bool
	c := &cobra.Command{
		Use:     "replay FILE",
		Short:   "Turn a saved report (--output json) into any other",
		Example: `  esclusa scan debian:12 -o json=scan.json && esclusa scan replay scan.json -o cyclonedx`,
		Args:    args(1, "one file, or -"),
		RunE: func(_ *cobra.Command, args []string) error {
			outs, err := outputs(specs)
			if err != nil {
				return err
			}
			r, err := a.saved(args[0])
			if err != nil {
				return err
			}
			return a.write(outs, r, all)
		},
	}
	registerOutput(c, &specs, &all)
	return c
}

// saved reads a report that was written with --output json.
func (a app) saved(name string) (*esclusa.Report, error) {
	in := a.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, usageError{err, ""}
		}
		defer f.Close()
		in = f
	}
	r, err := report.Read(in)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", name, err), "a report is saved with --output json=FILE"}
	}
	return r, nil
}

func (a app) scanDiffCommand() *cobra.Command {
	var o scanOptions
	var asJSON bool
	c := &cobra.Command{
		Use:   "diff A B",
		Short: "Say what B brought in and got rid of, compared with A",
		Long: `Diff scans two targets and says what the second brought in and got rid of:
packages, and findings. Either may be a saved report (--output json).`,
		Example: `  esclusa scan diff registry.example/app:1.4 registry.example/app:1.5`,
		Args:    args(2, "two targets"),
		RunE: func(c *cobra.Command, args []string) error {
			s, done, err := a.scanner(c.Context(), &o, args...)
			if err != nil {
				return err
			}
			defer done()
			var rs [2]*esclusa.Report
			for i, t := range args {
				if rs[i], err = a.scanOrSaved(c, s, t, &o); err != nil {
					return err
				}
			}
			d := scan.Compare(rs[0], rs[1])
			if asJSON {
				return d.WriteJSON(a.stdout)
			}
			width, _ := a.terminal()
			return d.WriteText(a.stdout, width)
		},
	}
	o.register(c)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON document")
	return c
}

// scanOrSaved takes a saved report where the target is one.
func (a app) scanOrSaved(c *cobra.Command, s *scan.Scanner, target string, o *scanOptions) (*esclusa.Report, error) {
	if isSaved(target) {
		return a.saved(target)
	}
	return a.scan(c.Context(), s, target, o)
}

// isSaved says whether a file begins as a saved report does.
func isSaved(name string) bool {
	// A pipe would wait for its writer, and what is read of it is gone.
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	const start = `{"start":{"s`
	head := make([]byte, len(start))
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == start
}
