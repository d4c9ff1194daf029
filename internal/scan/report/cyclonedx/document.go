package cyclonedx

import "github.com/esclusa/esclusa/internal/scan/report"

// The parts of the document that esclusa writes, named as in CycloneDX 1.6.

type document struct {
	Schema          string          `json:"$schema"`
	Format          string          `json:"bomFormat"`
	Spec            string          `json:"specVersion"`
	Serial          string          `json:"serialNumber"`
	Version         int             `json:"version"`
	Metadata        metadata        `json:"metadata"`
	Components      []component     `json:"components"`
	Dependencies    []dependency    `json:"dependencies"`
	Compositions    []composition   `json:"compositions"`
	Vulnerabilities []vulnerability `json:"vulnerabilities"`
}

type metadata struct {
	Timestamp  string     `json:"timestamp,omitempty"`
	Tools      tools      `json:"tools"`
	Component  component  `json:"component"`
	Properties properties `json:"properties,omitempty"`
}

type tools struct {
	Components []component `json:"components"`
}

type component struct {
	Type        string          `json:"type"`
	Ref         string          `json:"bom-ref,omitempty"`
	Group       string          `json:"group,omitempty"`
	Name        string          `json:"name"`
	Version     string          `json:"version,omitempty"`
	Description string          `json:"description,omitempty"`
	Scope       string          `json:"scope,omitempty"`
	Hashes      []hash          `json:"hashes,omitempty"`
	Licenses    []licenseChoice `json:"licenses,omitempty"`
	PURL        string          `json:"purl,omitempty"`
	Properties  properties      `json:"properties,omitempty"`
}

type hash struct {
	Alg     string `json:"alg"`
	Content string `json:"content"`
}

type licenseChoice struct {
	License    *license `json:"license,omitempty"`
	Expression string   `json:"expression,omitempty"`
}

type license struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

type composition struct {
	Aggregate  string   `json:"aggregate"`
	Assemblies []string `json:"assemblies"`
}

type vulnerability struct {
	Ref            string      `json:"bom-ref"`
	ID             string      `json:"id"`
	Source         *source     `json:"source,omitempty"`
	References     []reference `json:"references,omitempty"`
	Ratings        []rating    `json:"ratings"`
	Description    string      `json:"description,omitempty"`
	Detail         string      `json:"detail,omitempty"`
	Recommendation string      `json:"recommendation,omitempty"`
	Advisories     []advisory  `json:"advisories,omitempty"`
	Published      string      `json:"published,omitempty"`
	Analysis       *analysis   `json:"analysis,omitempty"`
	Affects        []affected  `json:"affects"`
	Properties     properties  `json:"properties,omitempty"`
}

type source struct {
	Name string `json:"name"`
	URL  string `json:"url,omitempty"`
}

type reference struct {
	ID     string `json:"id"`
	Source source `json:"source"`
}

type rating struct {
	Score    *float64 `json:"score,omitempty"`
	Severity string   `json:"severity"`
	Method   string   `json:"method"`
	Vector   string   `json:"vector,omitempty"`
}

type advisory struct {
	URL string `json:"url"`
}

type analysis struct {
	State         string `json:"state"`
	Justification string `json:"justification,omitempty"`
	Detail        string `json:"detail,omitempty"`
	Updated       string `json:"lastUpdated,omitempty"`
}

type affected struct {
	Ref      string            `json:"ref"`
	Versions []affectedVersion `json:"versions,omitempty"`
}

type affectedVersion struct {
	Version string `json:"version"`
	Status  string `json:"status"`
}

// properties are ours, in the name space "esclusa:".
type properties []property

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (ps *properties) add(name, value string) {
	if value != "" {
		*ps = append(*ps, property{"esclusa:" + name, report.Text(value, maxText)})
	}
}
