package oci

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/esclusa/esclusa"
)

// ratioFrom is the output from which the ratio of a layer is judged: less
// than this costs too little to refuse, and small layers compress best.
const ratioFrom = 256 << 20

// newHash is nil for a digest that is malformed or of an algorithm that the
// image specification does not register.
func newHash(d esclusa.Digest) hash.Hash {
	algorithm, hexDigits, _ := strings.Cut(string(d), ":")
	if strings.Trim(hexDigits, "0123456789abcdef") != "" {
		return nil
	}
	switch {
	case algorithm == "sha256" && len(hexDigits) == 2*sha256.Size:
		return sha256.New()
	case algorithm == "sha512" && len(hexDigits) == 2*sha512.Size:
		return sha512.New()
	}
	return nil
}

// verifier passes size bytes of a blob through and checks size and digest at
// the end. size < 0 and an empty digest are not checked.
type verifier struct {
	r     io.ReadCloser
	name  string // for errors
	want  esclusa.Digest
	sum   hash.Hash
	size  int64
	count int64
	err   error
	// segment is called, if set, behind each segmentSize bytes.
	segment func()
}

func newVerifier(r io.ReadCloser, name string, want esclusa.Digest, size int64) (*verifier, error) {
	v := &verifier{r: r, name: name, want: want, size: size}
	if want != "" {
		if v.sum = newHash(want); v.sum == nil {
			return nil, fmt.Errorf("%s: unusable digest %q", name, want)
		}
	}
	return v, nil
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.r.Read(p)
	v.count += int64(n)
	if v.size >= 0 && v.count > v.size {
		v.err = fmt.Errorf("%s: %w: longer than its %d bytes", v.name, ErrDigest, v.size)
		return 0, v.err
	}
	if v.sum != nil {
		v.hash(p[:n])
	}
	if err == io.EOF {
		err = v.check()
	}
	v.err = err
	return n, err
}

func (v *verifier) hash(p []byte) {
	if v.segment == nil {
		v.sum.Write(p)
		return
	}
	for at := v.count - int64(len(p)); len(p) > 0; {
		n := min(int64(len(p)), segmentSize-at%segmentSize)
		v.sum.Write(p[:n])
		p, at = p[n:], at+n
		if at%segmentSize == 0 {
			v.segment()
		}
	}
}

func (v *verifier) check() error {
	if v.size >= 0 && v.count < v.size {
		return fmt.Errorf("%s: %w: %d of %d bytes", v.name, io.ErrUnexpectedEOF, v.count, v.size)
	}
	return compare(v.name, v.want, v.sum)
}

func (v *verifier) Close() error { return v.r.Close() }

// compare is io.EOF when the sum is the wanted one, or none was wanted.
func compare(name string, want esclusa.Digest, sum hash.Hash) error {
	if sum == nil {
		return io.EOF
	}
	algorithm, _, _ := strings.Cut(string(want), ":")
	if got := algorithm + ":" + hex.EncodeToString(sum.Sum(nil)); got != string(want) {
		return fmt.Errorf("%s: %w: content is %s", name, ErrDigest, got)
	}
	return io.EOF
}

// Open gives the layer's blob as it is stored, checked against its size and
// digest where it has one.
func (l *Layer) Open(ctx context.Context) (io.ReadCloser, error) {
	v, err := l.openBlob(ctx)
	if err != nil {
		return nil, err
	}
	return v, nil
}

func (l *Layer) openBlob(ctx context.Context) (*verifier, error) {
	name := "layer " + l.name().Short()
	if l.Size > l.limits.Layer {
		return nil, fmt.Errorf("%s: %w", name, &LimitError{"size of a layer", l.limits.Layer, "bytes"})
	}
	r, err := l.open(ctx)
	if err != nil {
		return nil, advise(fmt.Errorf("open %s: %w", name, err))
	}
	size := l.Size
	if l.Digest == "" {
		size = -1 // the archive's own word, which nothing vouches for
	}
	v, err := newVerifier(r, name, l.Digest, size)
	if err != nil {
		r.Close()
		return nil, err
	}
	return v, nil
}

func (l *Layer) name() esclusa.Digest {
	if l.Digest != "" {
		return l.Digest
	}
	return l.DiffID
}

// OpenTar gives the layer's tar. The blob's digest is checked at the end; the
// diff-ID as well where the layer has no digest or VerifyDiffID is asked.
func (l *Layer) OpenTar(ctx context.Context) (Stream, error) { return l.openTar(ctx, nil) }

