package misconfig

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Limits of a manifest. The parser recurses, so size bounds its stack; an
// alias is a pointer to what it names, so aliases multiply nothing.
const (
	maxManifest = 256 << 10
	maxDepth    = 64
	maxNodes    = 50_000
)

var (
	errDeep  = errors.New("nested deeper than 64 levels")
	errLarge = errors.New("more than 50000 values")
)

// node is a YAML value with its line. A nil node is an absent value, and all
// methods answer for it.
type node struct {
	line   int
	scalar string
	keys   []string
	values []*node
	list   []*node
	isMap  bool
}

// get follows a path of keys.
func (n *node) get(path ...string) *node {
	for _, key := range path {
		if n == nil {
			return nil
		}
		n = n.value(key)
	}
	return n
}

func (n *node) value(key string) *node {
	for i, k := range n.keys {
		if k == key {
			return n.values[i]
		}
	}
	for i, k := range n.keys {
		if k == "<<" && n.values[i] != nil && n.values[i] != n {
			for j, merged := range n.values[i].keys {
				if merged == key {
					return n.values[i].values[j]
				}
			}
		}
	}
	return nil
}

func (n *node) text() string {
	if n == nil {
		return ""
	}
	return n.scalar
}

func (n *node) items() []*node {
	if n == nil {
		return nil
	}
	return n.list
}

// at is the node's line, or that of the value around it.
func (n *node) at(around *node) int {
	if n != nil {
		return n.line
	}
	if around != nil {
		return around.line
	}
	return 0
}

// parseYAML reads all documents of a stream.
func parseYAML(data []byte) (docs []*node, err error) {
	// Nothing known makes the parser panic; its answer to what nobody tried
	// must not end a scan.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the parser gave up: %v", p)
		}
	}()
	if deep(data) {
		return nil, errDeep
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return nil, errors.New(first)
	}
	c := converter{anchors: map[string]*node{}}
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		n := c.convert(d.Body, 0)
		if c.err != nil {
			return docs, c.err
		}
		docs = append(docs, n)
	}
	return docs, nil
}

// deep says whether brackets or dashes are nested beyond reason, before the
// parser recurses into them. It counts also in strings: no manifest comes
// near.
func deep(data []byte) bool {
	brackets, dashes := 0, 0
	for i, c := range data {
		switch c {
		case '[', '{':
			brackets++
		case ']', '}':
			brackets = max(0, brackets-1)
		case '-', '?', '!', '&':
			if i+1 < len(data) && (data[i+1] == ' ' || data[i+1] == '\t') || c == '!' || c == '&' {
				dashes++
			}
		case ' ', '\t':
		default:
			dashes = 0
		}
		if brackets > maxDepth || dashes > maxDepth {
			return true
		}
	}
	return false
}

type converter struct {
	anchors map[string]*node
	count   int
	err     error
}

func (c *converter) convert(a ast.Node, depth int) *node {
	if a == nil || c.err != nil {
		return nil
	}
	if c.count++; c.count > maxNodes {
		c.err = errLarge
		return nil
	}
	if depth > maxDepth {
		c.err = errDeep
		return nil
	}
	n := &node{}
	if tok := a.GetToken(); tok != nil && tok.Position != nil {
		n.line = tok.Position.Line
	}
	switch a := a.(type) {
	case *ast.MappingNode:
		n.isMap = true
		for _, v := range a.Values {
			c.pair(n, v, depth)
		}
		if len(n.values) > 0 {
			n.line = a.Values[0].Key.GetToken().Position.Line
		}
	case *ast.MappingValueNode:
		n.isMap = true
		n.line = a.Key.GetToken().Position.Line
		c.pair(n, a, depth)
	case *ast.SequenceNode:
		for _, v := range a.Values {
			n.list = append(n.list, c.convert(v, depth+1))
		}
	case *ast.AnchorNode:
		inner := c.convert(a.Value, depth+1)
		if a.Name != nil && a.Name.GetToken() != nil {
			c.anchors[a.Name.GetToken().Value] = inner
		}
		return inner
	case *ast.AliasNode:
		if a.Value != nil && a.Value.GetToken() != nil {
			return c.anchors[a.Value.GetToken().Value]
		}
	case *ast.TagNode:
		return c.convert(a.Value, depth+1)
	case *ast.LiteralNode:
		if a.Value != nil {
			n.scalar = a.Value.Value
		}
	case *ast.StringNode:
		n.scalar = a.Value
	case *ast.NullNode:
		return nil
	default:
		if a.GetToken() != nil {
			n.scalar = a.GetToken().Value
		}
	}
	return n
}

func (c *converter) pair(n *node, v *ast.MappingValueNode, depth int) {
	if v == nil || v.Key == nil || v.Key.GetToken() == nil {
		return
	}
	value := c.convert(v.Value, depth+1)
	if value != nil && value.scalar == "" && value.list == nil && !value.isMap {
		value.line = v.Key.GetToken().Position.Line
	}
	n.keys = append(n.keys, v.Key.GetToken().Value)
	n.values = append(n.values, value)
}
