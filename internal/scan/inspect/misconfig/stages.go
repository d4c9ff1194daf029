package misconfig

import (
	"fmt"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// maxFindings bounds what one file can say.
const maxFindings = 500

// Dockerfile reads Dockerfiles of source folders.
type Dockerfile struct{ mask func(string) string }

// Spec claims Dockerfile, Dockerfile.*, *.Dockerfile and Containerfile.
func (Dockerfile) Spec() layer.Spec {
	return layer.Spec{
		Name:    "misconfig-dockerfile",
		Version: 1,
		Where:   layer.Declared,
		Claims: []layer.Claim{
			{Base: "Dockerfile", Text: true},
			{Prefix: "Dockerfile.", Text: true},
			{Suffix: ".Dockerfile", Text: true},
			{Suffix: ".dockerfile", Text: true},
			{Base: "Containerfile", Text: true},
			{Prefix: "Containerfile.", Text: true},
		},
		MaxSize: maxDockerfile,
	}
}

// Read checks every instruction, every stage, and the last stage as the image
// that comes out.
func (d Dockerfile) Read(f *layer.File) (layer.Result, error) {
	var res layer.Result
	stages, err := parseDockerfile(string(f.Data))
	names := map[string]bool{}
	for i := range stages {
		s := &stages[i]
		add := func(in *instruction) func(*rule, string) {
			return func(r *rule, evidence string) {
				if len(res.Findings) < maxFindings {
					res.Findings = append(res.Findings, r.finding(in.place(f.Path), d.mask(evidence)))
				}
			}
		}
		for j := range s.instructions {
			in := &s.instructions[j]
			judgeInstruction(in, add(in))
		}
		s.judge(names, add)
		if s.name != "" {
			names[strings.ToLower(s.name)] = true
		}
	}
	if len(stages) > 1 {
		last := &stages[len(stages)-1]
		res.Findings = append(res.Findings, last.judgeLast(f.Path)...)
	}
	if len(res.Findings) >= maxFindings {
		res.Gaps = append(res.Gaps, esclusa.Gap{
			Scope: esclusa.GapFile, Place: esclusa.Place{Path: f.Path},
			What: "rest of the Dockerfile's findings", Err: fmt.Sprintf("more than %d", maxFindings),
		})
	}
	if err != nil {
		return res, fmt.Errorf("parse Dockerfile: %w", err)
	}
	return res, nil
}

// judge checks what the instructions of one stage say together.
func (s *stage) judge(names map[string]bool, at func(*instruction) func(*rule, string)) {
	var entrypoints, healthchecks int
	var wget, curl *instruction
	s.judgeBase(names, at(&s.from))
	for i := range s.instructions {
		in := &s.instructions[i]
		add := at(in)
		switch in.cmd {
		case "ENTRYPOINT":
			if entrypoints++; entrypoints == 2 {
				add(&manyEntrypoints, in.text)
			}
		case "HEALTHCHECK":
			if healthchecks++; healthchecks == 2 {
				add(&manyHealthchecks, in.text)
			}
		case "MAINTAINER":
			add(&maintainer, in.text)
		case "COPY":
			s.judgeCopy(in, add)
		case "RUN":
			for _, c := range commands(in.args) {
				if c.name() == "wget" && wget == nil {
					wget = in
				}
				if c.name() == "curl" && curl == nil {
					curl = in
				}
			}
		}
	}
	if wget != nil && curl != nil {
		later := wget
		if curl.line > wget.line {
			later = curl
		}
		at(later)(&wgetAndCurl, later.text)
	}
}

func (s *stage) judgeBase(names map[string]bool, add func(*rule, string)) {
	base := s.base
	if base == "" || base == "scratch" || strings.Contains(base, "$") || names[strings.ToLower(base)] || strings.Contains(base, "@") {
		return
	}
	name := base[strings.LastIndexByte(base, '/')+1:]
	if _, tag, ok := strings.Cut(name, ":"); !ok || tag == "latest" {
		add(&latestTag, "FROM "+base)
	}
}

func (s *stage) judgeCopy(in *instruction, add func(*rule, string)) {
	if from, ok := in.flag("from"); ok && s.name != "" && strings.EqualFold(from, s.name) {
		add(&copyFromItself, in.text)
	}
	words := in.words()
	if len(words) < 3 || strings.Contains(in.args, "<<") {
		return
	}
	dest := words[len(words)-1]
	if !strings.HasSuffix(dest, "/") && !strings.HasSuffix(dest, `\`) && dest != "." && dest != ".." && !strings.Contains(dest, "$") {
		add(&copyWithoutSlash, in.text)
	}
}

// judgeLast checks the stage that becomes the image.
func (s *stage) judgeLast(path string) []esclusa.Finding {
	var out []esclusa.Finding
	user, healthcheck := &s.from, s.base == "scratch"
	name := ""
	for i := range s.instructions {
		switch in := &s.instructions[i]; in.cmd {
		case "USER":
			user, name = in, strings.Trim(in.args, `"' `)
		case "HEALTHCHECK":
			healthcheck = true
		}
	}
	if isRoot(name) {
		evidence := "no USER"
		if name != "" {
			evidence = "USER " + name
		}
		out = append(out, rootUser.finding(user.place(path), evidence))
	}
	if !healthcheck {
		out = append(out, noHealthcheck.finding(s.from.place(path), "no HEALTHCHECK"))
	}
	return out
}

// isRoot reads user[:group]; empty is root. The name of a variable is not
// known, so it is not.
func isRoot(user string) bool {
	user, _, _ = strings.Cut(user, ":")
	return user == "" || user == "root" || strings.Trim(user, "0") == ""
}
