package vex

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/match"
)

type csafDocument struct {
	Document struct {
		Publisher struct {
			Name string `json:"name"`
		} `json:"publisher"`
		Tracking struct {
			Released string `json:"current_release_date"`
			Status   string `json:"status"`
		} `json:"tracking"`
	} `json:"document"`
	Tree struct {
		Branches      []csafBranch       `json:"branches"`
		Products      []csafProduct      `json:"full_product_names"`
		Groups        []csafGroup        `json:"product_groups"`
		Relationships []csafRelationship `json:"relationships"`
	} `json:"product_tree"`
	Vulnerabilities []csafVulnerability `json:"vulnerabilities"`
}

type csafBranch struct {
	Category string       `json:"category"`
	Name     string       `json:"name"`
	Product  *csafProduct `json:"product"`
	Branches []csafBranch `json:"branches"`
}

type csafProduct struct {
	ID     string `json:"product_id"`
	Helper struct {
		PURL string `json:"purl"`
		CPE  string `json:"cpe"`
	} `json:"product_identification_helper"`
}

type csafGroup struct {
	ID       string   `json:"group_id"`
	Products []string `json:"product_ids"`
}

// csafRelationship makes a product of two: a component in a platform.
type csafRelationship struct {
	Product   csafProduct `json:"full_product_name"`
	Component string      `json:"product_reference"`
	Platform  string      `json:"relates_to_product_reference"`
}

type csafVulnerability struct {
	CVE string `json:"cve"`
	IDs []struct {
		Text string `json:"text"`
	} `json:"ids"`
	Status  map[string][]string `json:"product_status"`
	Flags   []csafNote          `json:"flags"`
	Threats []csafNote          `json:"threats"`
	Remedy  []csafNote          `json:"remediations"`
}

// csafNote is a flag, a threat or a remediation: something about products.
type csafNote struct {
	Label    string   `json:"label"`
	Category string   `json:"category"`
	Details  string   `json:"details"`
	Products []string `json:"product_ids"`
	Groups   []string `json:"group_ids"`
}

// The lists of a product status, in rising weight: the sections that a
// product must not be in twice are read as the standard names them.
var csafStatus = []struct {
	key    string
	status esclusa.VEXStatus
}{
	{"fixed", esclusa.VEXFixed},
	{"first_fixed", esclusa.VEXFixed},
	{"known_not_affected", esclusa.VEXNotAffected},
	{"under_investigation", esclusa.VEXInvestigating},
	{"known_affected", esclusa.VEXAffected},
	{"first_affected", esclusa.VEXAffected},
	{"last_affected", esclusa.VEXAffected},
}

func (d *document) csaf(text []byte) error {
	var doc csafDocument
	if err := json.Unmarshal(text, &doc); err != nil {
		return err
	}
	if doc.Document.Tracking.Status == "draft" {
		return errors.New("a draft")
	}
	t := csafTree{products: make(map[string]csafProduct), groups: make(map[string][]string), relations: make(map[string]csafRelationship)}
	if err := t.read(&doc); err != nil {
		return err
	}
	for i := range doc.Vulnerabilities {
		if err := d.csafVulnerability(&doc, &t, &doc.Vulnerabilities[i]); err != nil {
			return err
		}
	}
	return nil
}

// csafTree resolves product ids.
type csafTree struct {
	products  map[string]csafProduct
	groups    map[string][]string
	relations map[string]csafRelationship
}

func (t *csafTree) read(doc *csafDocument) error {
	for _, p := range doc.Tree.Products {
		t.products[p.ID] = p
	}
	for _, g := range doc.Tree.Groups {
		t.groups[g.ID] = g.Products
	}
	for _, r := range doc.Tree.Relationships {
		t.relations[r.Product.ID] = r
		t.products[r.Product.ID] = r.Product
	}
	return t.branches(doc.Tree.Branches, 0)
}

