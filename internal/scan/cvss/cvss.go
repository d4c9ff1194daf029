// Package cvss turns CVSS vectors (2.0, 3.0, 3.1, 4.0) into scores. It never
// trusts a score that somebody wrote beside a vector: 6 % of those published
// do not recompute.
//
// Start with Score.
package cvss

import (
	"errors"
	"fmt"
	"strings"

	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"
)

// maxLen is more than a vector with every metric of any version needs.
const maxLen = 512

// Score is the base score of a vector, 0.0 to 10.0. Temporal and environmental
// metrics of 2.0 and 3.x are read and do not count: they are somebody else's
// circumstances. In 4.0 there is one score, of all metrics given.
func Score(vector string) (float64, error) {
	if len(vector) > maxLen {
		return 0, fmt.Errorf("cvss vector %q…: longer than %d bytes", vector[:32], maxLen)
	}
	score, err := score(vector)
	if err != nil {
		return 0, fmt.Errorf("cvss vector %q: %w", vector, err)
	}
	return score, nil
}

func score(vector string) (float64, error) {
	switch version(vector) {
	case 4:
		v, err := gocvss40.ParseVector(vector)
		if err != nil {
			return 0, err
		}
		return v.Score(), nil
	case 3.1:
		v, err := gocvss31.ParseVector(vector)
		if err != nil {
			return 0, err
		}
		return v.BaseScore(), nil
	case 3:
		v, err := gocvss30.ParseVector(vector)
		if err != nil {
			return 0, err
		}
		return v.BaseScore(), nil
	case 2:
		v, err := gocvss20.ParseVector(strings.TrimSuffix(strings.TrimPrefix(vector, "("), ")"))
		if err != nil {
			return 0, err
		}
		return v.BaseScore(), nil
	}
	return 0, errors.New("version of the standard not known")
}

func version(vector string) float64 {
	switch {
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		return 4
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		return 3.1
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		return 3
	case strings.HasPrefix(vector, "AV:"), strings.HasPrefix(vector, "(AV:"):
		return 2 // 2.0 has no header; NVD wrote it in brackets
	}
	return 0
}

// Best chooses among the vectors of one flaw: the newest version of the
// standard, and the highest score within it. Without a vector it is zero and
// empty. The error names those that could not be read, beside what could.
func Best(vectors []string) (score float64, vector string, err error) {
	newest := 0.0
	var errs []error
	for _, v := range vectors {
		s, err := Score(v)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if n := version(v); vector == "" || n > newest || n == newest && s > score {
			newest, score, vector = n, s, v
		}
	}
	return score, vector, errors.Join(errs...)
}
