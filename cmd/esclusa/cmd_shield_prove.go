package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/esclusa/esclusa/internal/gate"
	"github.com/esclusa/esclusa/internal/shield"
	"github.com/esclusa/esclusa/internal/shield/prove"
	"github.com/spf13/cobra"
)

// (The file is not named cmd_shield_test.go: Go would take it for a test.)
func (a app) shieldTestCommand() *cobra.Command {
	var o prove.Options
	var statement string
	c := &cobra.Command{
		Use:   "test [PATCH…]",
		Short: "Try on this kernel what patches block and what they allow",
		Long: `Test puts each patch in force and tries on this kernel what it says: what it
blocks must fail with its errno, what it allows must succeed. It puts back what
is changed, and takes the guard out at the end. Exit code 1 says that something
was not as it must be.`,
		RunE: func(c *cobra.Command, ids []string) error {
			var list []*shield.Patch
			for _, id := range ids {
				p, err := patch(id)
				if err != nil {
					return err
				}
				list = append(list, p)
			}
			if len(ids) == 0 {
				var err error
				if list, err = a.possible(); err != nil {
					return err
				}
			}
			return a.shieldTest(c, list, o, statement)
		},
	}
	c.Flags().BoolVar(&o.Baseline, "baseline", false, "do what is blocked without the guard first, to show that it is the guard that blocks")
	c.Flags().StringVar(&statement, "attest", "", "write the results as in-toto statements to `FILE`, a line each")
	return c
}

// possible are the patches that this kernel can enforce; the others are named.
func (a app) possible() ([]*shield.Patch, error) {
	list, err := patches(nil)
	if err != nil {
		return nil, err
	}
	var out []*shield.Patch
	for _, p := range list {
		row := p.Describe(shield.Facts{})
		if row.Possible {
			out = append(out, p)
			continue
		}
		fmt.Fprintf(a.stderr, "not tried: %s: %s\n", p.ID, row.Lack)
	}
	if len(out) == 0 {
		return nil, hinted{errors.New("no patch can be in force here"), "run as root"}
	}
	return out, nil
}

func (a app) shieldTest(c *cobra.Command, list []*shield.Patch, o prove.Options, statement string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	actor := prove.Actor{Path: self, Args: []string{"esclusa", "shield", "act"}}
	host := prove.Host{Tool: "esclusa " + version(), Kernel: hostFacts().Kernel, Arch: runtime.GOARCH, At: time.Now().UTC().Truncate(time.Second)}
	var statements bytes.Buffer
	ok := true
	for _, p := range list {
		results, err := prove.Run(c.Context(), p, actor, o)
		if err != nil {
			return err
		}
		if err := prove.Table(a.stdout, p, results); err != nil {
			return err
		}
		if err := prove.Statement(&statements, p, host, results); err != nil {
			return err
		}
		ok = ok && prove.OK(results)
	}
	if statement != "" {
		if err := writeFile(statement, func(w io.Writer) error { _, err := statements.WriteTo(w); return err }); err != nil {
			return err
		}
	}
	if !ok {
		return exitError(gate.ExitDeny)
	}
	return nil
}