func (t *csafTree) branches(list []csafBranch, depth int) error {
	if depth > maxNesting {
		return errors.New("product tree nested too deeply")
	}
	for i := range list {
		if p := list[i].Product; p != nil {
			if list[i].Category == "product_version_range" {
				p.Helper.PURL = within(p.Helper.PURL, list[i].Name)
			}
			t.products[p.ID] = *p
		}
		if err := t.branches(list[i].Branches, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// within narrows a purl without version to the range that is the name of its
// branch (CSAF 2.0, 3.1.2.3.2): alone it would name every version. A range
// that cannot be read is found, and said, where statements are applied.
func within(purl, name string) string {
	if purl == "" || hasVersion(purl) || strings.Contains(purl, "vers=") {
		return purl
	}
	if strings.TrimSpace(name) == "" {
		return "" // not every version, but which is not said
	}
	sep := "?"
	if strings.Contains(purl, "?") {
		sep = "&"
	}
	return purl + sep + "vers=" + strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
}

// purl is the purl of a product or of the component that it is made of.
func (t *csafTree) purl(id string) string {
	for range maxNesting {
		if p := t.products[id].Helper.PURL; p != "" {
			return p
		}
		r, ok := t.relations[id]
		if !ok {
			return ""
		}
		id = r.Component
	}
	return ""
}

// product says what a product id means here; false when that cannot be said
// exactly.
func (t *csafTree) product(id string) (match.Product, bool) {
	purl := t.purl(id)
	if purl == "" {
		return match.Product{}, false
	}
	r, ok := t.relations[id]
	if !ok {
		return match.Product{ID: purl}, true
	}
	if platform := t.purl(r.Platform); platform != "" {
		if isImage(platform) {
			return match.Product{ID: platform, Subcomponents: []string{purl}}, true
		}
		return match.Product{}, false // a package in another: not told apart
	}
	// The platform is a product of its supplier. A build of the component is
	// exact without it, and an image has its own name; a component without
	// version would be meant on every platform.
	if hasVersion(purl) || isImage(purl) {
		return match.Product{ID: purl}, true
	}
	if release, ok := rhel(t.products[r.Platform].Helper.CPE); ok && strings.HasPrefix(purl, "pkg:rpm/redhat/") {
		sep := "?"
		if strings.Contains(purl, "?") {
			sep = "&"
		}
		return match.Product{ID: purl + sep + "distro=rhel-" + release}, true
	}
	return match.Product{}, false
}

func isImage(purl string) bool {
	return strings.HasPrefix(purl, "pkg:oci/") || strings.HasPrefix(purl, "pkg:docker/")
}

func hasVersion(purl string) bool {
	base, _, _ := strings.Cut(purl, "?")
	return strings.Contains(base[strings.LastIndexByte(base, '/')+1:], "@")
}

// rhel is the release in cpe:/o:redhat:enterprise_linux:9 and
// cpe:/a:redhat:enterprise_linux:9::appstream.
func rhel(cpe string) (string, bool) {
	f := strings.Split(cpe, ":")
	if len(f) < 5 || f[0] != "cpe" || f[2] != "redhat" || f[3] != "enterprise_linux" || f[4] == "" {
		return "", false
	}
	return f[4], true
}

// reasons are what notes say about each product.
type reasons map[string]string

// note keeps the first text for each product of a note.
func (d *document) note(to reasons, t *csafTree, n *csafNote, text string) error {
	set := func(ids []string) {
		d.left -= len(ids)
		if d.left < 0 {
			return
		}
		for _, id := range ids {
			if to[id] == "" {
				to[id] = text
			}
		}
	}
	set(n.Products)
	for _, g := range n.Groups {
		set(t.groups[g])
	}
	if d.left < 0 {
		return errTooBig
	}
	return nil
}

func (d *document) csafVulnerability(doc *csafDocument, t *csafTree, v *csafVulnerability) error {
	var ids []string
	if v.CVE != "" {
		ids = append(ids, v.CVE)
	}
	for _, id := range v.IDs {
		if id.Text != "" {
			ids = append(ids, id.Text)
		}
	}
	if len(ids) == 0 {
		d.skip("a flaw without id", "no statement can be matched")
		return nil
	}
	flags, impacts, remedies := reasons{}, reasons{}, reasons{}
	for i := range v.Flags {
		if err := d.note(flags, t, &v.Flags[i], v.Flags[i].Label); err != nil {
			return err
		}
	}
	for i := range v.Threats {
		if v.Threats[i].Category == "impact" {
			if err := d.note(impacts, t, &v.Threats[i], v.Threats[i].Details); err != nil {
				return err
			}
		}
	}
	for i := range v.Remedy {
		if err := d.note(remedies, t, &v.Remedy[i], v.Remedy[i].Details); err != nil {
			return err
		}
	}
	base := esclusa.VEXStatement{Author: doc.Document.Publisher.Name, At: date(doc.Document.Tracking.Released)}
	var g grouped
	vague := 0
	for _, s := range csafStatus {
		for _, id := range v.Status[s.key] {
			p, ok := t.product(id)
			if !ok {
				vague++
				continue
			}
			st := base
			st.Status = s.status
			if s.status == esclusa.VEXNotAffected {
				st.Justification, st.Statement = flags[id], impacts[id]
			} else if s.status == esclusa.VEXAffected {
				st.Statement = remedies[id]
			}
			g.add(st, p)
		}
	}
	if vague > 0 {
		d.skip(ids[0], fmt.Sprintf("%d products are named in a way that no package or image can be held to", vague))
	}
	return d.addGroups(ids, &g)
}

// grouped collects products under equal statements.
type grouped struct {
	index map[esclusa.VEXStatement]int
	list  []match.Statement
}

func (g *grouped) add(s esclusa.VEXStatement, p match.Product) {
	if g.index == nil {
		g.index = make(map[esclusa.VEXStatement]int)
	}
	i, ok := g.index[s]
	if !ok {
		i = len(g.list)
		g.index[s] = i
		g.list = append(g.list, match.Statement{VEXStatement: s})
	}
	g.list[i].Products = append(g.list[i].Products, p)
}

func (d *document) addGroups(ids []string, g *grouped) error {
	for _, s := range g.list {
		s.Vulnerabilities = slices.Clone(ids)
		if err := excused(&s.VEXStatement); err != nil {
			d.skip(ids[0], err.Error())
			continue
		}
		if err := d.add(s); err != nil {
			return err
		}
	}
	return nil
}
