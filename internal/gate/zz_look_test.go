package gate

import (
	"encoding/json"
	"fmt"
	"github.com/esclusa/esclusa"
	"os"
	"testing"
	"time"
)

func TestLook(t *testing.T) {
	now := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	f := Facts{Image: esclusa.Image{Kind: "image", Ref: "ghcr.io/acme/shop:1.2", Digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}}
	for i := range 7 {
		f.Findings = append(f.Findings, esclusa.Finding{Kind: "vulnerability", ID: fmt.Sprintf("CVE-2026-10%02d", i), Severity: esclusa.SeverityCritical, Package: &esclusa.Package{Type: "deb", Name: "libssl3", Version: "3.0.11-1~deb12u2", Place: esclusa.Place{Layer: "sha256:aaaaaaaaaaaabbbb", Path: "var/lib/dpkg/status"}}, Origin: "base", EPSS: -1, Fix: &esclusa.Fix{Version: "3.0.15-1~deb12u1", Since: now.Add(-20 * 24 * time.Hour), Command: "apt-get update && apt-get install -y libssl3=3.0.15-1~deb12u1"}})
	}
	f.Findings = append(f.Findings, esclusa.Finding{Kind: "vulnerability", ID: "CVE-2026-7", KEV: &esclusa.KEV{}, Severity: esclusa.SeverityHigh, Package: &esclusa.Package{Type: "npm", Name: "lodash", Version: "4.17.20"}, Place: esclusa.Place{Path: "app/node_modules/lodash/package.json"}, Origin: "own", EPSS: .3, Fix: &esclusa.Fix{Version: "4.17.21", Since: now.Add(-1 * 24 * time.Hour), Command: "npm install lodash@4.17.21"}})
	f.Findings = append(f.Findings, esclusa.Finding{Kind: "secret", ID: "secret/aws-access-key", Severity: esclusa.SeverityCritical, Place: esclusa.Place{Path: "app/.env", Line: 3, Layer: "sha256:ccccccccccccdd"}, Deleted: true, Evidence: "AKIA****************", Advice: "deactivate the key in IAM, then delete it"})
	f.Gaps = []esclusa.Gap{{Scope: "file", What: "npm lock file", Err: "line 7: not JSON", Place: esclusa.Place{Path: "srv/old/package-lock.json"}, Hint: "delete it or write it anew with npm install"}}
	f.Feeds = []esclusa.Feed{{Name: "osv/npm", Date: now.Add(-20 * 24 * time.Hour)}}
	p, _ := Default()
	v := Decide(f, p, now)
	v.Took = 43 * time.Millisecond
	Render(os.Stdout, &v, false, 80)
	fmt.Println("=====")
	e := Explain(f, p, now)
	e.Write(os.Stdout, 80)
	for _, r := range v.Reasons {
		b, _ := json.Marshal(r)
		fmt.Println(len(b))
	}
}
