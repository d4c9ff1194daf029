package secrets

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// defaultSpan is how far behind a keyword a rule looks, in bytes.
const defaultSpan = 512

// rule is one item of content/secrets; README.md there says what the fields
// mean.
type rule struct {
	ID       string           `yaml:"id"`
	Title    string           `yaml:"title"`
	Severity esclusa.Severity `yaml:"-"`
	Word     string           `yaml:"severity"`
	Keywords []string         `yaml:"keywords"`
	Exact    []string         `yaml:"exact"`
	Token    string           `yaml:"token"`
	Value    string           `yaml:"value"`
	Detect   string           `yaml:"detect"`
	Before   int              `yaml:"before"`
	Span     int              `yaml:"span"`
	Glued    bool             `yaml:"glued"`
	Words    []string         `yaml:"words"`
	Entropy  float64          `yaml:"entropy"`
	Check    string           `yaml:"check"`
	Paths    []string         `yaml:"paths"`
	Allow    []string         `yaml:"allow"`
	Rotate   string           `yaml:"rotate"`
	Attack   []string         `yaml:"attack"`
	Benign   []string         `yaml:"benign"`
	Path     string           `yaml:"path"`

	order  int
	re     *regexp.Regexp
	group  int
	allow  []*regexp.Regexp
	check  checkFunc
	detect detectFunc
}

// ruleSet is what is known of the rules before any of them is parsed.
type ruleSet struct {
	rules     []func() (*rule, error) // each parses its own item, once
	literals  []layer.Literal
	byLiteral [][]int // literal → rules
	always    []int   // rules without a keyword: they ask for the path only
}

// index splits the files into rules and reads the lines of keywords. YAML is
// left to the rules that are met: parsing all of them would cost every scan
// tens of milliseconds. A test holds this reading to the parser's.
func index(files fs.FS) *ruleSet {
	set := &ruleSet{}
	known := map[layer.Literal]int{}
	names, _ := fs.Glob(files, "secrets/*.yaml")
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			set.rules = append(set.rules, func() (*rule, error) { return nil, fmt.Errorf("read %s: %w", name, err) })
			set.always = append(set.always, len(set.rules)-1)
			continue
		}
		for item := range strings.SplitSeq("\n"+string(text), "\n- id: ") {
			if strings.HasPrefix(item, "\n") {
				continue // the head of the file
			}
			i := len(set.rules)
			set.rules = append(set.rules, sync.OnceValues(func() (*rule, error) { return parse("- id: "+item, i) }))
			lits := keywords(item)
			if len(lits) == 0 {
				set.always = append(set.always, i)
			}
			for _, l := range lits {
				k, ok := known[l]
				if !ok {
					k = len(set.literals)
					known[l] = k
					set.literals = append(set.literals, l)
					set.byLiteral = append(set.byLiteral, nil)
				}
				set.byLiteral[k] = append(set.byLiteral[k], i)
				set.literals[k].Wide = set.literals[k].Wide || wide(item)
			}
		}
	}
	return set
}

// keywords reads the two lines of one item that hold literals.
func keywords(item string) []layer.Literal {
	var lits []layer.Literal
	for line := range strings.SplitSeq(item, "\n") {
		list, fold := strings.CutPrefix(line, "  keywords: ['")
		if !fold {
			var exact bool
			if list, exact = strings.CutPrefix(line, "  exact: ['"); !exact {
				continue
			}
		}
		for w := range strings.SplitSeq(strings.TrimSuffix(list, "']"), "', '") {
			lits = append(lits, layer.Literal{Bytes: w, Fold: fold})
		}
	}
	return lits
}

// wide says whether the rule of an item speaks of other people's code, as
// rule.wide does when it has been parsed.
func wide(item string) bool {
	return !strings.Contains(item, "\n  value: ") && (!strings.Contains(item, "\n  detect: ") || strings.Contains(item, "\n  detect: private-key\n"))
}

// wide says whether the rule speaks of other people's code: names and
// passwords there are theirs.
func (r *rule) wide() bool { return r.Value == "" && (r.Detect == "" || r.Detect == "private-key") }

func parse(item string, order int) (*rule, error) {
	var items []*rule
	if err := yaml.UnmarshalWithOptions([]byte(item), &items, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("parse rule: %w", err)
	}
	if len(items) != 1 {
		return nil, fmt.Errorf("parse rule: %d items instead of one", len(items))
	}
	r := items[0]
	r.order = order
	if err := r.prepare(); err != nil {
		return nil, fmt.Errorf("rule %q: %w", r.ID, err)
	}
	return r, nil
}

func (r *rule) prepare() (err error) {
	if r.Severity, err = esclusa.ParseSeverity(r.Word); err != nil {
		return err
	}
	if r.Span == 0 {
		r.Span = defaultSpan
	}
	switch {
	case r.Detect != "":
		if r.detect = detectors[r.Detect]; r.detect == nil {
			return fmt.Errorf("unknown detector %q", r.Detect)
		}
	case r.Value != "":
		r.re, err = regexp.Compile(`^(?i:(?P<secret>` + r.Value + `))(?:["'` + "`" + `\s;,<>)}\]&\\]|$)`)
	case r.Before > 0:
		r.re, err = regexp.Compile(r.Token)
	default:
		r.re, err = regexp.Compile(`^(?:` + r.Token + `)`)
	}
	if err != nil {
		return err
	}
	if r.re != nil {
		r.group = max(0, r.re.SubexpIndex("secret"))
	}
	if r.Check != "" {
		if r.check = checks[r.Check]; r.check == nil {
			return fmt.Errorf("unknown check %q", r.Check)
		}
	}
	for _, a := range r.Allow {
		re, err := regexp.Compile(a)
		if err != nil {
			return err
		}
		r.allow = append(r.allow, re)
	}
	return nil
}

// forPath says whether the rule is for files of this name.
func (r *rule) forPath(p string) bool {
	base := path.Base(p)
	for _, pattern := range r.Paths {
		if ok, _ := path.Match(pattern, base); ok {
			return true
		}
	}
	return len(r.Paths) == 0
}
