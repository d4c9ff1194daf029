package purl

import (
	"fmt"
	"strings"
)

// rule is what the specification says of one type, as far as it changes or
// refuses something.
type rule struct {
	lower     string // "n" the name, "s" the namespace, "v" the version
	namespace int8   // +1 required, -1 prohibited
}

var rules = map[string]rule{
	"alpm":             {lower: "ns"},
	"apk":              {lower: "ns"},
	"bitbucket":        {lower: "ns"},
	"bitnami":          {lower: "n"},
	"brew":             {lower: "ns"},
	"composer":         {lower: "ns"},
	"cargo":            {namespace: -1},
	"chrome-extension": {namespace: -1},
	"deb":              {lower: "ns"},
	"github":           {lower: "ns"},
	"golang":           {lower: "ns"},
	"gitlab":           {lower: "ns"},
	"hex":              {lower: "ns"},
	"huggingface":      {lower: "v"},
	"luarocks":         {lower: "v"},
	"npm":              {lower: "ns"},
	"oci":              {lower: "n", namespace: -1},
	"otp":              {lower: "n", namespace: -1},
	"pub":              {lower: "n"},
	"pypi":             {lower: "n"},
	"qpkg":             {lower: "s"},
	"rpm":              {lower: "s"},
	"swift":            {namespace: 1},
	"vcpkg":            {namespace: -1},
	"vscode-extension": {lower: "ns", namespace: 1},
}

// normalise applies the rules of the type and checks what every purl needs.
func (p *PURL) normalise() error {
	if !isType(p.Type) {
		return fmt.Errorf("bad type %q", p.Type)
	}
	r := rules[p.Type]
	if strings.Contains(r.lower, "n") {
		p.Name = strings.ToLower(p.Name)
	}
	if strings.Contains(r.lower, "s") {
		p.Namespace = strings.ToLower(p.Namespace)
	}
	if strings.Contains(r.lower, "v") {
		p.Version = strings.ToLower(p.Version)
	}
	switch {
	case p.Name == "":
		return fmt.Errorf("no name")
	case r.namespace > 0 && p.Namespace == "":
		return fmt.Errorf("%s needs a namespace", p.Type)
	case r.namespace < 0 && p.Namespace != "":
		return fmt.Errorf("%s has no namespaces", p.Type)
	}
	switch p.Type {
	case "pypi":
		p.Name = strings.ReplaceAll(p.Name, "_", "-")
	case "mlflow":
		// Databricks' registry folds case; Azure's does not.
		if strings.Contains(p.Qualifier("repository_url"), "azuredatabricks") {
			p.Name = strings.ToLower(p.Name)
		}
	case "cpan":
		if strings.Contains(p.Name, "::") {
			return fmt.Errorf("cpan names distributions, not modules")
		}
	case "chrome-extension":
		return chromeExtension(p)
	}
	return nil
}

// chromeExtension: an id is 32 letters from a to p; a version is up to four
// numbers.
func chromeExtension(p *PURL) error {
	if len(p.Name) != 32 || strings.Trim(p.Name, "abcdefghijklmnop") != "" {
		return fmt.Errorf("bad id %q", p.Name)
	}
	if strings.Trim(p.Version, "0123456789.") != "" || strings.Count(p.Version, ".") > 3 {
		return fmt.Errorf("bad version %q", p.Version)
	}
	return nil
}

func isType(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c && c <= 'z' || c == '.' || c == '-' || '0' <= c && c <= '9' && i > 0) {
			return false
		}
	}
	return s != ""
}
