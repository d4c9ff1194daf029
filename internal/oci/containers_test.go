package oci

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
)

// message nests protobuf fields, each of bytes.
func message(fields ...[]byte) string {
	var b []byte
	for _, f := range fields {
		b = append(b, f...)
	}
	return string(b)
}

func field(number byte, s string) []byte { return appendString(nil, number, s) }

func stored() []byte {
	label := message(field(1, "team"), field(2, "blue"))
	extension := message(field(1, "io.cri-containerd.container.metadata"),
		field(2, message(field(1, "x"), field(2, `{"Version":"v1","Metadata":{"ImageRef":"sha256:ab"}}`))))
	return field(1, message(field(1, "web"), field(2, label), field(3, "app:1"), field(5, message(field(1, "url"), field(2, "{}"))),
		field(6, "overlayfs"), field(7, "snap"), field(10, extension)))
}

func TestParseStoredContainer(t *testing.T) {
	got, err := parseStoredContainer(stored())
	want := &storedContainer{
		Container:   Container{Name: "web", ImageRef: "app:1", Labels: map[string]string{"team": "blue"}, Spec: []byte("{}")},
		snapshotter: "overlayfs", snapshot: "snap", criImage: "sha256:ab",
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(storedContainer{})); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	var many []byte
	for range maxLabels + 1 {
		many = append(many, field(2, message(field(1, "same"), field(2, "v")))...)
	}
	if got, err := parseStoredContainer(field(1, string(many))); err != nil || len(got.Labels) != 1 {
		t.Errorf("%v %v", err, got)
	}
}

func FuzzStoredContainer(f *testing.F) {
	f.Add(stored())
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseStoredContainer(b); err == nil && (len(c.Labels) > maxLabels || len(c.Spec) > maxSpec) {
			t.Errorf("%d labels, %d bytes", len(c.Labels), len(c.Spec))
		}
		_, _ = parseSnapshotParent(b) // must not panic
	})
}

func TestPulledBy(t *testing.T) {
	a, b := "sha256:"+sixtyFour("a"), "sha256:"+sixtyFour("b")
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{nil, ""},
		{[]string{"app@" + a}, a},
		{[]string{"app@" + a, "other/app@" + a}, a},
		{[]string{"app@" + a, "other/app@" + b}, ""},
		{[]string{"app:1"}, ""},
	} {
		if got := pulledBy(tt.names); got != esclusa.Digest(tt.want) {
			t.Errorf("%q: %q", tt.names, got)
		}
	}
}

func sixtyFour(s string) string {
	for len(s) < 64 {
		s += s
	}
	return s
}
