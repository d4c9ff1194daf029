package esclusa

import "time"

// StreamVersion is the version of the message stream. Fields may be added
// within a version; a reader ignores those it does not know.
const StreamVersion = 1

// Message is one line of a report stream. Exactly one field is set. A stream
// is Start, Image, then Feeds, Packages, Findings and Gaps, an optional
// Verdict, and End; without End it is cut.
type Message struct {
	Start   *Start   `json:"start,omitempty"`
	Image   *Image   `json:"image,omitempty"`
	Feed    *Feed    `json:"feed,omitempty"`
	Package *Package `json:"package,omitempty"`
	Finding *Finding `json:"finding,omitempty"`
	Gap     *Gap     `json:"gap,omitempty"`
	Verdict *Verdict `json:"verdict,omitempty"`
	End     *End     `json:"end,omitempty"`
}

// Start opens a stream.
type Start struct {
	Stream int       `json:"stream"` // StreamVersion
	Tool   string    `json:"tool"`   // "esclusa 0.1.0"
	At     time.Time `json:"at"`
}

// End closes a stream.
type End struct {
	Took     time.Duration `json:"took"` // nanoseconds
	Packages int           `json:"packages"`
	Findings int           `json:"findings"`
	Gaps     int           `json:"gaps"`
	// LayersRead and LayersCached say where the answer came from.
	LayersRead   int   `json:"layersRead"`
	LayersCached int   `json:"layersCached"`
	BytesRead    int64 `json:"bytesRead,omitempty"` // compressed bytes
	// InflateDoubts is how often our decoder refused a gzip stream, and the
	// standard library's was asked.
	InflateDoubts int64 `json:"inflateDoubts,omitempty"`
	// LayersInPart are those of LayersRead that the cache knew from other
	// readers: only the files that today's readers want were read.
	LayersInPart int `json:"layersInPart,omitempty"`
	// IndexesRefused is how often that did not work out, and the layer was
	// read whole.
	IndexesRefused int `json:"indexesRefused,omitempty"`
}

// Report is a whole stream in memory.
type Report struct {
	Start    Start
	Image    Image
	Feeds    []Feed
	Packages []Package
	Findings []Finding
	Gaps     []Gap
	Verdict  *Verdict
	End      End
}
