package rules

import (
	"os"
	"regexp"
	"testing"
)

// The rule of docs/adding/rule.md loads and does what its examples say, and
// so does its exception.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/adding/rule.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1)
	if len(blocks) < 2 {
		t.Fatal("no rule and no exception on the page")
	}
	s, err := Load(NewLanguage(), []File{{"netcat-listens.yaml", blocks[0][1]}}, nil, []File{{"exceptions.yaml", blocks[1][1]}})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range s.Try() {
		t.Error(err)
	}
}
