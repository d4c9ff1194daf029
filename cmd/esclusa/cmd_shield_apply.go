package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/esclusa/esclusa/internal/shield"
	"github.com/esclusa/esclusa/internal/shield/guards"
	"github.com/spf13/cobra"
)

func (a app) shieldApplyCommand() *cobra.Command {
	var state, mode string
	c := &cobra.Command{
		Use:   "apply PATCH",
		Short: "Put a virtual patch in force on this host",
		Long: `Apply says what you want of a patch. The sensor (esclusa watch) follows within
seconds, and each time it starts; it does not start where the kernel cannot do
what you want.

  enforce  refuse what the patch names
  observe  tell it, and refuse nothing
  auto     decide by itself: in force where this host has the bug, at once if it
           is exploited, else after a day in which nothing would have been refused`,
		Example: `  sudo esclusa shield apply CVE-2022-0811
  sudo esclusa shield apply cr8escape --mode observe`,
		Args: args(1, "one patch"),
		RunE: func(_ *cobra.Command, args []string) error {
			w, err := shield.ParseWish(mode)
			if err != nil || w == shield.WishOff {
				return usagef("enforce, observe or auto; esclusa shield retire takes a patch out", "unknown mode %q", mode)
			}
			return asRoot(a.wish(state, args[0], w))
		},
	}
	c.Flags().StringVar(&mode, "mode", "enforce", "`MODE`: enforce, observe or auto")
	c.Flags().StringVar(&state, "state", stateDir, "the sensor's `FOLDER`")
	return c
}

func (a app) shieldRetireCommand() *cobra.Command {
	var state string
	c := &cobra.Command{
		Use:   "retire PATCH",
		Short: "Take a virtual patch out of force on this host",
		Long: `Retire takes a patch out of force, and keeps it out until somebody applies it.
A patch retires by itself where the host is found to have the fix.`,
		Example: `  sudo esclusa shield retire CVE-2022-0811`,
		Args:    args(1, "one patch"),
		RunE:    func(_ *cobra.Command, args []string) error { return asRoot(a.wish(state, args[0], shield.WishOff)) },
	}
	c.Flags().StringVar(&state, "state", stateDir, "the sensor's `FOLDER`")
	return c
}

// wish writes down what a person wants, and says what comes of it. What this
// kernel cannot do is refused here, before a sensor that does not start.
func (a app) wish(state, id string, w shield.Wish) error {
	dir := shieldDir(state)
	name, err := a.wished(dir, id, w)
	if err != nil {
		return err
	}
	if err := shield.SetWish(dir, name, w, time.Now()); err != nil {
		return err
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if kept, err := shield.Kept(dir); err != nil {
			return err
		} else if !kept {
			break
		}
		standings, err := shield.Standings(dir)
		if err != nil {
			return err
		}
		s, known := standings[name]
		if known && (s.Wish == w || s.Wish == "" && w == shield.WishAuto) {
			fmt.Fprintf(a.stdout, "%s: %s: %s\n", name, s.Mode, s.Why)
			return nil
		}
		if time.Now().After(end) {
			return hinted{fmt.Errorf("the sensor did not take it up in 5 s"), "restart esclusa watch: a patch of your own is read when it starts"}
		}
	}
	fmt.Fprintf(a.stdout, "%s: written down; no sensor runs here\n", name)
	fmt.Fprintln(a.stderr, "hint: sudo esclusa watch puts it in force")
	return nil
}

// wished finds the patch and tries it on this kernel. A patch of the user's own
// is known by what a sensor wrote of it.
func (a app) wished(dir, id string, w shield.Wish) (string, error) {
	p, err := patch(id)
	if err != nil {
		standings, serr := shield.Standings(dir)
		if _, known := standings[id]; serr == nil && known {
			return id, nil
		}
		return "", err
	}
	if w == shield.WishEnforce || w == shield.WishObserve {
		if os.Geteuid() != 0 {
			return "", fmt.Errorf("put %s in force: %w", p.ID, fs.ErrPermission)
		}
		if r := p.Describe(hostFacts()); !r.Possible {
			return "", hinted{fmt.Errorf("%s cannot be in force here: %s", p.ID, r.Lack), "esclusa shield explain " + p.ID + " names other ways"}
		}
	}
	return p.ID, nil
}

// now says which mode each patch is in. Who may not look is told so in every
// row: not known is not "no sensor".
func now(rows []shield.Row, state string) error {
	dir := shieldDir(state)
	kept, err := shield.Kept(dir)
	if errors.Is(err, fs.ErrPermission) {
		for i := range rows {
			rows[i].Now, rows[i].NowWhy = "unknown", rows[i].Why+"; only root may ask the sensor"
		}
		return nil
	}
	if err != nil || !kept {
		return err
	}
	standings, err := shield.Standings(dir)
	if err != nil {
		return err
	}
	for i := range rows {
		s, ok := standings[rows[i].ID]
		if !ok {
			continue
		}
		rows[i].Now, rows[i].NowWhy = s.Mode.String(), s.Why
		if s.Mode == guards.Observe && s.Hits > 0 {
			rows[i].Hits = s.Hits
		}
	}
	return nil
}
