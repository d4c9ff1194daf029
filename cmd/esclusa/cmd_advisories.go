package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/feeds"
	feedlist "github.com/esclusa/esclusa/internal/scan/feeds/all"
	"github.com/spf13/cobra"
)

func (a app) advisoriesCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "advisories",
		Short: "Fetch, show and carry the advisory database",
	}
	group(c, func(string) string { return c.CommandPath() + " --help" })
	c.AddCommand(a.advisoriesUpdate(), a.advisoriesStatus(), a.advisoriesImport(), a.advisoriesExport())
	return c
}

func (a app) advisoriesUpdate() *cobra.Command {
	var mirror string
	var quiet bool
	c := &cobra.Command{
		Use:   "update",
		Short: "Fetch what changed at the sources",
		Long: `Update fetches what changed at the sources and replaces the database at once.
A source that fails is named and keeps its old records; an update that is
interrupted leaves the old database in use and goes on where it stopped.`,
		Args: args(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			st, err := a.state()
			if err != nil {
				return err
			}
			res, err := a.update(c.Context(), st, mirror, quiet)
			if err != nil {
				return err
			}
			return a.updated(res)
		},
	}
	c.Flags().StringVar(&mirror, "mirror", "", "address or folder of a mirror (environment: ESCLUSA_MIRROR)")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "no progress")
	return c
}

// updated says what an update did. A source that failed is not a success:
// the exit code tells the script that runs it every night.
func (a app) updated(res feeds.Result) error {
	total := 0
	for _, f := range res.Feeds {
		total += f.Records
	}
	fmt.Fprintf(a.stdout, "%d sources, %d records; %d sources had news\n", len(res.Feeds), total, len(res.Updated))
	for _, g := range res.Gaps {
		fmt.Fprintf(a.stderr, "gap: %s\n", g)
	}
	if len(res.Absent) > 0 {
		fmt.Fprintf(a.stdout, "not in this mirror: %s\n", strings.Join(res.Absent, ", "))
	}
	if len(res.Failed) > 0 {
		hint := "their old records stay in use; run the command again"
		if res.Damaged && len(res.Updated) > 0 {
			hint = "their old records were damaged and are gone; run the command again"
		}
		return hinted{fmt.Errorf("not updated: %s", strings.Join(res.Failed, ", ")), hint}
	}
	return nil
}

func (a app) advisoriesStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show each source, its date and its records",
		Args:  args(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			st, err := a.state()
			if err != nil {
				return err
			}
			db, err := st.Open()
			if errors.Is(err, fs.ErrNotExist) {
				return hinted{errors.New("there is no advisory database yet"), "esclusa advisories update"}
			} else if err != nil {
				return hinted{err, "esclusa advisories update makes it anew"}
			}
			defer db.Close()
			return a.status(db.Feeds())
		},
	}
}

func (a app) status(fs []esclusa.Feed) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SOURCE\tDATE\tRECORDS\tBAD\tFETCHED")
	for _, f := range fs {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\n", f.Name, day(f.Date), f.Records, f.Skipped, f.Fetched.Local().Format("2006-01-02 15:04"))
	}
	return w.Flush()
}

func day(t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return t.Format(time.DateOnly)
}

func (a app) advisoriesImport() *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE|FOLDER",
		Short: "Take an exported database, or a mirror as a folder or a tar",
		Args:  args(1, "one file or folder"),
		RunE: func(c *cobra.Command, args []string) error {
			st, err := a.state()
			if err != nil {
				return err
			}
			res, err := feeds.Import(c.Context(), feeds.Options{From: args[0], Feeds: feedlist.Feeds(), Into: st})
			if err != nil {
				return err
			}
			return a.updated(res)
		},
	}
}

func (a app) advisoriesExport() *cobra.Command {
	return &cobra.Command{
		Use:   "export FILE",
		Short: "Copy the database to a file, for a machine without a network",
		Args:  args(1, "one file, or - for standard output"),
		RunE: func(_ *cobra.Command, args []string) error {
			st, err := a.state()
			if err != nil {
				return err
			}
			if args[0] == "-" {
				return feeds.Export(st, a.stdout)
			}
			return writeFile(args[0], func(w io.Writer) error { return feeds.Export(st, w) })
		},
	}
}
