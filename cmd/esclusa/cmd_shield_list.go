package main

import (
	"github.com/esclusa/esclusa/internal/shield"
	"github.com/spf13/cobra"
)

func (a app) shieldListCommand() *cobra.Command {
	var output, state string
	c := &cobra.Command{
		Use:   "list",
		Short: "List the virtual patches, and what each means for this host",
		Args:  args(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			if output != "table" && output != "json" {
				return usagef("table or json", "unknown format %q", output)
			}
			list, err := patches(nil)
			if err != nil {
				return err
			}
			facts := hostFacts()
			var rows []shield.Row
			for _, p := range list {
				rows = append(rows, p.Describe(facts))
			}
			if err := now(rows, state); err != nil {
				return err
			}
			if output == "json" {
				return a.writeJSON(rows)
			}
			width, _ := a.terminal()
			return shield.WriteRows(a.stdout, rows, width)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "table", "`FORMAT`: table or json")
	c.Flags().StringVar(&state, "state", stateDir, "the sensor's `FOLDER`")
	return c
}
