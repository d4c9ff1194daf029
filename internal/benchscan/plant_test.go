package main

import (
	"slices"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/oci"
	"github.com/esclusa/esclusa/internal/scan"
	"github.com/google/go-cmp/cmp"
)

// TestPlants: what is counted as planted can be found.
func TestPlants(t *testing.T) {
	dir := t.TempDir()
	if err := plant(dir); err != nil {
		t.Fatal(err)
	}
	r, err := scan.New(scan.Config{}).Scan(t.Context(), dir, esclusa.TargetRoot, oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range r.Findings {
		if r.Findings[i].Kind == esclusa.KindSecret {
			got = append(got, r.Findings[i].Path+" "+r.Findings[i].ID)
		}
	}
	slices.Sort(got)
	want := []string{
		".env secret/aws-access-token", ".env secret/env-file-secret", "deploy.sh secret/github-pat", "id_rsa secret/private-key",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
