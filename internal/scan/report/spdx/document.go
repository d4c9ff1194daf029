package spdx

// The parts of the document that esclusa writes, named as in SPDX 2.3.

type document struct {
	Version     string         `json:"spdxVersion"`
	License     string         `json:"dataLicense"`
	ID          string         `json:"SPDXID"`
	Name        string         `json:"name"`
	Namespace   string         `json:"documentNamespace"`
	Creation    creation       `json:"creationInfo"`
	Packages    []spdxPackage  `json:"packages"`
	Relations   []relationship `json:"relationships"`
	Annotations []annotation   `json:"annotations,omitempty"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID          string       `json:"SPDXID"`
	Name        string       `json:"name"`
	Version     string       `json:"versionInfo,omitempty"`
	File        string       `json:"packageFileName,omitempty"`
	Supplier    string       `json:"supplier"`
	Download    string       `json:"downloadLocation"`
	Analyzed    bool         `json:"filesAnalyzed"` // false: files are not listed
	Checksums   []checksum   `json:"checksums,omitempty"`
	Source      string       `json:"sourceInfo,omitempty"`
	Concluded   string       `json:"licenseConcluded"`
	Declared    string       `json:"licenseDeclared"`
	LicenseNote string       `json:"licenseComments,omitempty"`
	Copyright   string       `json:"copyrightText"`
	Purpose     string       `json:"primaryPackagePurpose"`
	Refs        []reference  `json:"externalRefs,omitempty"`
	Notes       []annotation `json:"annotations,omitempty"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type reference struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
	Comment  string `json:"comment,omitempty"`
}

type relationship struct {
	From string `json:"spdxElementId"`
	Type string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

type annotation struct {
	Date    string `json:"annotationDate"`
	Type    string `json:"annotationType"`
	By      string `json:"annotator"`
	Comment string `json:"comment"`
}