func (l *Layer) openTar(ctx context.Context, table *SeekTable) (Stream, error) {
	v, err := l.openBlob(ctx)
	if err != nil {
		return nil, err
	}
	s, err := decompress(v, l.MediaType)
	if err != nil {
		v.Close()
		return nil, fmt.Errorf("%s: %w", v.name, err)
	}
	t := &tarStream{Stream: s, blob: v, limits: l.limits}
	t.again = func() (*verifier, error) {
		l.doubts.Add(1)
		return l.openBlob(ctx)
	}
	if l.Digest == "" {
		return VerifyDiffID(t, l.DiffID), nil
	}
	if table != nil {
		table.watch(v, s)
		t.table = table
	}
	return t, nil
}

// tarStream holds a layer to its limits and ends only when its blob has ended
// well.
type tarStream struct {
	Stream
	blob   *verifier
	limits Limits
	count  int64
	rest   []byte
	err    error
	// again opens the blob once more, for a second opinion; nil: it cannot
	// be had, or was.
	again func() (*verifier, error)
	table *SeekTable
}

func (t *tarStream) Next() ([]byte, error) {
	if len(t.rest) > 0 {
		c := t.rest
		t.rest = nil
		return c, nil
	}
	if t.err != nil {
		return nil, t.err
	}
	c, err := t.Stream.Next()
	if doubtful(err) && t.again != nil && (t.blob.err == nil || t.blob.err == io.EOF) {
		c, err = t.second(err)
	}
	if err == io.EOF {
		// What stands behind the compressed data is part of the blob too.
		_, err = io.Copy(io.Discard, t.blob)
		if err == nil {
			err = io.EOF
			if t.table != nil {
				t.table.Whole = true
			}
		}
	}
	if err != nil {
		t.err = err
		if err != io.EOF && t.blob.err != nil && t.blob.err != io.EOF {
			t.err = t.blob.err // the cause: the decoder only saw its effect
		} else if err != io.EOF {
			t.err = fmt.Errorf("%s: %w", t.blob.name, err)
		}
		return nil, t.err
	}
	t.count += int64(len(c))
	switch {
	case t.count > t.limits.Output:
		t.err = &LimitError{"uncompressed size of a layer", t.limits.Output, "bytes"}
	case t.count > ratioFrom && t.count/max(t.blob.count, 1) > t.limits.Ratio:
		t.err = &LimitError{"compression ratio of a layer", t.limits.Ratio, "times"}
	}
	if t.err != nil {
		t.err = fmt.Errorf("%s: %w", t.blob.name, t.err)
		return nil, t.err
	}
	return c, nil
}

// second goes on with the standard library where our own decoder gave up with
// err. The layer is read once more for that: it is broken, or our decoder is.
// The first stream is closed before: some stores have one at a time.
func (t *tarStream) second(err error) ([]byte, error) {
	_ = t.Stream.Close() // only gives buffers back
	_ = t.blob.Close()
	v, oerr := t.again()
	t.again, t.table = nil, nil // its places are not to be trusted either
	if oerr != nil {
		return nil, err
	}
	s, serr := standard(v, t.count)
	if serr != nil {
		v.Close()
		return nil, serr
	}
	t.Stream, t.blob = s, v
	return t.Stream.Next()
}

func (t *tarStream) Read(p []byte) (int, error) { return readChunks(t.Next, &t.rest, p) }

func (t *tarStream) Close() error {
	t.rest, t.err = nil, errClosed
	_ = t.Stream.Close() // only gives buffers back
	return t.blob.Close()
}

// VerifyDiffID hashes a stream on its way and compares at the end. A blob
// that is what its digest says may still unpack to something else than the
// configuration claims: what is kept under a diff-ID needs this.
func VerifyDiffID(s Stream, want esclusa.Digest) Stream {
	d := &diffStream{Stream: s, want: want, sum: newHash(want)}
	if d.sum == nil {
		d.err = fmt.Errorf("unusable diff-id %q", want)
	}
	return d
}

type diffStream struct {
	Stream
	want esclusa.Digest
	sum  hash.Hash
	rest []byte
	err  error
}

func (d *diffStream) Next() ([]byte, error) {
	if len(d.rest) > 0 {
		c := d.rest
		d.rest = nil
		return c, nil
	}
	if d.err != nil {
		return nil, d.err
	}
	c, err := d.Stream.Next()
	if err == io.EOF {
		err = compare("diff-id of layer "+d.want.Short(), d.want, d.sum)
	}
	if err != nil {
		d.err = err
		return nil, err
	}
	d.sum.Write(c)
	return c, nil
}

func (d *diffStream) Read(p []byte) (int, error) { return readChunks(d.Next, &d.rest, p) }

func (d *diffStream) Close() error {
	d.rest, d.err = nil, errClosed
	return d.Stream.Close()
}
