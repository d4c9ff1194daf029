package vex

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/match"
)

const openVEX = "https://openvex.dev/ns"

func isOpenVEX(context string) bool {
	return context == openVEX || strings.HasPrefix(context, openVEX+"/")
}

type openDocument struct {
	Author     string          `json:"author"`
	Timestamp  string          `json:"timestamp"`
	Updated    string          `json:"last_updated"`
	Statements []openStatement `json:"statements"`
}

type openStatement struct {
	Vulnerability openVulnerability `json:"vulnerability"`
	Products      []openComponent   `json:"products"`
	Subcomponents []openComponent   `json:"subcomponents"` // 0.0.1
	Status        string            `json:"status"`
	Justification string            `json:"justification"`
	Impact        string            `json:"impact_statement"`
	Action        string            `json:"action_statement"`
	Notes         string            `json:"status_notes"`
	Supplier      string            `json:"supplier"`
	Timestamp     string            `json:"timestamp"`
	Updated       string            `json:"last_updated"`
}

// openVulnerability is an object since 0.0.2 and was a string before.
type openVulnerability struct {
	ID      string   `json:"@id"`
	Name    string   `json:"name"`
	Aliases []string `json:"aliases"`
}

func (v *openVulnerability) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &v.Name)
	}
	type plain openVulnerability
	return json.Unmarshal(b, (*plain)(v))
}

func (v *openVulnerability) ids() []string {
	var ids []string
	if v.Name != "" {
		ids = append(ids, v.Name)
	} else if i := strings.LastIndexByte(v.ID, '/'); v.ID != "" {
		ids = append(ids, v.ID[i+1:]) // https://nvd.nist.gov/vuln/detail/CVE-…
	}
	return append(ids, v.Aliases...)
}

// openComponent is an object since 0.0.2 and was a string before.
type openComponent struct {
	ID          string `json:"@id"`
	Identifiers struct {
		PURL string `json:"purl"`
	} `json:"identifiers"`
	Hashes        map[string]string `json:"hashes"`
	Subcomponents []openComponent   `json:"subcomponents"`
}

func (c *openComponent) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &c.ID)
	}
	type plain openComponent
	return json.Unmarshal(b, (*plain)(c))
}

// names are the ways in which the component can be found: all of them mean
// the same thing.
func (c *openComponent) names() []string {
	var list []string
	if c.ID != "" {
		list = append(list, c.ID)
	}
	if p := c.Identifiers.PURL; p != "" && p != c.ID {
		list = append(list, p)
	}
	for _, h := range []struct{ name, prefix string }{{"sha-256", "sha256:"}, {"sha-512", "sha512:"}} {
		if v := c.Hashes[h.name]; v != "" {
			list = append(list, h.prefix+strings.ToLower(v))
		}
	}
	return list
}

func (d *document) openVEX(text []byte) error {
	var doc openDocument
	if err := json.Unmarshal(text, &doc); err != nil {
		return err
	}
	for i := range doc.Statements {
		s := &doc.Statements[i]
		out := match.Statement{
			VEXStatement: esclusa.VEXStatement{
				Status: esclusa.VEXStatus(s.Status), Justification: s.Justification,
				Statement: first(s.Impact, s.Action, s.Notes),
				Author:    first(s.Supplier, doc.Author),
				At:        date(s.Updated, s.Timestamp, doc.Updated, doc.Timestamp),
			},
			Vulnerabilities: s.Vulnerability.ids(),
			Products:        s.products(),
		}
		what := first(strings.Join(out.Vulnerabilities, ", "), fmt.Sprintf("statement %d", i))
		if err := s.check(&out); err != nil {
			d.skip(what, err.Error())
			continue
		}
		if err := d.add(out); err != nil {
			return err
		}
	}
	return nil
}

func (s *openStatement) products() []match.Product {
	var list []match.Product
	for i := range s.Products {
		p := &s.Products[i]
		var subs []string
		for _, group := range [][]openComponent{p.Subcomponents, s.Subcomponents} {
			for j := range group {
				// One that has no name narrows to nothing; leaving it out
				// would widen the statement to the whole product.
				subs = append(subs, orNameless(group[j].names())...)
			}
		}
		for _, name := range p.names() {
			list = append(list, match.Product{ID: name, Subcomponents: subs})
		}
	}
	return list
}

func orNameless(names []string) []string {
	if len(names) == 0 {
		return []string{"nameless"}
	}
	return names
}

func (s *openStatement) check(out *match.Statement) error {
	switch out.Status {
	case esclusa.VEXNotAffected, esclusa.VEXAffected, esclusa.VEXFixed, esclusa.VEXInvestigating:
	default:
		return fmt.Errorf("unknown status %q", s.Status)
	}
	if len(out.Vulnerabilities) == 0 {
		return fmt.Errorf("no vulnerability")
	}
	if len(out.Products) == 0 {
		return fmt.Errorf("no product")
	}
	// Notes are no impact statement.
	bare := out.VEXStatement
	bare.Statement = s.Impact
	return excused(&bare)
}
