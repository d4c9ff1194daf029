// Package all lists the formats. It is the only package that imports them
// all. To add one, add its folder and one line here; the test beside it fails
// while a folder is missing.
package all

import (
	"github.com/esclusa/esclusa/internal/scan/report"
	"github.com/esclusa/esclusa/internal/scan/report/cyclonedx"
	"github.com/esclusa/esclusa/internal/scan/report/github"
	"github.com/esclusa/esclusa/internal/scan/report/gitlab"
	"github.com/esclusa/esclusa/internal/scan/report/json"
	"github.com/esclusa/esclusa/internal/scan/report/sarif"
	"github.com/esclusa/esclusa/internal/scan/report/spdx"
	"github.com/esclusa/esclusa/internal/scan/report/table"
)

// Formats is every format, the default first.
func Formats() []report.Format {
	return []report.Format{
		table.Format{},
		json.Format{},
		sarif.Format{},
		cyclonedx.Format{},
		spdx.Format{},
		github.Format{},
		gitlab.Format{},
	}
}
