package gitlab

// The parts of the report that esclusa writes, named as in the schema.

type document struct {
	Schema          string          `json:"schema"`
	Version         string          `json:"version"`
	Scan            scan            `json:"scan"`
	Vulnerabilities []vulnerability `json:"vulnerabilities"`
}

type scan struct {
	Analyzer scanner       `json:"analyzer"`
	Scanner  scanner       `json:"scanner"`
	Type     string        `json:"type"`
	Status   string        `json:"status"`
	Start    string        `json:"start_time"`
	End      string        `json:"end_time"`
	Messages []scanMessage `json:"messages,omitempty"`
}

type scanner struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	URL     string `json:"url"`
	Version string `json:"version"`
	Vendor  vendor `json:"vendor"`
}

type vendor struct {
	Name string `json:"name"`
}

type scanMessage struct {
	Level string `json:"level"`
	Value string `json:"value"`
}

type vulnerability struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Severity    string            `json:"severity"`
	Solution    string            `json:"solution,omitempty"`
	Identifiers []identifier      `json:"identifiers"`
	Vectors     []vector          `json:"cvss_vectors,omitempty"`
	Links       []link            `json:"links,omitempty"`
	Details     map[string]detail `json:"details,omitempty"`
	Flags       []flag            `json:"flags,omitempty"`
	Location    location          `json:"location"`
}

type identifier struct {
	Type  string `json:"type"`
	Name  string `json:"name"`
	Value string `json:"value"`
	URL   string `json:"url,omitempty"`
}

type vector struct {
	Vendor string `json:"vendor"`
	Vector string `json:"vector"`
}

type link struct {
	URL string `json:"url"`
}

type detail struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Value string `json:"value"`
}

type flag struct {
	Type        string `json:"type"`
	Origin      string `json:"origin"`
	Description string `json:"description"`
}

type location struct {
	Dependency dependency `json:"dependency"`
	System     string     `json:"operating_system"`
	Image      string     `json:"image"`
}

type dependency struct {
	Package pkg    `json:"package"`
	Version string `json:"version"`
}

type pkg struct {
	Name string `json:"name"`
}
