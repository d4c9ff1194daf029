package feeds

import (
	"context"
	"fmt"
	"io"

	"github.com/esclusa/esclusa/internal/scan/advisory"
)

// Export writes the database as one file that Import takes in another place:
// the way into a network that has no way out.
func Export(state advisory.State, w io.Writer) error {
	db, err := state.Open() // an export is whole or none
	if err != nil {
		return fmt.Errorf("export advisories: %w", err)
	}
	defer db.Close()
	if err := db.Verify(); err != nil {
		return fmt.Errorf("export advisories: %w (hint: esclusa advisories update)", err)
	}
	if _, err := db.WriteTo(w); err != nil {
		return fmt.Errorf("export advisories: %w", err)
	}
	return nil
}

// Import takes what Export wrote, or a mirror as a folder or a tar, from
// o.From. An exported database replaces the whole old one after every record
// of it has been read; a mirror is taken like any other, by Update.
func Import(ctx context.Context, o Options) (Result, error) {
	db, err := advisory.Open(o.From)
	if err != nil {
		if advisory.IsDatabase(o.From) {
			return Result{}, fmt.Errorf("import advisories: %w", err)
		}
		return Update(ctx, o)
	}
	defer db.Close()
	if _, err := db.Sources(func(string) bool { return true }); err != nil {
		return Result{}, fmt.Errorf("import advisories from %s: %w", o.From, err)
	}
	err = o.Into.Replace(func(w io.Writer) error {
		_, err := db.WriteTo(w)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	res := Result{Feeds: db.Feeds()}
	for _, f := range res.Feeds {
		res.Updated = append(res.Updated, f.Name)
	}
	return res, nil
}
