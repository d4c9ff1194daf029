package oci_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/oci"
)

// history is written "day step", with a leading "-" for steps without layer.
func image(steps ...string) *oci.Image {
	img := &oci.Image{}
	for i, s := range steps {
		var day int
		if _, err := fmt.Sscanf(s, "%d", &day); err != nil {
			panic(err)
		}
		by := s[len(fmt.Sprint(day))+1:]
		h := esclusa.History{Created: time.Date(2025, 1, 1+day, 0, i, 0, 0, time.UTC)}
		if day == 0 {
			h.Created = time.Time{}
		}
		if h.EmptyLayer = by[0] == '-'; h.EmptyLayer {
			by = by[1:]
		} else {
			img.Layers = append(img.Layers, oci.Layer{Layer: esclusa.Layer{DiffID: diffID(len(img.Layers))}})
		}
		h.CreatedBy = by
		img.History = append(img.History, h)
	}
	return img
}

func diffID(i int) esclusa.Digest { return esclusa.Digest(fmt.Sprintf("sha256:%064x", i+1)) }

func TestBase(t *testing.T) {
	const (
		nop    = "/bin/sh -c #(nop) "
		rootfs = "1 " + nop + "ADD file:5f1 in / "
		debian = "1 # debian.sh --arch 'amd64' out/ 'bookworm' '@1700000000'"
	)
	labelled := image("1 a", "1 b", "1 c")
	labelled.Config.Labels = map[string]string{
		"io.buildpacks.lifecycle.metadata": fmt.Sprintf(`{"runImage":{"topLayer":%q,"reference":"index.docker.io/x@%s","image":"x/run"}}`, diffID(1), diffID(9)),
	}
	annotated := image(rootfs, "1 -"+nop+`CMD ["bash"]`, "4 COPY a /a # buildkit")
	annotated.Annotations = map[string]string{
		"org.opencontainers.image.base.name": "debian:12", "org.opencontainers.image.base.digest": string(diffID(5)),
	}
	inherited := image("1 RUN x", "1 RUN y")
	inherited.Config.Labels = map[string]string{"org.opencontainers.image.base.name": "ubi9"}
	podman := image(rootfs, "1 RUN x", "1 RUN y", "1 RUN z")
	podman.History[1].Comment, podman.History[2].Comment = "FROM localhost/base:1", "FROM 70acf5d6844f"
	for _, c := range []struct {
		name string
		img  *oci.Image
		want oci.BaseImage
	}{
		{"podman", podman, oci.BaseImage{Name: "localhost/base:1", Layers: 1, By: "history: the comment FROM"}},
		{"no history", &oci.Image{}, oci.BaseImage{}},
		{"base image itself", image(rootfs, "1 -"+nop+`CMD ["bash"]`), oci.BaseImage{Layers: 1, By: "history: nothing but a root file system"}},
		{"debuerreotype", image(debian), oci.BaseImage{Layers: 1, By: "history: nothing but a root file system"}},
		{"one build on nothing known", image("1 COPY / / # buildkit", "1 RUN x"), oci.BaseImage{}},
		{"rootfs and steps in one build", image(rootfs, "1 RUN apt-get install x"), oci.BaseImage{}},
		{
			"app on debian", image(rootfs, "1 -"+nop+`CMD ["bash"]`, "4 COPY a /a # buildkit", "4 -ENTRYPOINT [\"/a\"]"),
			oci.BaseImage{Layers: 1, By: "history: CMD or ENTRYPOINT, and 3 days later more layers"},
		},
		{
			"app on python on debian", image(debian, `1 -CMD ["bash"]`, "3 RUN make python", "3 RUN pip", `3 -CMD ["python3"]`,
				"9 COPY app /app", "9 RUN pip install", `9 -CMD ["app"]`),
			oci.BaseImage{Layers: 3, By: "history: CMD or ENTRYPOINT, and 6 days later more layers"},
		},
		{
			"early CMD", image(rootfs, `1 -CMD ["bash"]`, "5 COPY a /a", `5 -CMD ["/a"]`, "5 COPY b /b"),
			oci.BaseImage{Layers: 1, By: "history: CMD or ENTRYPOINT, and 4 days later more layers"},
		},
		{
			"same time everywhere", image(rootfs, `1 -CMD ["bash"]`, "1 COPY a /a"),
			oci.BaseImage{Layers: 1, By: "history: more layers after CMD or ENTRYPOINT"},
		},
		{
			"pause only", image("1 ADD rootfs.tar.xz / # buildkit", "8 RUN x"),
			oci.BaseImage{Layers: 1, By: "history: a pause of 7 days between layers"},
		},
		{"pause inside own layers", image("1 COPY a /", "8 RUN x"), oci.BaseImage{}},
		{
			"app on distroless", image("0 bazel build //a", "0 bazel build //b", "5 COPY app /app # buildkit"),
			oci.BaseImage{Layers: 2, By: `history: "bazel" made the lowest layers only`},
		},
		{
			"app by ko", image("0 bazel build //a", "0 ko build ko://x", "0 ko build ko://x"),
			oci.BaseImage{Layers: 1, By: `history: "ko" put its layers on top`},
		},
		{"apko alone", image("1 apko"), oci.BaseImage{Layers: 1, By: "history: nothing but a root file system"}},
		{"buildpacks", labelled, oci.BaseImage{Name: "x/run", Digest: diffID(9), Layers: 2, By: "label io.buildpacks.lifecycle.metadata"}},
		{"annotation", annotated, oci.BaseImage{
			Name: "debian:12", Digest: diffID(5), Layers: 1,
			By: "annotation org.opencontainers.image.base; history: CMD or ENTRYPOINT, and 3 days later more layers",
		}},
		{"inherited label", inherited, oci.BaseImage{Name: "ubi9", By: "label, perhaps inherited, org.opencontainers.image.base"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, oci.Base(c.img, nil)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestKnownBase(t *testing.T) {
	img := image("1 a", "1 b", "1 c")
	ids := oci.ChainIDs(img.Layers)
	// The second was worked out with sha256sum from the specification's words.
	want := []esclusa.Digest{diffID(0), "sha256:e0213565073dd272477933ef550455db21856966e444074f1492aef0939305ac"}
	if diff := cmp.Diff(want, ids[:2]); diff != "" {
		t.Error(diff)
	}
	known := func(names map[esclusa.Digest]string) oci.Known {
		return func(d esclusa.Digest) (string, esclusa.Digest, bool) {
			name, ok := names[d]
			return name, diffID(7), ok
		}
	}
	got := oci.Base(img, known(map[esclusa.Digest]string{ids[0]: "debian", ids[1]: "python", ids[2]: "itself"}))
	base := oci.BaseImage{Name: "python", Digest: diffID(7), Layers: 2, By: "its layers are those of python"}
	if diff := cmp.Diff(base, got); diff != "" {
		t.Error(diff)
	}
	if got := oci.Base(img, known(nil)); got != (oci.BaseImage{}) {
		t.Errorf("nothing known, but %+v", got)
	}
}
