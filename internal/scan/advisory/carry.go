package advisory

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/esclusa/esclusa"
)

// States are the feeds with their tags, without their records.
func (db *DB) States() []Source { return slices.Clone(db.feeds) }

// Sources takes the feeds out of the database again, with their records, so
// that the next one can be built although some of them could not be fetched.
// Only the feeds that keep says yes to are taken. Building from the result
// gives the same records.
func (db *DB) Sources(keep func(feed string) bool) ([]Source, error) {
	out := make([]Source, len(db.feeds))
	for i, f := range db.feeds {
		if f.Batch = nil; keep(f.Name) {
			f.Batch = &Batch{carried: true}
		}
		out[i] = f
	}
	heads := make(map[uint32]*staged)
	for _, s := range db.ecos {
		for i := s.start; i < s.end; i++ {
			if err := db.carryName(binary.LittleEndian.Uint32(db.places[i*4:]), out, heads); err != nil {
				return nil, err
			}
		}
	}
	for place, r := range heads {
		if r == nil {
			continue
		}
		payload, err := db.record(place)
		if err != nil {
			return nil, err
		}
		_, feeds, err := db.head(payload)
		if err != nil {
			return nil, err
		}
		for _, f := range feeds {
			if b := out[f].Batch; b != nil {
				b.records = append(b.records, *r)
			}
		}
	}
	db.carryScores(out)
	kept := out[:0]
	for _, s := range out {
		if s.Batch != nil {
			kept = append(kept, s)
		}
	}
	return kept, nil
}

// carryName adds the packages of one name to their advisories in heads; nil
// there says that no kept feed has the advisory.
func (db *DB) carryName(place uint32, out []Source, heads map[uint32]*staged) error {
	payload, err := db.record(place)
	if err != nil {
		return err
	}
	r := reader{s: payload}
	name := r.string()
	return db.entries(&r, name, func(place uint32, _ bool, f esclusa.Affected, _ int) error {
		rec, seen := heads[place]
		if !seen {
			payload, err := db.record(place)
			if err != nil {
				return err
			}
			a, feeds, err := db.head(payload)
			if err != nil {
				return err
			}
			for _, i := range feeds {
				if out[i].Batch != nil && rec == nil {
					head, err := putHead(&a)
					if err != nil {
						return fmt.Errorf("%w: %w", ErrDamaged, err)
					}
					rec = &staged{id: strings.Clone(a.ID), modified: dayOf(a.Modified), head: head}
				}
			}
			heads[place] = rec
		}
		if rec == nil {
			return nil
		}
		s, err := stage(&f)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		s.name = strings.Clone(s.name)
		rec.affected = append(rec.affected, s)
		return nil
	})
}

// carryScores goes by the names of the feeds: there is one catalogue and one
// set of scores, so the file does not say where an entry came from.
func (db *DB) carryScores(out []Source) {
	for i := range out {
		b := out[i].Batch
		if b == nil {
			continue
		}
		switch out[i].Name {
		case "kev":
			b.kev = make(map[uint64]esclusa.KEV, len(db.kev)/kevSize)
			for e := db.kev; len(e) > 0; e = e[kevSize:] {
				b.kev[binary.LittleEndian.Uint64(e)] = kevAt(e)
			}
		case "epss":
			for _, y := range db.years {
				for at := y.start; at < y.end; at++ {
					e := db.epss[at*epssSize:]
					b.epss = append(b.epss, score{
						y.year<<32 | uint64(binary.LittleEndian.Uint32(e)),
						binary.LittleEndian.Uint32(e[4:]),
					})
				}
			}
		}
	}
}
