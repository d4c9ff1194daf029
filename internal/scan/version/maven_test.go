package version

import "testing"

// FuzzMavenNumbers: the short way of versions that have only numbers gives
// the key of the long one, and bytes the order of the tree.
func FuzzMavenNumbers(f *testing.F) {
	for _, s := range []string{"0", "0.0", "1", "1.0", "2.17.1", "1.0.0.2.0", "00.010", "10000000000000000000000", "1..2", "1.", ".1", "1-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		if len(v) > maxLen {
			return
		}
		if w, err := Maven.Parse(v); err == nil {
			other, _ := Maven.Parse("1.0.10")
			if n, err := w.CompareTo("1.0.10"); err != nil || n != compareMaven(w.key, other.key) {
				t.Errorf("%q: %d, %v", v, n, err)
			}
		}
		short, ok := appendMavenNumbers(nil, v)
		if !ok {
			return
		}
		var long []byte
		for _, item := range parseMaven(v) {
			long = appendMavenItem(long, &item)
		}
		if string(short) != string(long) {
			t.Errorf("%q: %q, the long way %q", v, short, long)
		}
	})
}
