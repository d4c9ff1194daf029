package sarif

// The parts of the document that esclusa writes, named as in SARIF 2.1.0
// where the name is not taken.

type document struct {
	Schema  string `json:"$schema"`
	Version string `json:"version"`
	Runs    []run  `json:"runs"`
}

type run struct {
	Tool        tool                 `json:"tool"`
	Automation  automation           `json:"automationDetails"`
	Invocations []invocation         `json:"invocations"`
	Bases       map[string]location0 `json:"originalUriBaseIds"`
	Results     []result             `json:"results"`
	Properties  map[string]any       `json:"properties"`
}

type tool struct {
	Driver driver `json:"driver"`
}

type driver struct {
	Name           string `json:"name"`
	Version        string `json:"version"`
	InformationURI string `json:"informationUri"`
	Rules          []rule `json:"rules"`
}

type automation struct {
	ID string `json:"id"`
}

// location0 is an artifactLocation without a URI: where the root of an image
// is, is nobody's business.
type location0 struct {
	Description *message `json:"description"`
}

type message struct {
	Text string `json:"text"`
}

type multiformat struct {
	Text     string `json:"text"`
	Markdown string `json:"markdown"`
}

type rule struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Short      message        `json:"shortDescription"`
	Full       message        `json:"fullDescription"`
	Help       multiformat    `json:"help"`
	HelpURI    string         `json:"helpUri,omitempty"`
	Default    configuration  `json:"defaultConfiguration"`
	Properties ruleProperties `json:"properties"`
}

type configuration struct {
	Level string `json:"level"`
}

type ruleProperties struct {
	Tags      []string `json:"tags"`
	Precision string   `json:"precision"`
	Severity  string   `json:"security-severity,omitempty"`
}

type result struct {
	RuleID       string            `json:"ruleId"`
	RuleIndex    int               `json:"ruleIndex"`
	Level        string            `json:"level"`
	Message      message           `json:"message"`
	Locations    []place           `json:"locations"`
	Fingerprints map[string]string `json:"partialFingerprints"`
	Suppressions []suppression     `json:"suppressions"`
	Properties   map[string]any    `json:"properties"`
}

type place struct {
	Physical *physicalLocation `json:"physicalLocation,omitempty"`
	Logical  []logical         `json:"logicalLocations,omitempty"`
}

type physicalLocation struct {
	Artifact artifact `json:"artifactLocation"`
	Region   region   `json:"region"`
}

type artifact struct {
	URI  string `json:"uri"`
	Base string `json:"uriBaseId,omitempty"`
}

type region struct {
	StartLine int `json:"startLine"`
}

type logical struct {
	Name string `json:"name"`
	Full string `json:"fullyQualifiedName,omitempty"`
	Kind string `json:"kind"`
}

type suppression struct {
	Kind          string `json:"kind"`
	Status        string `json:"status"`
	Justification string `json:"justification"`
}

type invocation struct {
	Successful    bool           `json:"executionSuccessful"`
	Start         string         `json:"startTimeUtc,omitempty"`
	End           string         `json:"endTimeUtc,omitempty"`
	Notifications []notification `json:"toolExecutionNotifications"`
}

type notification struct {
	Descriptor descriptor `json:"descriptor"`
	Level      string     `json:"level"`
	Message    message    `json:"message"`
	Locations  []place    `json:"locations,omitempty"`
}

type descriptor struct {
	ID string `json:"id"`
}
