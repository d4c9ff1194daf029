// Package all lists the feeds. It is the one line to add for a new one.
package all

import (
	"github.com/esclusa/esclusa/internal/scan/feeds"
	"github.com/esclusa/esclusa/internal/scan/feeds/epss"
	"github.com/esclusa/esclusa/internal/scan/feeds/kev"
	"github.com/esclusa/esclusa/internal/scan/feeds/osv"
)

// Feeds are all sources, in the order of reports.
func Feeds() []feeds.Feed {
	var list []feeds.Feed
	for _, e := range osv.Ecosystems {
		list = append(list, osv.New(e))
	}
	return append(list, kev.New(), epss.New())
}
